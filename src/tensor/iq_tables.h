// The grids of the IQ types, facts of the GGUF format: each row is the values of eight (or four)
// consecutive elements, one signed byte each, lowest byte first. Constant data, any thread.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace larder {

extern const std::array<std::uint64_t, 256> kIq2XxsGrid;
extern const std::array<std::uint64_t, 512> kIq2XsGrid;
extern const std::array<std::uint64_t, 1024> kIq2SGrid;
extern const std::array<std::uint32_t, 256> kIq3XxsGrid;
extern const std::array<std::uint32_t, 512> kIq3SGrid;
extern const std::array<std::uint64_t, 2048> kIq1Grid;  // values -1, 0, 1

/// What the 4-bit codes of IQ4_NL and IQ4_XS stand for.
inline constexpr std::int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};

/// What the 4-bit codes of MXFP4 stand for, doubled (E2M1 of the OCP Microscaling formats).
inline constexpr std::int8_t kMxfp4Values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                 0, -1, -2, -3, -4, -6, -8, -12};

/// Eight sign bits from seven: the eighth makes the number of negative elements even.
inline std::uint8_t EvenSigns(std::uint32_t seven) {
  return static_cast<std::uint8_t>(seven | (static_cast<unsigned>(std::popcount(seven)) & 1u) << 7);
}

}  // namespace larder
