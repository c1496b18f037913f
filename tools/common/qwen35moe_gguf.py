"""Qwen3.5-MoE from transformers to GGUF (`general.architecture = qwen35moe`) and back.

`to_gguf_tensors` turns the state dict of a `Qwen3_5MoeForCausalLM` into GGUF's names and layout,
`from_gguf_tensors` does the reverse, `write_gguf` writes a file:

    tensors = to_gguf_tensors(model.state_dict(), model.config)
    write_gguf(path, model.config, tensors, byte_level_vocabulary(merges, specials), type_rule("Q8_0"))

Layout differences: value heads are reordered (see `_reorder`), norms hold 1 + w, `ssm_a` holds
-exp(A_log), the convolution loses its middle axis, experts' gate and up are split unless asked fused.
"""

import dataclasses

import gguf
import numpy as np
import torch

from common import quant

ARCH = "qwen35moe"
CONV_KERNEL_AXIS = 1
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K": 14, "Q5_K": 16, "Q6_K": 18}
FILE_TYPES["BF16"] = 32

# GGUF name in a block -> transformers' name in a layer, for tensors kept as they are.
PLAIN = {
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ssm_norm.weight": "linear_attn.norm.weight",
    "ffn_gate_inp.weight": "mlp.gate.weight",
    "ffn_down_exps.weight": "mlp.experts.down_proj",
    "ffn_gate_shexp.weight": "mlp.shared_expert.gate_proj.weight",
    "ffn_up_shexp.weight": "mlp.shared_expert.up_proj.weight",
    "ffn_down_shexp.weight": "mlp.shared_expert.down_proj.weight",
}
ONE_PLUS = {
    "attn_norm.weight": "input_layernorm.weight",
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
}


@dataclasses.dataclass
class Vocabulary:
    """A byte-level BPE vocabulary in the alphabet of GPT-2 (see `byte_alphabet`)."""

    tokens: list[str]
    types: list[int]
    merges: list[str]  # "left right"
    pre: str = "qwen35"
    eos_id: int | None = None
    pad_id: int | None = None
    chat_template: str | None = None


def byte_alphabet():
    """The 256 characters that stand for bytes in byte-level BPE: index = byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    table = {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}
    return [table[b] for b in range(256)]


def byte_level_vocabulary(merges, specials, eos="<|im_end|>", pad="<|endoftext|>", pre="qwen35"):
    """256 bytes, a token per merge ("left right"), then specials; those in <| |> are control."""
    tokens = sorted(byte_alphabet()) + [merge.replace(" ", "") for merge in merges]
    types = [NORMAL] * len(tokens)
    tokens += specials
    types += [CONTROL if special.startswith("<|") else USER_DEFINED for special in specials]
    assert len(set(tokens)) == len(tokens), "a token occurs twice"
    ids = {token: i for i, token in enumerate(tokens)}
    return Vocabulary(tokens, types, list(merges), pre, ids[eos], ids[pad])


def _reorder(array, config, axis, n_head_values, inverse=False):
    """Moves value heads between transformers' order (key head major) and GGUF's (key head minor).

    With r value heads per key head, transformers' head k*r + i is GGUF's head i*n_key_heads + k.
    """
    n_key = config.linear_num_key_heads
    n_per_key = config.linear_num_value_heads // n_key
    first, second = (n_per_key, n_key) if inverse else (n_key, n_per_key)
    shape = array.shape
    split = array.reshape(*shape[:axis], first, second, n_head_values, *shape[axis + 1 :])
    return np.ascontiguousarray(split.swapaxes(axis, axis + 1)).reshape(shape)


def _reorder_qkv(array, config, inverse=False):
    """Rows [q | k | v] of the joint projection or convolution: only v's heads move."""
    n_qk = 2 * config.linear_key_head_dim * config.linear_num_key_heads
    v = _reorder(array[n_qk:], config, 0, config.linear_value_head_dim, inverse)
    return np.concatenate([array[:n_qk], v])


def _linear_attention_to_gguf(get, config):
    d_value = config.linear_value_head_dim
    return {
        "attn_qkv.weight": _reorder_qkv(get("in_proj_qkv.weight"), config),
        "attn_gate.weight": _reorder(get("in_proj_z.weight"), config, 0, d_value),
        "ssm_conv1d.weight": _reorder_qkv(get("conv1d.weight").squeeze(CONV_KERNEL_AXIS), config),
        "ssm_dt.bias": _reorder(get("dt_bias"), config, 0, 1),
        "ssm_a": _reorder(-np.exp(get("A_log")), config, 0, 1),
        "ssm_alpha.weight": _reorder(get("in_proj_a.weight"), config, 0, 1),
        "ssm_beta.weight": _reorder(get("in_proj_b.weight"), config, 0, 1),
        "ssm_out.weight": _reorder(get("out_proj.weight"), config, 1, d_value),
    }


def _linear_attention_from_gguf(get, config):
    d_value = config.linear_value_head_dim
    conv = _reorder_qkv(get("ssm_conv1d.weight"), config, True)
    return {
        "in_proj_qkv.weight": _reorder_qkv(get("attn_qkv.weight"), config, True),
        "in_proj_z.weight": _reorder(get("attn_gate.weight"), config, 0, d_value, True),
        "conv1d.weight": np.expand_dims(conv, CONV_KERNEL_AXIS),
        "dt_bias": _reorder(get("ssm_dt.bias"), config, 0, 1, True),
        "A_log": _reorder(np.log(-get("ssm_a")), config, 0, 1, True),
        "in_proj_a.weight": _reorder(get("ssm_alpha.weight"), config, 0, 1, True),
        "in_proj_b.weight": _reorder(get("ssm_beta.weight"), config, 0, 1, True),
        "out_proj.weight": _reorder(get("ssm_out.weight"), config, 1, d_value, True),
    }


def to_gguf_tensors(state, config, fused_gate_up=False):
    """State dict of torch tensors -> GGUF name to float32 array, in the file's order."""
    state = {name: t.detach().float().numpy() for name, t in state.items()}
    out = {"token_embd.weight": state["model.embed_tokens.weight"]}
    for i in range(config.num_hidden_layers):
        layer, block = f"model.layers.{i}.", f"blk.{i}."
        for name, theirs in PLAIN.items():
            if layer + theirs in state:
                out[block + name] = state[layer + theirs]
        for name, theirs in ONE_PLUS.items():
            if layer + theirs in state:
                out[block + name] = np.float32(1) + state[layer + theirs]
        if config.layer_types[i] == "linear_attention":
            mixer = _linear_attention_to_gguf(lambda n: state[layer + "linear_attn." + n], config)
            out |= {block + name: array for name, array in mixer.items()}
        out[block + "ffn_gate_inp_shexp.weight"] = state[layer + "mlp.shared_expert_gate.weight"][0]
        gate_up = state[layer + "mlp.experts.gate_up_proj"]  # [n_experts, 2 * d_expert, d_model]
        if fused_gate_up:
            out[block + "ffn_gate_up_exps.weight"] = gate_up
        else:
            gate, up = np.split(gate_up, 2, axis=1)
            out |= {block + "ffn_gate_exps.weight": gate, block + "ffn_up_exps.weight": up}
    out["output_norm.weight"] = np.float32(1) + state["model.norm.weight"]
    if not config.tie_word_embeddings:
        out["output.weight"] = state["lm_head.weight"]
    return {name: np.ascontiguousarray(array) for name, array in out.items()}


def from_gguf_tensors(tensors, config):
    """The inverse of to_gguf_tensors: a state dict for load_state_dict(..., strict=True)."""
    state = {"model.embed_tokens.weight": tensors["token_embd.weight"]}
    for i in range(config.num_hidden_layers):
        layer, block = f"model.layers.{i}.", f"blk.{i}."
        for name, theirs in PLAIN.items():
            if block + name in tensors:
                state[layer + theirs] = tensors[block + name]
        for name, theirs in ONE_PLUS.items():
            if block + name in tensors:
                state[layer + theirs] = tensors[block + name] - np.float32(1)
        if config.layer_types[i] == "linear_attention":
            mixer = _linear_attention_from_gguf(lambda n: tensors[block + n], config)
            state |= {layer + "linear_attn." + name: array for name, array in mixer.items()}
        shared_gate = tensors[block + "ffn_gate_inp_shexp.weight"]
        state[layer + "mlp.shared_expert_gate.weight"] = shared_gate[None]
        gate_up = tensors.get(block + "ffn_gate_up_exps.weight")
        if gate_up is None:
            parts = [tensors[block + f"ffn_{part}_exps.weight"] for part in ("gate", "up")]
            gate_up = np.concatenate(parts, axis=1)
        state[layer + "mlp.experts.gate_up_proj"] = gate_up
    state["model.norm.weight"] = tensors["output_norm.weight"] - np.float32(1)
    state["lm_head.weight"] = tensors.get("output.weight", tensors["token_embd.weight"])
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.items()}


def stays_f32(name, array):
    """What real files keep in F32 whatever the type of the rest: vectors, convolutions, routers."""
    return array.ndim < 2 or "ssm_conv1d" in name or "ffn_gate_inp" in name


def type_rule(dense, experts=None):
    """A function (name, array) -> type: experts' slabs get `experts`, other matrices `dense`."""

    def rule(name, array):
        if stays_f32(name, array):
            return quant.Type.F32
        return quant.Type[(experts or dense) if "_exps." in name else dense]

    rule.main_type = experts or dense
    return rule


def decoded(tensors, types):
    """The weights that a reader of the file sees after decoding."""
    return {n: quant.decode(quant.encode(a, types(n, a)), types(n, a)) for n, a in tensors.items()}


def _add_config(writer, config, n_nextn):
    interval = config.layer_types.index("full_attention") + 1
    n_rope = int(config.head_dim * config.rope_parameters["partial_rotary_factor"])
    n_third = -(-n_rope // 6)
    sections = [n_third, n_third, n_rope // 2 - 2 * n_third, 0]
    writer.add_block_count(config.num_hidden_layers + n_nextn)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(n_rope)
    writer.add_rope_dimension_sections(sections)
    writer.add_expert_count(config.num_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)
    writer.add_ssm_conv_kernel(config.linear_conv_kernel_dim)
    writer.add_ssm_state_size(config.linear_key_head_dim)
    writer.add_ssm_group_count(config.linear_num_key_heads)
    writer.add_ssm_time_step_rank(config.linear_num_value_heads)
    writer.add_ssm_inner_size(config.linear_value_head_dim * config.linear_num_value_heads)
    writer.add_uint32(f"{ARCH}.full_attention_interval", interval)
    if n_nextn:
        writer.add_uint32(f"{ARCH}.nextn_predict_layers", n_nextn)


def _add_vocabulary(writer, vocabulary):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_add_bos_token(False)
    if vocabulary.eos_id is not None:
        writer.add_eos_token_id(vocabulary.eos_id)
    if vocabulary.pad_id is not None:
        writer.add_pad_token_id(vocabulary.pad_id)
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)


def write_gguf(path, config, tensors, vocabulary, types, name="", n_nextn=0, extra=None):
    """Writes one GGUF v3 file. `tensors`: GGUF name -> float32 array, `types`: see type_rule.

    `n_nextn` blocks of multi-token prediction come after the layers of `config`; their tensors are in
    `tensors` already. `extra`: further keys -> texts or floats. The same arguments give the same bytes.
    """
    writer = gguf.GGUFWriter(path, ARCH)
    writer.add_name(name or "qwen35moe")
    writer.add_file_type(FILE_TYPES.get(getattr(types, "main_type", "F32"), 0))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for key, value in (extra or {}).items():
        (writer.add_string if isinstance(value, str) else writer.add_float32)(key, value)
    _add_config(writer, config, n_nextn)
    _add_vocabulary(writer, vocabulary)
    for tensor_name, array in tensors.items():
        qtype = types(tensor_name, array)
        writer.add_tensor(tensor_name, quant.encode(array, qtype), raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
