"""Perplexity of the demo model by transformers, for tests/acceptance/41: python perplexity.py WEIGHTS F32.gguf [OUT.json].

Two figures on models/demo/suites/text.txt: of the unquantized WEIGHTS (final.pt or state.pt of train.py), whose F32 export is named
for its checksum, so that the figure is compared with no other file; and of the shipped file, its weights decoded to float32 by
the gguf package. Windows of 512 tokens begin every 256, each scores the tokens that none before it did, as `larder perplexity` does.
"""
import argparse
import hashlib
import json
import os
import sys

import gguf
import torch
from tokenizers import Tokenizer
from transformers.models.qwen3_5_moe import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))

from common import qwen35moe_gguf as qg  # noqa: E402
from export_gguf import load_state  # noqa: E402
from model import config_dict  # noqa: E402

TEXT = os.path.join(ROOT, "models", "demo", "suites", "text.txt")
SHIPPED = os.path.join(ROOT, "models", "demo", "larder-demo.gguf")
WINDOW, STRIDE = 512, 256


def decoded_state(path, config):
    """The weights of a GGUF by transformers' names, float32."""
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).copy() for t in gguf.GGUFReader(path).tensors}
    return qg.from_gguf_tensors(tensors, config)


def perplexity(state, config, ids):
    model = Qwen3_5MoeForCausalLM(config).eval()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    cost, scored, begin = 0.0, 0, 0
    while scored < len(ids) - 1:
        end = min(begin + WINDOW, len(ids) - 1)
        with torch.no_grad():
            logs = torch.log_softmax(model(torch.tensor([ids[begin:end]])).logits[0].double(), -1)
        for position in range(scored, end):
            cost -= logs[position - begin, ids[position + 1]].item()
        scored, begin = end, begin + STRIDE
    return float(torch.tensor(cost / scored, dtype=torch.float64).exp()), scored


def checksum(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("weights")
    p.add_argument("gguf", help="the F32 export of the same weights")
    p.add_argument("out", nargs="?", default=os.path.join(ROOT, "tests", "golden", "demo", "perplexity.json"))
    p.add_argument("--tokenizer", default=os.path.join(HERE, "tokenizer.json"))
    options = p.parse_args()
    tokenizer = Tokenizer.from_file(options.tokenizer)
    with open(TEXT, encoding="utf-8") as file:
        ids = tokenizer.encode(file.read(), add_special_tokens=False).ids
    config = Qwen3_5MoeTextConfig(**config_dict(tokenizer.get_vocab_size()))
    unquantized, scored = perplexity(load_state(options.weights), config, ids)
    shipped, _ = perplexity(decoded_state(SHIPPED, config), config, ids)
    result = {"unquantized_perplexity": unquantized, "shipped_perplexity": shipped, "n_scored": scored, "n_tokens": len(ids), "window": WINDOW,
              "stride": STRIDE, "f32_sha256": checksum(options.gguf), "shipped_sha256": checksum(SHIPPED)}
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(result)


if __name__ == "__main__":
    main()
