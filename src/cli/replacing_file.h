// A large file that takes another's place when it is whole, written beside it under a name of its
// own: two that write to one name do not meet. One thread.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "base/status.h"

namespace larder {

class ReplacingFile {
 public:
  /// Links are followed; an older file keeps its mode. kInvalidArgument for what is no regular
  /// file, kIoError where none can be made beside it.
  static Result<std::unique_ptr<ReplacingFile>> Create(const std::string& path);
  /// Removes what is not finished.
  ~ReplacingFile();
  ReplacingFile(const ReplacingFile&) = delete;
  ReplacingFile& operator=(const ReplacingFile&) = delete;

  Status Write(const void* data, std::size_t size_bytes);
  /// Once, at the end. kIoError when anything was lost: an older file stays then.
  Status Finish();

 private:
  ReplacingFile(std::string path, std::string target, std::string beside, std::FILE* file);
  std::string path_;    // as it was given
  std::string target_;  // behind all links
  std::string beside_;
  std::FILE* file_;
};

}  // namespace larder
