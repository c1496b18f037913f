"""Writes the trained demo model as an F32 GGUF: python export_gguf.py WEIGHTS OUT.gguf [--seed N].

WEIGHTS is final.pt or state.pt of train.py, or a .safetensors file; with --safetensors FILE the weights are
also written there. The tokenizer and the chat template beside this file go into the GGUF. `larder quantize`
makes the shipped file from it.
"""
import argparse
import json
import os
import sys

import torch
from transformers.models.qwen3_5_moe import Qwen3_5MoeTextConfig

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import chat  # noqa: E402
from common import qwen35moe_gguf as qg  # noqa: E402
from model import config_dict  # noqa: E402


def load_state(path):
    """Names to tensors, float32."""
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file
        return load_file(path)
    saved = torch.load(path, map_location="cpu")
    return {k: v.float() for k, v in saved.get("model", saved).items()}


def vocabulary(path):
    """tokenizer.json -> what the GGUF needs to know of it."""
    with open(path, encoding="utf-8") as file:
        saved = json.load(file)
    ids = dict(saved["model"]["vocab"])
    types = {token: qg.NORMAL for token in ids}
    for added in saved["added_tokens"]:
        ids[added["content"]] = added["id"]
        types[added["content"]] = qg.CONTROL if added["special"] else qg.USER_DEFINED
    tokens = sorted(ids, key=ids.get)
    assert [ids[t] for t in tokens] == list(range(len(tokens)))
    merges = [m if isinstance(m, str) else " ".join(m) for m in saved["model"]["merges"]]
    return qg.Vocabulary(tokens, [types[t] for t in tokens], merges, "qwen35", ids[chat.IM_END],
                         ids["<|endoftext|>"], chat.template_text())


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("weights")
    p.add_argument("out")
    p.add_argument("--tokenizer", default=os.path.join(HERE, "tokenizer.json"))
    p.add_argument("--safetensors")
    p.add_argument("--seed", type=int, default=1, help="of the training, for the file's description")
    options = p.parse_args()
    state = load_state(options.weights)
    words = vocabulary(options.tokenizer)
    config = Qwen3_5MoeTextConfig(**config_dict(len(words.tokens)))
    tensors = qg.to_gguf_tensors(state, config)
    seen = torch.load(options.weights, map_location="cpu").get("tokens") if options.weights.endswith(".pt") else None
    extra = {"general.license": "apache-2.0", "general.sampling.temp": 0.0,
             "general.description": "A Qwen3.5-MoE in miniature, made by tools/demo of Larder from generated text"
             + (f", {seen:,} tokens" if seen else "") + f", seed {options.seed}."}
    qg.write_gguf(options.out, config, tensors, words, qg.type_rule("F32"), name="Larder demo", extra=extra)
    if options.safetensors:
        from safetensors.torch import save_file
        save_file({k: v.contiguous() for k, v in state.items()}, options.safetensors)
    print(f"{options.out}: {os.path.getsize(options.out):,} bytes, {sum(a.size for a in tensors.values()):,} weights")


if __name__ == "__main__":
    main()
