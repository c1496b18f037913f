// Text files, gzip-compressed or not: one read whole, or one written piece by piece.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace larder {

/// Fails on missing and damaged files, and on texts of more than 1 GiB. A build without zlib reads
/// plain files only and says so.
Result<std::string> ReadMaybeGzippedText(const std::string& path);

/// Writes to PATH.tmp and renames on Finish; an unfinished file is removed. Owns the file.
class TextFileWriter {
 public:
  /// Compressed when `path` ends in .gz; kUnsupported then in a build without zlib.
  static Result<std::unique_ptr<TextFileWriter>> Create(const std::string& path);
  ~TextFileWriter();
  TextFileWriter(const TextFileWriter&) = delete;
  TextFileWriter& operator=(const TextFileWriter&) = delete;

  Status Write(std::string_view text);
  Status Finish();

 private:
  TextFileWriter(std::string path, void* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  void* file_;  // null: closed
};

}  // namespace larder
