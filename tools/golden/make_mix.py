"""The golden that another engine made: a Q4_K_M mix in three parts with a nextn block.

    python tools/golden/make_mix.py source mix-f32.gguf
    llama-quantize mix-f32.gguf mix-q4_k_m.gguf Q4_K_M   # of any llama.cpp-family engine
    llama-gguf-split --split --split-max-tensors N mix-q4_k_m.gguf tests/golden/mix/mix
    <print float32 logits of all positions of mix.json's tokens to tests/golden/mix/logits.bin>
    python tools/golden/make_mix.py check

N is chosen so that there are three parts. `source` also writes tests/golden/mix/mix.json; `check`
runs transformers on the weights decoded from the parts, writes logits-transformers.bin and says how
far the other engine's logits are from them.
"""

import argparse
import json
import pathlib
import sys

import gguf
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import reference as measure  # noqa: E402
import shapes  # noqa: E402
from common.qwen35moe_gguf import to_gguf_tensors, type_rule, write_gguf  # noqa: E402

N_TOKENS = 64
SHAPE = shapes.Shape("mix", ("F32",), seed=7, **(shapes.WIDE | dict(layers=3, branch=0.05)))
NEXTN = shapes.Shape("mix-nextn", ("F32",), seed=8, **(shapes.WIDE | dict(layers=1, interval=1)))


def nextn_block(block):
    """Random tensors of a nextn block: a full-attention layer and what joins it to the rest."""
    config = NEXTN.config()
    state = shapes.random_state(measure.Reference(config).model, NEXTN)
    layer = to_gguf_tensors(state, config)
    out = {n.replace("blk.0.", block): a for n, a in layer.items() if n.startswith("blk.")}
    rng = np.random.Generator(np.random.PCG64(NEXTN.seed + 1))
    width = SHAPE.width
    joint = rng.standard_normal((width, 2 * width)) / np.sqrt(2 * width)
    out[block + "nextn.eh_proj.weight"] = joint
    for name in ("enorm", "hnorm", "shared_head_norm"):
        out[block + f"nextn.{name}.weight"] = 1 + 0.3 * rng.standard_normal(width)
    return {name: array.astype(np.float32) for name, array in out.items()}


def make_source(path, folder):
    config = SHAPE.config()
    reference = measure.Reference(config)
    tensors = to_gguf_tensors(shapes.random_state(reference.model, SHAPE), config)
    reference.load(tensors)
    rng = np.random.Generator(np.random.PCG64(SHAPE.seed + 1000003))
    tokens = measure.steady_prompt(reference, rng, shapes.N_VOCAB, N_TOKENS, 0.3)
    tensors |= nextn_block(f"blk.{config.num_hidden_layers}.")
    write_gguf(path, config, tensors, shapes.vocabulary(), type_rule("F32"), "mix", n_nextn=1)
    entry = {
        "file": "mix/mix-00001-of-00003.gguf",
        "logits": "mix/logits.bin",
        "transformers_logits": "mix/logits-transformers.bin",
        "n_vocab": shapes.N_VOCAB,
        "kl_tolerance": 1e-3,
        "tokens": tokens,
    }
    (folder / "mix.json").write_text(json.dumps(entry) + "\n")


def check(folder):
    entry = json.loads((folder / "mix.json").read_text())
    tensors, types = {}, {}
    for part in sorted(folder.glob("mix-*.gguf")):
        for tensor in gguf.GGUFReader(part).tensors:
            tensors[tensor.name] = gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()
            types.setdefault(tensor.tensor_type.name, []).append(tensor.name)
    for name, names in sorted(types.items()):
        print(f"{name}: {len(names)}: {' '.join(names)}")
    config = SHAPE.config()
    reference = measure.Reference(config)
    reference.load(tensors)
    ours = reference.logits(entry["tokens"])
    ours.astype("<f4").tofile(folder / "logits-transformers.bin")
    theirs = np.fromfile(folder / "logits.bin", "<f4").reshape(ours.shape)
    rounded = measure.int8_logits(reference, entry["tokens"], 256)
    kl = measure.mean_kl(ours, theirs)
    print(f"mean KL: other engine {kl:.1e}, 8-bit activations {measure.mean_kl(ours, rounded):.1e}")
    print(f"entropy share {measure.entropy_share(theirs):.2f}")
    return 0 if kl < entry["kl_tolerance"] / 2 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["source", "check"])
    parser.add_argument("path", nargs="?", default="mix-f32.gguf")
    parser.add_argument("-o", "--out", default="tests/golden/mix")
    args = parser.parse_args()
    folder = pathlib.Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    if args.step == "check":
        return check(folder)
    make_source(args.path, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
