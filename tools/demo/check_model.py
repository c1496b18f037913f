"""Compares model.Model with transformers' Qwen3_5MoeForCausalLM in float32, packed rows included.

Prints the largest difference of the logits and fails above 5e-4: float noise of both, logits are some units large.
"""
import sys

import torch
from transformers.models.qwen3_5_moe import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig

from model import Model, config_dict


def main():
    torch.manual_seed(1)
    config = config_dict(512)
    mine = Model(config).eval()
    for name, p in mine.named_parameters():
        torch.nn.init.normal_(p, std=0.3 if p.ndim < 2 else 0.08)
    reference = Qwen3_5MoeForCausalLM(Qwen3_5MoeTextConfig(**config)).eval().float()
    missing, extra = reference.load_state_dict(mine.state_dict(), strict=False)
    reference.tie_weights()
    assert set(missing) <= {"lm_head.weight"} and not extra, (missing, extra)
    tokens = torch.randint(0, 512, (2, 192))
    lengths = [70, 64, 58]
    doc = torch.cat([torch.full((n,), i + 1) for i, n in enumerate(lengths)]).expand(2, -1)
    worst = 0.0
    with torch.no_grad():
        for dense in (True, False):
            mine.dense = dense
            packed = mine.logits(mine(tokens, doc)[0])
            start = 0
            for n in lengths:
                want = reference(tokens[:, start:start + n]).logits
                difference = (packed[:, start:start + n] - want).abs().max().item()
                worst = max(worst, difference)
                start += n
            print(f"dense={dense}: largest logit {want.abs().max():.2f}, largest difference so far {worst:.2e}")
    gradients = []
    for dense in (True, False):  # both ways of computing experts have the same gradients
        mine.dense = dense
        mine.zero_grad()
        hidden, balance, _ = mine(tokens, doc, torch.arange(5, 300))
        (mine.logits(hidden).square().mean() + balance).backward()
        gradients.append({n: p.grad.clone() for n, p in mine.named_parameters()})
    apart = max((gradients[1][n] - g).norm().item() / g.norm().item() for n, g in gradients[0].items())
    print(f"gradients of the two ways apart by {apart:.2e}")
    if apart > 1e-4:
        return 1
    return 0 if worst < 5e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
