// ByteSource: what a header is parsed from, a file or bytes in memory (tests, the fuzzer).
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "base/status.h"
#include "io/file.h"

namespace larder {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::uint64_t size_bytes() const = 0;
  /// Exactly `size_bytes` at `offset`, which lie inside the source.
  virtual Status ReadAt(std::uint64_t offset, void* out, std::size_t size_bytes) const = 0;
};

class FileSource final : public ByteSource {
 public:
  explicit FileSource(const File& file) : file_(file) {}
  std::uint64_t size_bytes() const override { return file_.size_bytes(); }
  Status ReadAt(std::uint64_t offset, void* out, std::size_t n_bytes) const override {
    return file_.ReadAt(offset, out, n_bytes);
  }

 private:
  const File& file_;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  Status ReadAt(std::uint64_t offset, void* out, std::size_t n_bytes) const override {
    LARDER_CHECK(offset <= bytes_.size() && n_bytes <= bytes_.size() - offset);
    if (n_bytes > 0) std::memcpy(out, bytes_.data() + offset, n_bytes);
    return Status::Ok();
  }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace larder
