"""Compares Larder's decoders with the gguf package's, bit for bit, on many random blocks of every type.

Run: python tools/golden/compare_decoders.py BUILD/decode_blocks [N_BLOCKS [TYPE ...]]; a million blocks by default.
Half of them have scales as make_blocks.py draws them, the other half is uniform in every byte, infinities and
NaNs included; a NaN need only be one.
"""

import pathlib
import subprocess
import sys

import gguf
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import make_blocks  # noqa: E402

CHUNK = 10000


def main():
    program = sys.argv[1]
    n_blocks = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    np.seterr(all="ignore")
    n_bad_types = 0
    for name in sys.argv[3:] or make_blocks.HALF_FIELDS:
        qtype = gguf.GGMLQuantizationType[name]
        rng = np.random.Generator(np.random.PCG64(77))
        n_values = n_nans = n_different = 0
        for first in range(0, n_blocks, CHUNK):
            count = min(CHUNK, n_blocks - first)
            blocks = make_blocks.random_blocks(rng, name, count)
            wild = rng.integers(0, 256, (count - count // 2, blocks.shape[1]), dtype=np.uint8)
            blocks[count // 2 :] = wild
            want = gguf.quants.dequantize(blocks.reshape(1, -1), qtype).reshape(-1).astype("<f4")
            raw = subprocess.run([program, name], input=blocks.tobytes(), stdout=subprocess.PIPE, check=True).stdout
            got = np.frombuffer(raw, dtype="<f4")
            assert got.size == want.size, name
            nan = np.isnan(want)
            same = np.where(nan, np.isnan(got), got.view("<u4") == want.view("<u4"))
            n_values += want.size
            n_nans += int(nan.sum())
            n_different += int((~same).sum())
        n_bad_types += n_different > 0
        print(f"{name:7} {n_blocks} blocks, {n_values} values ({n_nans} NaN), {n_different} differ", flush=True)
    sys.exit(1 if n_bad_types else 0)


if __name__ == "__main__":
    main()
