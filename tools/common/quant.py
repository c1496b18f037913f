"""Encodes float arrays into GGUF block types, in numpy.

F16, BF16, Q8_0 and Q4_0 come from the gguf package. Q4_K, Q5_K and Q6_K, which it cannot encode, are
encoded here by plain min/max scales per sub-block: valid blocks with a sane error, not the best ones.
`decode` gives exactly the weights that a reader of the file must see.
"""

import gguf
import numpy as np

Type = gguf.GGMLQuantizationType
K_BLOCK = 256
ROWS_PER_CHUNK = 4096


def _scaled(values, scale):
    """values / scale, and 0 where the scale is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(scale == 0, 0, values / scale)


def _pack_scales(scales, mins):
    """Eight 6-bit scales and eight 6-bit minima in 12 bytes. [n, 8], [n, 8] -> [n, 12]"""
    low = scales[:, :4] | ((scales[:, 4:] >> 4) << 6)
    mid = mins[:, :4] | ((mins[:, 4:] >> 4) << 6)
    high = (scales[:, 4:] & 15) | ((mins[:, 4:] & 15) << 4)
    return np.concatenate([low, mid, high], axis=1)


def _encode_min_max(blocks, n_bits):
    """Q4_K and Q5_K: x = d * scale * q - dmin * min. [n, 256] -> scales header [n, 16], q [n, 8, 32]"""
    sub = blocks.reshape(-1, 8, 32)
    low = np.minimum(sub.min(axis=2), 0)
    step = (sub.max(axis=2) - low) / (2**n_bits - 1)
    d = (step.max(axis=1) / 63).astype(np.float16)
    d_min = ((-low).max(axis=1) / 63).astype(np.float16)
    wide, wide_min = d.astype(np.float32)[:, None], d_min.astype(np.float32)[:, None]
    scales = np.clip(np.round(_scaled(step, wide)), 0, 63).astype(np.uint8)
    mins = np.clip(np.round(_scaled(-low, wide_min)), 0, 63).astype(np.uint8)
    real_step, real_min = wide * scales, wide_min * mins
    q = np.round(_scaled(sub + real_min[:, :, None], real_step[:, :, None]))
    q = np.clip(q, 0, 2**n_bits - 1).astype(np.uint8)
    halves = np.stack([d, d_min], axis=1).astype("<f2").view(np.uint8)
    return np.concatenate([halves, _pack_scales(scales, mins)], axis=1), q


def _pack_nibbles(q):
    """Pairs of 32-value groups share 32 bytes, the first in the low nibbles. [n, 8, 32] -> [n, 128]"""
    pairs = (q & 15).reshape(-1, 4, 2, 32)
    return (pairs[:, :, 0] | (pairs[:, :, 1] << 4)).reshape(-1, 128)


def _encode_q4_k(blocks):
    header, q = _encode_min_max(blocks, 4)
    return np.concatenate([header, _pack_nibbles(q)], axis=1)


def _encode_q5_k(blocks):
    header, q = _encode_min_max(blocks, 5)
    top = (q >> 4) << np.arange(8, dtype=np.uint8)[None, :, None]
    return np.concatenate([header, np.bitwise_or.reduce(top, axis=1), _pack_nibbles(q)], axis=1)


def _encode_q6_k(blocks):
    """x = d * scale * (q - 32), a signed 8-bit scale for each 16 values."""
    sub = blocks.reshape(-1, 16, 16)
    step = np.abs(sub).max(axis=2) / 31
    d = (step.max(axis=1) / 127).astype(np.float16)
    wide = d.astype(np.float32)[:, None]
    scales = np.clip(np.round(_scaled(step, wide)), 0, 127).astype(np.int8)
    q = np.round(_scaled(sub, (wide * scales)[:, :, None]))
    q = (np.clip(q, -32, 31) + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = (q[:, :, :2] & 15) | ((q[:, :, 2:] & 15) << 4)
    high = (q >> 4) << np.array([0, 2, 4, 6], dtype=np.uint8)[None, None, :, None]
    high = np.bitwise_or.reduce(high, axis=2)
    parts = [low.reshape(-1, 128), high.reshape(-1, 64), scales.view(np.uint8)]
    return np.concatenate([*parts, d.astype("<f2").view(np.uint8).reshape(-1, 2)], axis=1)


_K_ENCODERS = {Type.Q4_K: _encode_q4_k, Type.Q5_K: _encode_q5_k, Type.Q6_K: _encode_q6_k}


def encode(array, qtype):
    """float32 [..., row] -> the bytes of the rows, uint8 [..., row bytes] (F32: float32 as it is)."""
    array = np.ascontiguousarray(array, dtype=np.float32)
    if qtype == Type.F32:
        return array
    if qtype not in _K_ENCODERS:
        return np.ascontiguousarray(gguf.quants.quantize(array, qtype)).view(np.uint8)
    if array.shape[-1] % K_BLOCK:
        raise ValueError(f"{qtype.name} needs rows of a multiple of {K_BLOCK}, not {array.shape[-1]}")
    blocks = array.reshape(-1, K_BLOCK)
    chunks = [
        _K_ENCODERS[qtype](blocks[i : i + ROWS_PER_CHUNK])
        for i in range(0, len(blocks), ROWS_PER_CHUNK)
    ]
    return np.concatenate(chunks).reshape(*array.shape[:-1], -1)


def decode(data, qtype):
    """The inverse of encode: float32 values that the bytes stand for."""
    if qtype == Type.F32:
        return data
    return gguf.quants.dequantize(data, qtype).astype(np.float32)
