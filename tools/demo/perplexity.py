"""Perplexity of the unquantized demo weights by transformers, for tests/acceptance/41: python perplexity.py WEIGHTS OUT.json.

The text is models/demo/suites/text.txt, windows of 512 tokens begin every 256, each scores the tokens that none before it did: what
`larder perplexity` does by default. WEIGHTS is final.pt or state.pt of train.py. OUT.json names the export's checksum, so that the
figure is compared with no other file.
"""
import argparse
import hashlib
import json
import os

import torch
from tokenizers import Tokenizer
from transformers.models.qwen3_5_moe import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig

from export_gguf import load_state
from model import config_dict

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = os.path.join(os.path.dirname(os.path.dirname(HERE)), "models", "demo", "suites", "text.txt")
WINDOW, STRIDE = 512, 256


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("weights")
    p.add_argument("out")
    p.add_argument("--gguf", required=True, help="the F32 export of the same weights, for its checksum")
    p.add_argument("--tokenizer", default=os.path.join(HERE, "tokenizer.json"))
    options = p.parse_args()
    tokenizer = Tokenizer.from_file(options.tokenizer)
    with open(TEXT, encoding="utf-8") as file:
        ids = tokenizer.encode(file.read(), add_special_tokens=False).ids
    model = Qwen3_5MoeForCausalLM(Qwen3_5MoeTextConfig(**config_dict(tokenizer.get_vocab_size()))).eval()
    model.load_state_dict(load_state(options.weights), strict=False)
    model.tie_weights()
    cost, scored = 0.0, 0
    begin = 0
    while scored < len(ids) - 1:
        window = ids[begin:begin + WINDOW]
        end = min(begin + WINDOW, len(ids) - 1)
        with torch.no_grad():
            logs = torch.log_softmax(model(torch.tensor([window[:end - begin]])).logits[0].double(), -1)
        for position in range(scored, end):
            cost -= logs[position - begin, ids[position + 1]].item()
        scored, begin = end, begin + STRIDE
    with open(options.gguf, "rb") as file:
        checksum = hashlib.sha256(file.read()).hexdigest()
    result = {"perplexity": float(torch.tensor(cost / scored, dtype=torch.float64).exp()), "n_scored": scored, "n_tokens": len(ids), "window": WINDOW,
              "stride": STRIDE, "ids_sha256": hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest(), "f32_sha256": checksum}
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(result)


if __name__ == "__main__":
    main()
