"""The shapes of the tiny golden models and the random values of their parameters.

Every parameter is random: norms, decays, biases and convolutions too. The gains below keep each branch
about as large as the residual stream, so that every tensor matters, and make the output peaked.
"""

import dataclasses

import numpy as np
import torch
from transformers import Qwen3_5MoeTextConfig

from common.qwen35moe_gguf import byte_level_vocabulary

MERGES = [
    *("Ġ t", "Ġ a", "h e", "i n", "r e", "o n", "Ġt he", "e r", "Ġ s", "a t", "Ġ w", "Ġ o"),
    *("e n", "Ġ c", "i t", "i s", "a n", "o r", "e s", "Ġ b", "e d", "Ġ f", "in g", "Ġ p"),
]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
SPECIALS += ["<tool_call>", "</tool_call>", "<|fim_pad|>"]
N_VOCAB = 256 + len(MERGES) + len(SPECIALS)


@dataclasses.dataclass(frozen=True)
class Shape:
    """One golden model. `types` is what the file's matrices are stored in, one file for each."""

    name: str
    types: tuple = ("F32",)
    seed: int = 1
    width: int = 64
    layers: int = 4
    interval: int = 4
    heads: int = 2
    kv_heads: int = 1
    head_dim: int = 64
    key_heads: int = 2
    value_heads: int = 2
    state: int = 32
    experts: int = 8
    used: int = 2
    expert_width: int = 32
    shared_width: int = 32
    fused: bool = False
    tied: bool = False
    n_tokens: int = 40
    logit_std: float = 3.0
    branch: float = 1.0  # size of what a layer adds to the residual stream; see CALM

    def notes(self):
        """The numbers of the shape, for the index."""
        skipped = ("name", "types", "seed", "n_tokens", "logit_std", "branch")
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in skipped}

    def config(self):
        kinds = ["linear_attention", "full_attention"]
        return Qwen3_5MoeTextConfig(
            vocab_size=N_VOCAB,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.head_dim,
            linear_key_head_dim=self.state,
            linear_value_head_dim=self.state,
            linear_num_key_heads=self.key_heads,
            linear_num_value_heads=self.value_heads,
            moe_intermediate_size=self.expert_width,
            shared_expert_intermediate_size=self.shared_width,
            num_experts_per_tok=self.used,
            num_experts=self.experts,
            layer_types=[kinds[(i + 1) % self.interval == 0] for i in range(self.layers)],
            tie_word_embeddings=self.tied,
            max_position_embeddings=4096,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000000.0,
                "partial_rotary_factor": 0.25,
            },
        )


# Rounding activations to 8 bits, as kernels for quantized weights do, moves the output of a random
# model a lot. CALM models have small branches, so that this noise stays well below the tolerance.
CALM = dict(branch=0.1, logit_std=2.2)
WIDE = dict(width=256, layers=2, interval=2, heads=4, kv_heads=2, value_heads=4, state=64)
WIDE |= dict(experts=4, expert_width=256, shared_width=256, **CALM)
STREAM = dict(layers=8, used=4, n_tokens=120, branch=0.08, logit_std=2.2)
SMALL = dict(width=32)
SHAPES = [
    Shape("r1-s32", heads=3, **SMALL),
    Shape("r2-s64-fused-tied", value_heads=4, state=64, kv_heads=2, fused=True, tied=True, **SMALL),
    Shape("r4-s128-fused", layers=2, interval=2, value_heads=8, state=128, fused=True, **SMALL),
    Shape("r4-s32", ("F32", "F16", "BF16"), value_heads=8, heads=4, kv_heads=2),
    Shape("r2-s128-tied", layers=2, interval=2, key_heads=3, value_heads=6, state=128, tied=True),
    Shape(
        *("r1-s64-deep", ("F32",)),
        **dict(layers=8, key_heads=3, value_heads=3, state=64, experts=6, used=3, heads=4, kv_heads=2),
        **SMALL,
    ),
    Shape("r4-s32-calm", ("Q8_0", "Q4_0"), value_heads=8, heads=4, kv_heads=2, **CALM),
    Shape("wide", ("Q4_K", "Q5_K", "Q6_K"), **WIDE),
    Shape("stream", ("Q8_0",), value_heads=4, experts=16, **STREAM),
    Shape(
        *("stream-fused", ("Q4_0",)),
        **dict(interval=2, value_heads=8, experts=24, kv_heads=2, fused=True, **STREAM),
    ),
]

# Gains of matrices: the standard deviation is gain / sqrt(row length).
GAINS = {
    "self_attn.q_proj": 1.5,
    "self_attn.k_proj": 1.5,
    "self_attn.v_proj": 1.5,
    "self_attn.o_proj": 3.0,
    "in_proj_qkv": 1.5,
    "in_proj_z": 1.5,
    "in_proj_a": 3.0,
    "in_proj_b": 1.5,
    "out_proj": 1.5,
    "mlp.gate.": 1.5,
    "shared_expert_gate": 1.5,
    "gate_up_proj": 1.5,
    "experts.down_proj": 2.0,
    "shared_expert.gate_proj": 1.5,
    "shared_expert.up_proj": 1.5,
    "shared_expert.down_proj": 2.0,
}


def vocabulary():
    return byte_level_vocabulary(MERGES, SPECIALS)


def _draw(rng, name, dims, shape):
    normal = rng.standard_normal(dims)
    if name.endswith(("embed_tokens.weight", "lm_head.weight")):
        output = shape.tied or name.startswith("lm_head")
        if shape.branch < 1:  # even magnitudes round well to 8 bits
            normal = np.sign(normal) * rng.uniform(0.7, 1.3, dims)
        return normal * (shape.logit_std / np.sqrt(shape.width) if output else 1.0)
    if name.endswith("linear_attn.norm.weight"):  # not zero-centred
        return 1 + 0.3 * normal
    if name.endswith(("q_norm.weight", "k_norm.weight")):
        return 0.5 + 0.3 * normal
    if name.endswith("norm.weight"):
        return 0.3 * normal
    if name.endswith("A_log"):
        return np.log(rng.uniform(0.05, 1.0, dims))
    if name.endswith("dt_bias"):
        return rng.uniform(0.5, 3.0, dims) * rng.choice([-1.0, 1.0], dims)
    if name.endswith("conv1d.weight"):
        return 0.5 * normal
    gain = next(gain for part, gain in GAINS.items() if part in name)
    if any(part in name for part in ("o_proj", "out_proj", "down_proj")):
        gain *= shape.branch
    if shape.branch < 1 and "out_proj" in name:
        gain *= 2  # the decays act through this alone
    return normal * gain / np.sqrt(dims[-1])


def _correlate_q_with_k(values, shape):
    """q = 0.8 k + 0.6 noise: a query finds its own key, so that a head's output is never near 0.

    That output is normalised, which would blow rounding errors up.
    """
    n = shape.key_heads * shape.state
    values[:n] = 0.6 * values[:n] + 0.8 * values[n : 2 * n]


def random_state(model, shape):
    """A state dict with every parameter drawn from the shape's seed, in the order of the names."""
    rng = np.random.Generator(np.random.PCG64(shape.seed))
    state = {}
    for name, tensor in sorted(model.state_dict().items()):
        if shape.tied and name == "lm_head.weight":
            continue
        values = _draw(rng, name, tuple(tensor.shape), shape).astype(np.float32)
        if name.endswith(("in_proj_qkv.weight", "conv1d.weight")):
            _correlate_q_with_k(values, shape)
        state[name] = torch.from_numpy(values)
    if shape.tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    return state
