// Validity by The Unicode Standard's table 3-7: the second byte's range depends on the first.
#include "text/utf8.h"

#include <algorithm>

namespace larder {
namespace {

struct Lead {
  std::uint32_t n_bytes;  // 0: cannot begin a character
  unsigned char second_low;
  unsigned char second_high;
};

Lead LeadOf(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xc2) return {0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte < 0xf0) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte < 0xf4) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

// How many bytes from the lead byte on are valid, up to the character's length.
std::size_t ValidBytes(const Lead& lead, const unsigned char* bytes, std::size_t n_available) {
  const std::size_t n = std::min<std::size_t>(lead.n_bytes, n_available);
  for (std::size_t i = 1; i < n; ++i) {
    const unsigned char low = i == 1 ? lead.second_low : 0x80;
    const unsigned char high = i == 1 ? lead.second_high : 0xbf;
    if (bytes[i] < low || bytes[i] > high) return i;
  }
  return n;
}

}  // namespace

Utf8Char DecodeUtf8(std::string_view text, std::size_t position) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data()) + position;
  const Lead lead = LeadOf(bytes[0]);
  if (lead.n_bytes == 1) return {bytes[0], 1};
  if (lead.n_bytes == 0 || ValidBytes(lead, bytes, text.size() - position) != lead.n_bytes) {
    return {kInvalidCodePoint, 1};
  }
  std::uint32_t code_point = bytes[0] & (0xffu >> (lead.n_bytes + 1));
  for (std::uint32_t i = 1; i < lead.n_bytes; ++i) code_point = code_point << 6 | (bytes[i] & 0x3f);
  return {code_point, lead.n_bytes};
}

void AppendUtf8(std::uint32_t code_point, std::string& out) {
  if (code_point < 0x80) {
    out.push_back(static_cast<char>(code_point));
    return;
  }
  const int n_bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
  const std::uint32_t marker = 0xff00u >> n_bytes & 0xffu;
  out.push_back(static_cast<char>(marker | code_point >> (6 * (n_bytes - 1))));
  for (int shift = 6 * (n_bytes - 2); shift >= 0; shift -= 6) {
    out.push_back(static_cast<char>(0x80 | (code_point >> shift & 0x3f)));
  }
}

std::size_t FindInvalidUtf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (c.code_point == kInvalidCodePoint) return at;
    at += c.n_bytes;
  }
  return std::string_view::npos;
}

std::string WithValidUtf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    if (c.code_point == kInvalidCodePoint) {
      AppendUtf8(0xfffd, valid);
    } else {
      valid += text.substr(at, c.n_bytes);
    }
    at += c.n_bytes;
  }
  return valid;
}

std::size_t UnfinishedUtf8Bytes(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  for (std::size_t n = 1; n <= 3 && n <= text.size(); ++n) {
    const unsigned char* begin = bytes + text.size() - n;
    if ((*begin & 0xc0) == 0x80) continue;
    const Lead lead = LeadOf(*begin);
    return lead.n_bytes > n && ValidBytes(lead, begin, n) == n ? n : 0;
  }
  return 0;
}

}  // namespace larder
