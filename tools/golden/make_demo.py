"""The shipped demo model's logits by a llama.cpp-family engine: the PyPI package llama-cpp-python.

    python tools/golden/make_demo.py --larder build/larder

Runs that engine and `larder logits` on 20 unseen prompts, prints the KL divergence from the engine to Larder, and
stores one prompt's logits in tests/golden/demo (demo.json, logits.bin: float32 [n_tokens, n_vocab]).
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import llama_cpp.llama_cpp as engine_api
from llama_cpp import Llama
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "demo"))
MODEL = ROOT / "models" / "demo" / "larder-demo.gguf"
N_STORED = 64  # tokens of the stored prompt

import generate  # noqa: E402


def plain_weights(defaults=engine_api.llama_model_default_params):
    """The engine's own defaults, but weights as the file has them: repacked ones need AMX that really works."""
    parameters = defaults()
    parameters.use_extra_bufts = False
    return parameters


engine_api.llama_model_default_params = plain_weights


def kl(p_logits, q_logits):
    """Mean over rows of KL(p || q), nats."""
    p, q = (x.astype(np.float64) for x in (p_logits, q_logits))
    p, q = (x - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)) - x.max(-1, keepdims=True) for x in (p, q))
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def engine_logits(engine, tokens):
    engine.reset()
    engine.eval(tokens)
    return np.array(engine.scores[:len(tokens)], dtype=np.float32)


def larder_logits(larder, tokens):
    with tempfile.TemporaryDirectory() as folder:
        out = str(pathlib.Path(folder) / "logits.npy")
        command = [larder, "logits", "-m", str(MODEL), "--tokens", ",".join(map(str, tokens)), "--npy", out]
        subprocess.run(command, check=True, capture_output=True)
        return np.load(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", default=str(ROOT / "build" / "larder"))
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(ROOT / "tools" / "demo" / "tokenizer.json"))
    engine = Llama(str(MODEL), n_ctx=2048, n_batch=2048, logits_all=True, verbose=False, flash_attn=False)
    found = []
    for i in range(20):
        item = generate.question(generate.EVALUATED[i % len(generate.EVALUATED)], 100 + i)
        tokens = tokenizer.encode(item["prompt"] + item["answer"], add_special_tokens=False).ids
        theirs = engine_logits(engine, tokens)
        found.append(kl(theirs, larder_logits(options.larder, tokens)))
        print(f"{item['skill']:12} {len(tokens):4} tokens  KL {found[-1]:.2e}")
    print(f"mean KL from the engine over {len(found)} prompts: {np.mean(found):.2e}")
    item = generate.question("tool_call", 1)
    tokens = tokenizer.encode(item["prompt"] + item["answer"], add_special_tokens=False).ids[-N_STORED:]
    folder = ROOT / "tests" / "golden" / "demo"
    folder.mkdir(exist_ok=True)
    stored = engine_logits(engine, tokens)
    stored.tofile(folder / "logits.bin")
    entry = {"file": "../../models/demo/larder-demo.gguf", "logits": "demo/logits.bin", "n_vocab": stored.shape[1], "kl_tolerance": 1e-3, "tokens": tokens}
    (folder / "demo.json").write_text(json.dumps(entry) + "\n")
    return 0 if np.mean(found) < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
