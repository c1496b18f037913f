// Fuzzes the parser of sizes ("8G"): any text gives a number of bytes or one clean error, and what
// is printed for pasting reads back as at least as much.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/size.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const larder::Result<std::uint64_t> parsed = larder::ParseSize(text);
  if (!parsed.ok()) {
    LARDER_CHECK(!parsed.status().message().empty());
    return 0;
  }
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 60;
  if (*parsed > kLargest) return 0;
  const larder::Result<std::uint64_t> pasted = larder::ParseSize(larder::SizeToPaste(*parsed));
  LARDER_CHECK(pasted.ok());
  LARDER_CHECK(*pasted >= *parsed);
  return 0;
}
