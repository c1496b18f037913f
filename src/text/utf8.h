// UTF-8 by hand, where invalid bytes must neither fail nor be lost. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace larder {

constexpr std::uint32_t kInvalidCodePoint = 0xffffffffu;

struct Utf8Char {
  std::uint32_t code_point;  // kInvalidCodePoint for a byte that is not part of valid UTF-8
  std::uint32_t n_bytes;     // 1 to 4; 1 for an invalid byte
};

/// The character at `position` < text.size(). Overlong forms, surrogates and values above 10FFFF
/// are invalid (The Unicode Standard, table 3-7); each byte of them is a character of its own.
Utf8Char DecodeUtf8(std::string_view text, std::size_t position);

void AppendUtf8(std::uint32_t code_point, std::string& out);

/// The offset of the first byte that is not part of valid UTF-8; npos: all is valid.
std::size_t FindInvalidUtf8(std::string_view text);

/// The text with each invalid byte replaced by U+FFFD.
std::string WithValidUtf8(std::string_view text);

/// How many bytes at the end of `text` are the unfinished but so far valid beginning of a UTF-8
/// character: 0 to 3.
std::size_t UnfinishedUtf8Bytes(std::string_view text);

}  // namespace larder
