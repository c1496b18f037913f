// Fuzzes the GGUF parser: any bytes give a header or one clean sentence, never a crash and never
// more memory than the input could justify. What it accepts must survive being written and read
// again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "format/gguf_header_writer.h"
#include "format/gguf_parser.h"

namespace {

using larder::GgufPart;
using larder::TensorInfo;

larder::Result<GgufPart> Parse(std::span<const std::byte> bytes) {
  return larder::ParseGgufPart(larder::MemorySource(bytes), "input");
}

// What callers rely on once a file has opened.
void CheckPart(const GgufPart& part, std::size_t file_size_bytes) {
  for (const TensorInfo& tensor : part.tensors) {
    LARDER_CHECK(tensor.offset <= file_size_bytes);
    LARDER_CHECK(tensor.size_bytes <= file_size_bytes - tensor.offset);
    LARDER_CHECK(tensor.n_elements() > 0);
    LARDER_CHECK(tensor.offset % part.alignment == 0);
  }
}

larder::GgufHeader WriteHeader(const GgufPart& part) {
  std::vector<larder::GgufWriter::TensorDeclaration> tensors;
  for (const TensorInfo& tensor : part.tensors) {
    tensors.push_back(
        {tensor.name, tensor.dtype, {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims}});
  }
  auto header = larder::MakeGgufHeader(part.metadata, tensors, part.alignment);
  LARDER_CHECK(header.ok());
  return std::move(header).value();
}

void CheckRoundTrip(const GgufPart& part) {
  const larder::GgufHeader written = WriteHeader(part);
  std::string file = written.bytes;
  file.resize(written.file_size_bytes);
  const auto again = Parse(std::as_bytes(std::span(file.data(), file.size())));
  LARDER_CHECK(again.ok());
  LARDER_CHECK(WriteHeader(*again).bytes == written.bytes);
}

void CheckSentence(const std::string& sentence) {
  LARDER_CHECK(!sentence.empty() && sentence.size() < 1000);
  LARDER_CHECK(
      std::all_of(sentence.begin(), sentence.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto part = Parse(std::as_bytes(std::span(data, size)));
  if (part.ok()) {
    CheckPart(*part, size);
    CheckRoundTrip(*part);
  } else {
    CheckSentence(part.status().message());
  }
  return 0;
}
