"""Logits of the exported F32 file through `larder logits` against transformers on 20 unseen prompts.

python check_export.py WEIGHTS FILE.gguf [LARDER]: prints the mean KL divergence and fails at 1e-6 or more.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers.models.qwen3_5_moe import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig

import generate
from evaluate import HERE, ROOT
from export_gguf import load_state
from model import config_dict


def main():
    weights, model = sys.argv[1:3]
    larder = sys.argv[3] if len(sys.argv) > 3 else os.path.join(ROOT, "build", "larder")
    tokenizer = Tokenizer.from_file(os.path.join(HERE, "tokenizer.json"))
    reference = Qwen3_5MoeForCausalLM(Qwen3_5MoeTextConfig(**config_dict(tokenizer.get_vocab_size()))).eval()
    reference.load_state_dict(load_state(weights), strict=False)
    reference.tie_weights()
    means, same, positions = [], 0, 0
    for i in range(20):
        item = generate.question(generate.EVALUATED[i % len(generate.EVALUATED)], i)
        ids = tokenizer.encode(item["prompt"] + item["answer"], add_special_tokens=False).ids
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "logits.npy")
            subprocess.run([larder, "logits", "-m", model, "--tokens", ",".join(map(str, ids)), "--npy", out],
                           check=True, capture_output=True)
            theirs = torch.from_numpy(np.load(out)).double()
        with torch.no_grad():
            ours = reference(torch.tensor([ids])).logits[0].double()
        p, q = ours.log_softmax(-1), theirs.log_softmax(-1)
        means.append((p.exp() * (p - q)).sum(-1).mean().item())
        same += (ours.argmax(-1) == theirs.argmax(-1)).sum().item()
        positions += len(ids)
    print(f"mean KL {np.mean(means):.2e}, worst prompt {max(means):.2e}, same top token at {same} of {positions} positions")
    return 0 if np.mean(means) < 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
