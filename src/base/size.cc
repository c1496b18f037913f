// Parsing and printing of sizes.
#include "base/size.h"

#include <cmath>
#include <cstdlib>

namespace larder {

Result<std::uint64_t> ParseSize(const std::string& text) {
  const char* begin = text.c_str();
  char* end = nullptr;
  // strtod would take hexadecimal too, and stop at a zero byte.
  const bool plain = text.find_first_of(std::string("xX\0", 3)) == std::string::npos;
  const bool starts_well = plain && !text.empty() && (std::isdigit(text[0]) != 0 || text[0] == '.');
  const double number = starts_well ? std::strtod(begin, &end) : -1;
  const auto bad = [&text] {
    return InvalidArgument("'{}' is not a size; write a number with K, M or G, such as 8G", text);
  };
  if (!starts_well || end == begin || !(number >= 0)) return bad();
  std::string suffix(end);
  double unit = 1;
  const std::string letters = "KMGT";
  if (!suffix.empty()) {
    const std::size_t power = letters.find(static_cast<char>(std::toupper(suffix[0])));
    if (power != std::string::npos) {
      unit = std::pow(1024.0, static_cast<double>(power + 1));
      suffix.erase(0, 1);
    }
    if (suffix == "iB" || suffix == "B") suffix.clear();
  }
  const double size_bytes = number * unit;
  if (!suffix.empty() || !(size_bytes < 9e18)) return bad();
  return static_cast<std::uint64_t>(size_bytes);
}

std::string FormatBytes(std::uint64_t size_bytes) {
  const double value = static_cast<double>(size_bytes);
  if (size_bytes < 1024) return fmt::format("{} bytes", size_bytes);
  if (size_bytes < (1ull << 20)) return fmt::format("{:.1f} KiB", value / 1024);
  if (size_bytes < (1ull << 30)) return fmt::format("{:.1f} MiB", value / (1 << 20));
  return fmt::format("{:.2f} GiB", value / (1 << 30));
}

std::string SizeToPaste(std::uint64_t size_bytes) {
  const double value = static_cast<double>(size_bytes);
  if (size_bytes < (100ull << 20)) return fmt::format("{:.0f}K", std::ceil(value / 1024));
  if (size_bytes < (10ull << 30)) return fmt::format("{:.0f}M", std::ceil(value / (1 << 20)));
  return fmt::format("{:.2f}G", std::ceil(value / (1 << 30) * 100) / 100);
}

}  // namespace larder
