// Buffering: chunks grow from 64 KiB to 1 MiB, so that a small header pulls little of the tensors
// behind it into the page cache and a large one needs few calls.
#include "format/header_cursor.h"

#include <algorithm>

namespace larder {

namespace {
constexpr std::size_t kMaxChunkBytes = std::size_t{1} << 20;
}  // namespace

Status HeaderCursor::Need(std::uint64_t n_bytes) const {
  const std::uint64_t size = source_.size_bytes();
  if (n_bytes > size - position()) {
    return DataError("{} is truncated or damaged: it ends at byte {}, inside {}; download it again",
                     name_, size, place_);
  }
  if (position() + n_bytes > kMaxHeaderBytes) {
    return DataError(
        "{} is damaged: {} would make its header larger than {} MiB; download it again", name_,
        place_, kMaxHeaderBytes >> 20);
  }
  return Status::Ok();
}

Status HeaderCursor::Refill(std::size_t n_bytes) {
  LARDER_RETURN_IF_ERROR(Need(n_bytes));
  buffer_start_ = position();
  buffer_position_ = 0;
  const std::uint64_t left = source_.size_bytes() - buffer_start_;
  const std::size_t size =
      static_cast<std::size_t>(std::min<std::uint64_t>(left, std::max(n_bytes, next_chunk_bytes_)));
  next_chunk_bytes_ = std::min(2 * next_chunk_bytes_, kMaxChunkBytes);
  buffer_.resize(size);
  return source_.ReadAt(buffer_start_, buffer_.data(), size);
}

Status HeaderCursor::ReadString(std::uint64_t max_bytes, std::string* out) {
  std::uint64_t length = 0;
  LARDER_RETURN_IF_ERROR(Read(&length));
  LARDER_RETURN_IF_ERROR(Need(length));
  if (length > max_bytes) {
    return DataError("{} is damaged: {} holds a text of {} bytes, more than {}; download it again",
                     name_, place_, length, max_bytes);
  }
  const auto size = static_cast<std::size_t>(length);
  if (size <= kMaxChunkBytes) {
    LARDER_RETURN_IF_ERROR(Fill(size));
    out->assign(reinterpret_cast<const char*>(buffer_.data() + buffer_position_), size);
    buffer_position_ += size;
    return Status::Ok();
  }
  out->resize(size);
  LARDER_RETURN_IF_ERROR(source_.ReadAt(position(), out->data(), size));
  buffer_start_ = position() + size;
  buffer_position_ = 0;
  buffer_.clear();
  return Status::Ok();
}

Status HeaderCursor::CheckCount(std::uint64_t count, std::uint64_t min_bytes_each) const {
  const std::uint64_t end = std::min(source_.size_bytes(), kMaxHeaderBytes);
  const std::uint64_t left = end > position() ? end - position() : 0;
  if (count <= left / min_bytes_each) return Status::Ok();
  return DataError(
      "{} is truncated or damaged: {} claims {} entries, more than the {} bytes left can hold; "
      "download it again",
      name_, place_, count, left);
}

}  // namespace larder
