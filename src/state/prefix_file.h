// The file of one kept page or snapshot: a header of 128 bytes that says what it is, and the bytes.
// Everything is checked before any of it is believed; files are written beside their place and
// renamed into it, so that a name stands for a whole file or for nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/status.h"
#include "state/prefix_memory.h"

namespace larder {

inline constexpr std::size_t kPrefixHeaderBytes = 128;

/// What a file must be to be believed.
struct PrefixFileFacts {
  Sha256Digest identity{};  // of the model, its file and all settings that change its bits
  PrefixId id;
  std::uint64_t payload_bytes = 0;
};

/// The header for these facts and this payload.
std::array<std::byte, kPrefixHeaderBytes> MakePrefixHeader(const PrefixFileFacts& facts,
                                                           std::span<const std::byte> payload);

/// kDataError, with what is wrong, unless the header is whole and says exactly these facts.
Status CheckPrefixHeader(std::span<const std::byte> header, const PrefixFileFacts& facts);

/// kDataError unless `payload` is what a checked header was made for.
Status CheckPrefixPayload(std::span<const std::byte> header, std::span<const std::byte> payload);

/// Reads the payload [facts.payload_bytes] into `out`. kNotFound, kIoError or kDataError; then
/// `out` holds nothing of use.
Status ReadPrefixFile(const std::string& path, const PrefixFileFacts& facts,
                      std::span<std::byte> out);

/// Writes folder/name by way of folder/temporary. A failure leaves neither.
Status WritePrefixFile(const std::string& folder, const std::string& temporary,
                       const std::string& name, const PrefixFileFacts& facts,
                       std::span<const std::byte> payload);

/// "KIND-TOKENS-KEY": the name of a file, and back; nothing for any other name.
std::string PrefixFileName(const PrefixId& id);
std::optional<PrefixId> ParsePrefixFileName(const std::string& name);

}  // namespace larder
