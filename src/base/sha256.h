// SHA-256 (FIPS 180-4): names for contents that nobody can make collide. No state but the object.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace larder {

using Sha256Digest = std::array<std::uint8_t, 32>;

class Sha256 {
 public:
  void Add(std::span<const std::byte> bytes);
  void Add(const std::string& text) { Add(std::as_bytes(std::span(text))); }
  /// A number as 8 bytes, little endian.
  void AddNumber(std::uint64_t value);
  /// Of everything added; the object is used up.
  Sha256Digest Finish();

 private:
  void AddBlock(const std::byte* block);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  std::size_t n_pending_ = 0;
  std::uint64_t n_bytes_ = 0;
};

/// Lower-case hexadecimal.
std::string ToHex(std::span<const std::uint8_t> bytes);

}  // namespace larder
