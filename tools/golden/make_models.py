"""Makes the golden models: tiny random Qwen3.5-MoE files and transformers' logits from them.

Writes tests/golden/models/*.gguf, logits/*.bin (float32 [n_tokens, n_vocab]) and index.json, and fails
if a model is not worth having: its output must be peaked, and no tensor may be without effect.
Run: python tools/golden/make_models.py [-o DIR] [--only NAME]
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import reference as measure  # noqa: E402
import shapes  # noqa: E402
from common.qwen35moe_gguf import decoded, to_gguf_tensors, type_rule, write_gguf  # noqa: E402

FLOAT_TYPES = ("F32", "F16", "BF16")
KL_TOLERANCE = {True: 1e-6, False: 1e-3}  # floats; quantized
TOP_MARGIN = {True: 0.01, False: 0.1}  # logits; the top token is compared where the lead is larger
DECODED_KL_TOLERANCE = 1e-6  # a quantized file whose weights were decoded to F32 first
MAX_ENTROPY_SHARE = 0.7
ROUTER_GAP = 0.15


def make_one(shape, type_name, out):
    """Writes one model and its logits; returns its entry in the index."""
    config = shape.config()
    reference = measure.Reference(config)
    state = shapes.random_state(reference.model, shape)
    tensors = to_gguf_tensors(state, config, shape.fused)
    types = type_rule(type_name)
    name = f"{shape.name}-{type_name.lower()}"
    path = out / "models" / f"{name}.gguf"
    write_gguf(path, config, tensors, shapes.vocabulary(), types, name)

    weights = decoded(tensors, types)
    reference.load(weights)
    rng = np.random.Generator(np.random.PCG64(shape.seed + 1000003))
    tokens = measure.steady_prompt(reference, rng, shapes.N_VOCAB, shape.n_tokens, ROUTER_GAP)
    logits = reference.logits(tokens)
    logits.astype("<f4").tofile(out / "logits" / f"{name}.bin")

    is_float = type_name in FLOAT_TYPES
    moved = measure.sensitivities(reference, weights, tokens, logits)
    weakest = min(moved, key=moved.get)
    entry = {
        "name": name,
        "file": f"models/{name}.gguf",
        "logits": f"logits/{name}.bin",
        "type": type_name,
        "n_vocab": shapes.N_VOCAB,
        "tokens": tokens,
        "kl_tolerance": KL_TOLERANCE[is_float],
        "decoded_kl_tolerance": DECODED_KL_TOLERANCE,
        "top_margin": TOP_MARGIN[is_float],
        "top_margin_share": round(measure.share_with_margin(logits, TOP_MARGIN[is_float]), 3),
        "entropy_share": round(measure.entropy_share(logits), 3),
        "least_sensitivity": float(f"{moved[weakest]:.2e}"),
        "least_sensitive": weakest,
        "shape": shape.notes(),
    }
    if not is_float:
        n_block = 256 if type_name.endswith("_K") else 32
        rounded = measure.int8_logits(reference, tokens, n_block)
        entry["int8_activations_kl"] = float(f"{measure.mean_kl(logits, rounded):.2e}")
    print(
        f"{name:24} {path.stat().st_size / 1e6:5.2f} MB  entropy {entry['entropy_share']:.2f}"
        f"  margin {entry['top_margin_share']:.2f}  int8 {entry.get('int8_activations_kl', 0):.1e}"
        f"  least {entry['least_sensitivity']:.1e} ({weakest}),"
        f" median {np.median(list(moved.values())):.1e}",
        flush=True,
    )
    return entry


def problems(entry):
    """What is wrong with a golden, in words; nothing if it is sound."""
    found = []
    if entry["entropy_share"] > MAX_ENTROPY_SHARE:
        found.append(f"entropy is {entry['entropy_share']} of the vocabulary's")
    if entry["least_sensitivity"] <= 10 * entry["decoded_kl_tolerance"]:
        found.append(f"{entry['least_sensitive']} moves the KL by {entry['least_sensitivity']} only")
    if entry["top_margin_share"] < 0.8:
        found.append(f"only {entry['top_margin_share']} of positions have a clear top token")
    if entry.get("int8_activations_kl", 0) > entry["kl_tolerance"] / 2:
        found.append(f"int8 activations alone move the KL by {entry['int8_activations_kl']}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", default="tests/golden")
    parser.add_argument("--only", help="makes one shape and leaves the index alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    out = pathlib.Path(args.out)
    for folder in ("models", "logits"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    chosen = [shape for shape in shapes.SHAPES if args.only in (None, shape.name)]
    entries = [make_one(shape, t, out) for shape in chosen for t in shape.types]
    if not args.only:
        lines = ",\n".join(json.dumps(entry) for entry in entries)
        (out / "index.json").write_text(f"[\n{lines}\n]\n")
    bad = [f"{entry['name']}: {p}" for entry in entries for p in problems(entry)]
    print("\n".join(bad), file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
