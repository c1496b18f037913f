"""Random valid quant blocks and what the gguf package decodes them to.

Writes tests/golden/blocks/<type>.bin (raw blocks, as a GGUF stores them) and <type>.f32 (the decoded
values, little-endian float32, in order). Scales are finite halves over a wide range, subnormal and zero
ones included; every other byte is uniform. Run: python tools/golden/make_blocks.py
"""

import pathlib
import sys

import gguf
import numpy as np

N_BLOCKS = 256
N_FLOATS = 4096
# Offsets in bytes of the half-precision fields of each block type.
HALF_FIELDS = {
    "Q8_0": [0], "Q4_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q4_1": [0, 2], "Q5_0": [0],
    "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0], "IQ3_XXS": [0], "IQ3_S": [0],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ1_S": [0], "IQ1_M": [], "TQ1_0": [52], "TQ2_0": [64],
    "MXFP4": [],
}  # fmt: skip


def random_halves(rng, n):
    """n halves: most of the size of real scales, some huge, tiny, subnormal and zero; both signs."""
    halves = (rng.standard_normal(n) * 2.0 ** rng.integers(-14, 4, n)).astype(np.float16)
    kind = rng.integers(0, 16, n)
    subnormal = rng.integers(1, 1024, n).astype(np.uint16).view(np.float16)
    halves = np.where(kind == 0, subnormal, halves)
    halves = np.where(kind == 1, np.float16(0), halves)
    return np.where(kind == 2, np.float16(-65504.0), halves)


def float_inputs(rng, name):
    if name == "F16":  # every finite half occurs with the same chance, both zeros certainly
        bits = rng.integers(0, 1 << 16, N_FLOATS).astype(np.uint16)
        bits = np.where((bits & 0x7C00) == 0x7C00, bits & 0x83FF, bits)
        bits[:4] = [0x0000, 0x8000, 0x0001, 0x7BFF]
    else:
        bits = rng.integers(0, 1 << 16, N_FLOATS).astype(np.uint16)
        bits = np.where((bits & 0x7F80) == 0x7F80, bits & 0x807F, bits)
        bits[:4] = [0x0000, 0x8000, 0x0001, 0x7F7F]
    return bits.astype("<u2").view(np.uint8)


def random_blocks(rng, name, n_blocks):
    """[n_blocks, bytes per block] whose scales are finite halves of random_halves, all else uniform."""
    n_block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][1]
    blocks = rng.integers(0, 256, (n_blocks, n_block_bytes), dtype=np.uint8)
    for offset in HALF_FIELDS[name]:
        halves = random_halves(rng, n_blocks).astype("<f2")
        blocks[:, offset : offset + 2] = halves.view(np.uint8).reshape(-1, 2)
    if name == "IQ1_M":  # the half lies in the top nibbles of four words
        halves = random_halves(rng, n_blocks).astype("<f2").view("<u2")
        for word in range(4):
            nibble = ((halves >> (4 * word)) & 15).astype(np.uint8)
            high_byte = 48 + 2 * word + 1
            blocks[:, high_byte] = (blocks[:, high_byte] & 15) | (nibble << 4)
    if name == "MXFP4":  # larger exponents overflow
        blocks[:, 0] %= 250
    return blocks


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/blocks")
    out.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(["F16", "BF16", *HALF_FIELDS]):
        rng = np.random.Generator(np.random.PCG64(1000 + seed))
        qtype = gguf.GGMLQuantizationType[name]
        if name in HALF_FIELDS:
            data = random_blocks(rng, name, N_BLOCKS).reshape(-1)
        else:
            data = float_inputs(rng, name)
        values = gguf.quants.dequantize(data.reshape(1, -1), qtype).reshape(-1).astype("<f4")
        assert np.isfinite(values).all(), name
        data.tofile(out / f"{name}.bin")
        values.tofile(out / f"{name}.f32")
        largest = np.abs(values).max()
        print(f"{name:7} {data.size:7} bytes {values.size:7} values, largest {largest:.4g}")


if __name__ == "__main__":
    main()
