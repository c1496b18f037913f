"""Writes src/tensor/iq_tables.cc: the grids of the IQ types, facts of the GGUF format, from the gguf package.

Every grid row is one 16-bit code: eight 2-bit or four 4-bit indices, lowest bits first, into a short list of
values. Run: python tools/make_iq_tables.py && clang-format -i src/tensor/iq_tables.cc
"""

import pathlib
import sys

import numpy as np
from gguf import quants

GRIDS = [("Iq2Xxs", quants.IQ2_XXS), ("Iq2Xs", quants.IQ2_XS), ("Iq2S", quants.IQ2_S),
         ("Iq3Xxs", quants.IQ3_XXS), ("Iq3S", quants.IQ3_S), ("Iq1", quants.IQ1_S)]

HEAD = """// The grids of the IQ types. Made by tools/make_iq_tables.py; do not edit. Constant data, any thread.
#include "tensor/iq_tables.h"

#include <array>
#include <cstddef>

namespace larder {

namespace {

// Rows of kWidth bytes from 16-bit codes, whose fields (lowest bits first) index `values`.
template <typename Row, std::size_t kRows, std::size_t kValues>
constexpr std::array<Row, kRows> Expand(const std::uint16_t (&codes)[kRows],
                                        const int (&values)[kValues]) {
  constexpr int kWidth = sizeof(Row);
  std::array<Row, kRows> rows = {};
  for (std::size_t r = 0; r < kRows; ++r) {
    for (int i = 0; i < kWidth; ++i) {
      const int index = (codes[r] >> (16 / kWidth * i)) & (16 / kWidth == 2 ? 3 : 7);
      rows[r] |= static_cast<Row>(static_cast<std::uint8_t>(values[index])) << (8 * i);
    }
  }
  return rows;
}
"""


def codes_of(quant):
    """[n_rows] 16-bit codes and the list of values their fields index."""
    quant.init_grid()
    n_rows, width = quant.grid_shape
    values = [int(v) for v in quant.grid_map]
    grid = quant.grid.reshape(n_rows, width).astype(np.int64)
    indices = np.array([[values.index(v) for v in row] for row in grid])
    return (indices << (16 // width * np.arange(width))).sum(axis=1), values


def main():
    text = HEAD
    tail = ""
    for name, quant in GRIDS:
        codes, values = codes_of(quant)
        row = "std::uint64_t" if quant.grid_shape[1] == 8 else "std::uint32_t"
        text += f"\nconstexpr int k{name}Values[] = {{{', '.join(map(str, values))}}};\n"
        text += f"constexpr std::uint16_t k{name}Codes[] = {{\n"
        for i in range(0, len(codes), 12):
            text += "    " + ", ".join(f"0x{c:04x}" for c in codes[i : i + 12]) + ",\n"
        text += "};\n"
        tail += f"\nconstinit const std::array<{row}, {len(codes)}> k{name}Grid =\n"
        tail += f"    Expand<{row}>(k{name}Codes, k{name}Values);\n"
    signs = np.frombuffer(quants.IQ2_XXS.ksigns, dtype=np.uint8)
    expected = [i | (bin(i).count("1") % 2) << 7 for i in range(128)]
    assert list(signs) == expected, "EvenSigns in iq_tables.h states the rule"
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "src/tensor/iq_tables.cc")
    out.write_text(text + "\n}  // namespace\n" + tail + "\n}  // namespace larder\n")


if __name__ == "__main__":
    main()
