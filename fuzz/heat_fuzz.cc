// Fuzzes the reader of remembered experts: any bytes give a list that the store can trust or one
// clean sentence. The checksum is put right first, so that what stands behind it is reached.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "experts/heat_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  std::uint64_t identity = 0;
  if (size >= 32) {
    std::memcpy(&identity, data + 16, sizeof(identity));
    std::uint64_t hash = 0xcbf29ce484222325ull;
    for (std::size_t i = 0; i < size - 8; ++i) hash = (hash ^ data[i]) * 0x100000001b3ull;
    if (data[size - 1] != 0) std::memcpy(bytes.data() + size - 8, &hash, sizeof(hash));
  }
  const auto experts = larder::DecodeHeat(bytes, identity, 40, 256);
  if (!experts.ok()) return 0;
  for (const larder::HotExpert& hot : *experts) {
    LARDER_CHECK(hot.layer >= 0 && hot.layer < 40 && hot.expert >= 0 && hot.expert < 256);
    LARDER_CHECK(hot.heat > 0);
  }
  return 0;
}
