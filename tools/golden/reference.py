"""Runs transformers' Qwen3.5-MoE in float32 on the weights of a GGUF, and measures what it computed.

Besides the reference logits: how far the output moves when one tensor changes by a tenth
(`sensitivities`), and when activations are rounded to 8 bits as fast kernels do (`int8_logits`).
"""

import contextlib

import numpy as np
import torch
from transformers import Qwen3_5MoeForCausalLM

from common.qwen35moe_gguf import from_gguf_tensors


class Reference:
    """A transformers model whose weights are given as GGUF tensors."""

    def __init__(self, config):
        config._attn_implementation = "eager"
        config._experts_implementation = "eager"
        self.config = config
        self.model = Qwen3_5MoeForCausalLM(config).float().eval()

    def load(self, tensors):
        self.model.load_state_dict(from_gguf_tensors(tensors, self.config), strict=True)

    def logits(self, tokens):
        """-> float32 [n_tokens, n_vocab]"""
        with torch.no_grad():
            out = self.model(input_ids=torch.tensor([tokens]), use_cache=False)
        return out.logits[0].numpy().astype(np.float32)


def _router_gaps(reference, batch):
    """Least distance, over the layers, from the last token's weakest chosen expert to the next. [n]"""
    gaps, hooks = [], []
    n_used = reference.config.num_experts_per_tok

    def note(_module, _inputs, output):
        last = output[0].reshape(len(batch), -1, output[0].shape[-1])[:, -1]
        ordered = last.sort(dim=-1, descending=True).values
        gaps.append(ordered[:, n_used - 1] - ordered[:, n_used])

    for layer in reference.model.model.layers:
        hooks.append(layer.mlp.gate.register_forward_hook(note))
    with torch.no_grad():
        reference.model(input_ids=torch.tensor(batch), use_cache=False, logits_to_keep=1)
    for hook in hooks:
        hook.remove()
    return torch.stack(gaps).amin(dim=0).numpy()


def steady_prompt(reference, rng, n_vocab, n_tokens, gap, n_candidates=12):
    """Random tokens, each the first of some candidates for which no router is within `gap` of a tie.

    Near a tie rounding alone chooses the expert, and comparing logits would say nothing. Where no
    candidate is that far from a tie, the farthest is taken.
    """
    tokens = []
    for _ in range(n_tokens):
        candidates = [int(token) for token in rng.integers(0, n_vocab, n_candidates)]
        gaps = _router_gaps(reference, [[*tokens, candidate] for candidate in candidates])
        good = np.flatnonzero(gaps > gap)
        tokens.append(candidates[good[0] if len(good) else int(gaps.argmax())])
    return tokens


def log_softmax(logits):
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def mean_kl(reference, other):
    """Mean over positions of KL(reference || other), in nats."""
    p, q = log_softmax(reference), log_softmax(other)
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def entropy_share(logits):
    """Mean entropy of the output over the logarithm of the vocabulary."""
    p = log_softmax(logits)
    return float(-(np.exp(p) * p).sum(axis=-1).mean() / np.log(logits.shape[-1]))


def share_with_margin(logits, margin):
    """Share of positions whose best logit leads by more than `margin`."""
    top = np.sort(logits, axis=-1)[:, -2:]
    return float((top[:, 1] - top[:, 0] > margin).mean())


def sensitivities(reference, tensors, tokens, logits):
    """GGUF tensor -> mean KL when each of its elements grows or shrinks by 10 % at random.

    Random signs, because the model ignores the scale of some tensors (a norm follows them).
    """
    moved = {}
    for i, (name, array) in enumerate(tensors.items()):
        signs = np.random.Generator(np.random.PCG64(i)).choice([0.9, 1.1], array.shape)
        reference.load(tensors | {name: (array * signs).astype(np.float32)})
        moved[name] = mean_kl(logits, reference.logits(tokens))
    reference.load(tensors)
    return moved


@contextlib.contextmanager
def _rounded_activations(exempt, n_block):
    plain = torch.nn.functional.linear

    def rounded(x, weight, bias=None):
        if weight.data_ptr() in exempt:
            return plain(x, weight, bias)
        blocks = x.reshape(-1, min(n_block, x.shape[-1]))
        step = blocks.abs().amax(dim=1, keepdim=True) / 127
        blocks = torch.where(step == 0, 0, torch.round(blocks / step)) * step
        return plain(blocks.reshape(x.shape), weight, bias)

    torch.nn.functional.linear = rounded
    try:
        yield
    finally:
        torch.nn.functional.linear = plain


def int8_logits(reference, tokens, n_block):
    """Logits when matrices that can be quantized get activations of 8 bits with a scale per block."""
    exempt = set()
    for name, tensor in reference.model.named_parameters():
        if name.endswith(("mlp.gate.weight", "shared_expert_gate.weight")):
            exempt.add(tensor.data_ptr())
    with _rounded_activations(exempt, n_block):
        return reference.logits(tokens)
