// Fuzzes the reader of kept prompts' files: any bytes give one clean error unless header and
// payload are what was written; any name is a name of ours or none. The seeds are a whole file and
// parts.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/check.h"
#include "state/prefix_file.h"

namespace {

// The one file that may be believed: 40 bytes under fixed facts.
larder::PrefixFileFacts RightFacts() {
  larder::PrefixFileFacts facts;
  facts.identity[0] = 1;
  facts.id.kind = larder::PrefixKind::kSnapshot;
  facts.id.n_tokens = 300;
  facts.id.key[5] = 9;
  facts.payload_bytes = 40;
  return facts;
}

void CheckFile(std::span<const std::byte> file) {
  const larder::PrefixFileFacts facts = RightFacts();
  const std::size_t n_header = std::min(file.size(), larder::kPrefixHeaderBytes);
  const auto header = file.first(n_header);
  const larder::Status status = larder::CheckPrefixHeader(header, facts);
  if (!status.ok()) {
    LARDER_CHECK(!status.message().empty());
    return;
  }
  const auto payload = file.subspan(n_header);
  if (payload.size() != facts.payload_bytes) return;
  if (!larder::CheckPrefixPayload(header, payload).ok()) return;
  // Believed: then the header is the one that such a payload gets.
  const auto right = larder::MakePrefixHeader(facts, payload);
  LARDER_CHECK(std::memcmp(right.data(), header.data(), header.size()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  CheckFile({reinterpret_cast<const std::byte*>(data), size});
  const std::string name(reinterpret_cast<const char*>(data), size);
  const auto id = larder::ParsePrefixFileName(name);
  if (id) LARDER_CHECK(larder::PrefixFileName(*id) == name);
  return 0;
}
