// Encodes strings with a vocabulary, for tools/golden/compare_tokenizers.py: reads a length (4
// bytes, little endian) and as many bytes, again and again until stdin ends; writes for each a
// count and as many ids (4 bytes each). Not part of the tests: that script runs it.
#include <cstdint>
#include <cstdio>
#include <string>

#include "format/gguf_reader.h"
#include "text/tokenizer.h"

namespace {

int Fail(const std::string& sentence) {
  std::fprintf(stderr, "encode_strings: %s\n", sentence.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return Fail("give a vocabulary, and --special to match control tokens");
  const bool special = argc > 2 && std::string(argv[2]) == "--special";
  const auto model = larder::OpenGguf(argv[1]);
  if (!model.ok()) return Fail(std::string(model.status().message()));
  const auto tokenizer = larder::Tokenizer::FromMetadata(model->metadata);
  if (!tokenizer.ok()) return Fail(std::string(tokenizer.status().message()));
  std::uint32_t n_bytes = 0;
  std::string text;
  while (std::fread(&n_bytes, sizeof(n_bytes), 1, stdin) == 1) {
    text.resize(n_bytes);
    if (std::fread(text.data(), 1, n_bytes, stdin) != n_bytes) return Fail("a string is cut off");
    const auto ids = (*tokenizer)->Encode(text, {.add_special = false, .parse_special = special});
    if (!ids.ok()) return Fail(std::string(ids.status().message()));
    const auto n_ids = static_cast<std::uint32_t>(ids->size());
    std::fwrite(&n_ids, sizeof(n_ids), 1, stdout);
    std::fwrite(ids->data(), sizeof(std::int32_t), n_ids, stdout);
  }
  return std::fflush(stdout) == 0 ? 0 : Fail("cannot write");
}
