// Logits of the scored positions of a text in a file, to compare other models with. Format: the 8
// bytes "LARDLOG1", then little-endian u32 n_vocab, u32 n_tokens, u32 window, u32 stride, u64
// number of rows, u64 FNV-1a hash of the token ids, then rows of n_vocab float32. One thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/replacing_file.h"

namespace larder {

/// What two runs must agree on to be compared.
struct ScoredText {
  std::uint32_t n_vocab = 0;
  std::uint32_t n_tokens = 0;
  std::uint32_t window = 0;
  std::uint32_t stride = 0;
  std::uint64_t n_rows = 0;
  std::uint64_t tokens_hash = 0;
};

std::uint64_t HashTokens(std::span<const std::int32_t> tokens);

/// Takes the place of an older file on Finish; an unfinished one is removed.
class LogitsWriter {
 public:
  /// Writes the header.
  static Result<std::unique_ptr<LogitsWriter>> Create(const std::string& path,
                                                      const ScoredText& text);

  Status Write(std::span<const float> row);
  /// kIoError when anything was lost: an older file stays then.
  Status Finish() { return file_->Finish(); }

 private:
  explicit LogitsWriter(std::unique_ptr<ReplacingFile> file) : file_(std::move(file)) {}
  std::unique_ptr<ReplacingFile> file_;
};

class LogitsReader {
 public:
  /// kDataError when it is no such file, or of another length than its header says.
  static Result<std::unique_ptr<LogitsReader>> Open(const std::string& path);
  const ScoredText& text() const { return text_; }
  /// The next row [n_vocab]; kDataError when it holds what is no number.
  Status Read(std::vector<float>* row);

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  LogitsReader(std::string path, File file) : path_(std::move(path)), file_(std::move(file)) {}
  std::string path_;
  File file_;
  ScoredText text_;
};

}  // namespace larder
