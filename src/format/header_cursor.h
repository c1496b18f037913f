// HeaderCursor: reads a header from front to back through a buffer, never beyond the source's end.
// No allocation is larger than what the source can still fill. Little endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "format/byte_source.h"

namespace larder {

/// No known model's header is anywhere near; it bounds the memory a damaged file can ask for.
inline constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{128} << 20;

class HeaderCursor {
 public:
  /// `name` stands in front of every error.
  HeaderCursor(const ByteSource& source, std::string name)
      : source_(source), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  /// What is being read, for errors: "the metadata key 'general.name'".
  void set_place(std::string place) { place_ = std::move(place); }
  const std::string& place() const { return place_; }
  std::uint64_t position() const { return buffer_start_ + buffer_position_; }
  std::uint64_t source_size_bytes() const { return source_.size_bytes(); }

  /// A number of fixed width.
  template <typename T>
  Status Read(T* out) {
    LARDER_RETURN_IF_ERROR(Fill(sizeof(T)));
    std::memcpy(out, buffer_.data() + buffer_position_, sizeof(T));
    buffer_position_ += sizeof(T);
    return Status::Ok();
  }

  /// u64 length and bytes; more than `max_bytes` is kDataError.
  Status ReadString(std::uint64_t max_bytes, std::string* out);

  /// That `count` things of at least `min_bytes_each` can still follow.
  Status CheckCount(std::uint64_t count, std::uint64_t min_bytes_each) const;

  /// kDataError "NAME: SENTENCE".
  template <typename... Args>
  Status Damaged(fmt::format_string<Args...> format, Args&&... args) const {
    return DataError(format, std::forward<Args>(args)...).WithContext(name_);
  }

 private:
  Status Need(std::uint64_t n_bytes) const;
  Status Fill(std::size_t n_bytes) {
    if (n_bytes <= buffer_.size() - buffer_position_) return Status::Ok();
    return Refill(n_bytes);
  }
  Status Refill(std::size_t n_bytes);

  const ByteSource& source_;
  std::string name_;
  std::string place_ = "the header";
  std::vector<std::byte> buffer_;
  std::size_t buffer_position_ = 0;
  std::uint64_t buffer_start_ = 0;  // the buffer's place in the source
  std::size_t next_chunk_bytes_ = 64 << 10;
};

}  // namespace larder
