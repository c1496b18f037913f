// Escaping of names that a file chose.
#include "format/printable.h"

#include <fmt/format.h>

namespace larder {

std::string Quoted(std::string_view name) {
  constexpr std::size_t kMaxLength = 80;
  std::string out = "'";
  for (const char c : name) {
    if (out.size() > kMaxLength) {
      out += "...";
      break;
    }
    if (c >= 0x20 && c < 0x7f && c != '\'') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out + "'";
}

}  // namespace larder
