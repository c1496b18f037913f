// Plain buffered files; the machine is little-endian, as everywhere in Larder.
#include "cli/saved_logits.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

namespace larder {

namespace {

constexpr char kMagic[8] = {'L', 'A', 'R', 'D', 'L', 'O', 'G', '1'};
constexpr std::size_t kHeaderBytes = 40;

}  // namespace

std::uint64_t HashTokens(std::span<const std::int32_t> tokens) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const std::int32_t token : tokens) {
    for (int shift = 0; shift < 32; shift += 8) {
      hash = (hash ^ (static_cast<std::uint32_t>(token) >> shift & 0xff)) * 0x100000001b3ull;
    }
  }
  return hash;
}

Result<std::unique_ptr<LogitsWriter>> LogitsWriter::Create(const std::string& path,
                                                           const ScoredText& text) {
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<ReplacingFile> file, ReplacingFile::Create(path));
  char header[kHeaderBytes];
  std::memcpy(header, kMagic, 8);
  std::memcpy(header + 8, &text.n_vocab, 4);
  std::memcpy(header + 12, &text.n_tokens, 4);
  std::memcpy(header + 16, &text.window, 4);
  std::memcpy(header + 20, &text.stride, 4);
  std::memcpy(header + 24, &text.n_rows, 8);
  std::memcpy(header + 32, &text.tokens_hash, 8);
  LARDER_RETURN_IF_ERROR(file->Write(header, kHeaderBytes));
  return std::unique_ptr<LogitsWriter>(new LogitsWriter(std::move(file)));
}

Status LogitsWriter::Write(std::span<const float> row) {
  return file_->Write(row.data(), row.size_bytes());
}

Result<std::unique_ptr<LogitsReader>> LogitsReader::Open(const std::string& path) {
  File file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) return NotFound("cannot open {}: {}", path, std::strerror(errno));
  char header[kHeaderBytes];
  if (std::fread(header, kHeaderBytes, 1, file.get()) != 1 ||
      std::memcmp(header, kMagic, sizeof kMagic) != 0) {
    return DataError("{} holds no saved logits; larder perplexity --save-logits writes them", path);
  }
  std::unique_ptr<LogitsReader> reader(new LogitsReader(path, std::move(file)));
  ScoredText& text = reader->text_;
  std::memcpy(&text.n_vocab, header + 8, 4);
  std::memcpy(&text.n_tokens, header + 12, 4);
  std::memcpy(&text.window, header + 16, 4);
  std::memcpy(&text.stride, header + 20, 4);
  std::memcpy(&text.n_rows, header + 24, 8);
  std::memcpy(&text.tokens_hash, header + 32, 8);
  std::FILE* opened = reader->file_.get();
  const bool sought = std::fseek(opened, 0, SEEK_END) == 0;
  const long size = sought ? std::ftell(opened) : -1;
  const std::uint64_t row_bytes = std::uint64_t{text.n_vocab} * sizeof(float);
  const std::uint64_t rows_bytes = size < 0 ? 0 : static_cast<std::uint64_t>(size) - kHeaderBytes;
  if (row_bytes == 0 || rows_bytes % row_bytes != 0 || rows_bytes / row_bytes != text.n_rows) {
    return DataError("{} is damaged: its length is not what its header says", path);
  }
  if (std::fseek(opened, kHeaderBytes, SEEK_SET) != 0) {
    return IoError("cannot read {}: {}", path, std::strerror(errno));
  }
  return reader;
}

Status LogitsReader::Read(std::vector<float>* row) {
  row->resize(text_.n_vocab);
  if (std::fread(row->data(), sizeof(float), row->size(), file_.get()) != row->size()) {
    return DataError("{} ended too early", path_);
  }
  const bool numbers =
      std::all_of(row->begin(), row->end(), [](float value) { return std::isfinite(value); });
  return numbers ? Status::Ok() : DataError("{} holds a logit that is no number", path_);
}

}  // namespace larder
