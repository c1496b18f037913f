"""A fast Qwen3.5-MoE for training small models: same names, same mathematics, other loops.

`Model` has the parameter names of transformers' Qwen3_5MoeForCausalLM, so state dicts move both ways;
check_model.py compares the logits. All experts are computed at once on a GPU (few and small: one large
product is faster than sorting tokens) and one after the other on a CPU. Rows hold several documents: `doc` ids
keep attention, convolution and recurrent state inside each. One process, one device.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

CHUNK = 32
RESET_LOG_DECAY = -30.0  # exp(-30): a state of the document before is below float rounding


def config_dict(vocab_size):
    """The demo model's shape, as arguments of transformers' Qwen3_5MoeTextConfig."""
    return dict(
        vocab_size=vocab_size, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        head_dim=64, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=64,
        linear_value_head_dim=64, linear_conv_kernel_dim=4, num_experts=16, num_experts_per_tok=4,
        moe_intermediate_size=256, shared_expert_intermediate_size=128, rms_norm_eps=1e-6,
        max_position_embeddings=32768, tie_word_embeddings=True, full_attention_interval=2,
        rope_parameters=dict(rope_type="default", rope_theta=1e7, partial_rotary_factor=0.25,
                             mrope_section=[3, 3, 2]))


class RmsNorm(nn.Module):
    """x / rms(x) * (1 + w), or * w when `plain`."""

    def __init__(self, width, eps, plain=False):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width) if plain else torch.zeros(width))
        self.eps, self.plain = eps, plain

    def forward(self, x):
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        scale = self.weight if self.plain else 1 + self.weight
        return (y * scale).to(x.dtype)


def rotate(x, cos, sin):
    """Half-split rotation of the first 2 * cos.shape[-1] entries of each head. x [B, H, T, D]."""
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        width = c["hidden_size"]
        self.q_proj = nn.Linear(width, 2 * self.heads * self.dim, bias=False)
        self.k_proj = nn.Linear(width, self.kv_heads * self.dim, bias=False)
        self.v_proj = nn.Linear(width, self.kv_heads * self.dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.dim, width, bias=False)
        self.q_norm = RmsNorm(self.dim, c["rms_norm_eps"])
        self.k_norm = RmsNorm(self.dim, c["rms_norm_eps"])

    def forward(self, x, aux):
        batch, length, _ = x.shape
        q, gate = self.q_proj(x).view(batch, length, self.heads, 2 * self.dim).chunk(2, -1)
        k = self.k_proj(x).view(batch, length, self.kv_heads, self.dim)
        v = self.v_proj(x).view(batch, length, self.kv_heads, self.dim).transpose(1, 2)
        q = rotate(self.q_norm(q).transpose(1, 2), aux["cos"], aux["sin"]).to(v.dtype)
        k = rotate(self.k_norm(k).transpose(1, 2), aux["cos"], aux["sin"]).to(v.dtype)
        k = k.repeat_interleave(self.heads // self.kv_heads, 1)
        v = v.repeat_interleave(self.heads // self.kv_heads, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=aux["mask"])
        y = y.transpose(1, 2).reshape(batch, length, -1)
        return self.o_proj(y * torch.sigmoid(gate.reshape(batch, length, -1)))


def unit_lower_inverse(lower):
    """Inverse of I + `lower`, strictly lower triangular [..., CHUNK, CHUNK]: blocks of 8 by a finite power
    series, then pairs of blocks joined: [[A, 0], [C, B]]^-1 = [[A^-1, 0], [-B^-1 C A^-1, B^-1]]."""
    *lead, size, _ = lower.shape
    n, width = size // 8, 8
    blocks = lower.reshape(*lead, n, 8, n, 8)
    a = -torch.stack([blocks[..., i, :, i, :] for i in range(n)], -3)
    one = torch.eye(8, device=a.device, dtype=a.dtype)
    square = a @ a
    inverse = (one + a) @ (one + square) @ (one + square @ square)
    while n > 1:
        n //= 2
        split = lower.reshape(*lead, n, 2, width, n, 2, width)
        corner = torch.stack([split[..., i, 1, :, i, 0, :] for i in range(n)], -3)
        first, second = inverse[..., 0::2, :, :], inverse[..., 1::2, :, :]
        corner = -(second @ corner @ first)
        inverse = torch.cat([F.pad(first, (0, width)), torch.cat([corner, second], -1)], -2)
        width *= 2
    return inverse.squeeze(-3)


def delta_rule(q, k, v, g, beta):
    """Gated delta rule in chunks, float32. q, k [B, H, T, Dk], v [B, H, T, Dv], g (log decay) and beta
    [B, H, T]; T a multiple of CHUNK. The textbook form (Yang et al., Gated Delta Networks, 2024)."""
    batch, heads, length, _ = q.shape
    shape = (batch, heads, length // CHUNK, CHUNK)
    q, k, v = (t.reshape(*shape, t.shape[-1]) for t in (q, k, v))
    g, beta = g.reshape(shape).cumsum(-1), beta.reshape(*shape, 1)
    ones = torch.ones(CHUNK, CHUNK, dtype=torch.bool, device=q.device)
    decay = (g.unsqueeze(-1) - g.unsqueeze(-2)).masked_fill(~ones.tril(), float("-inf")).exp()
    system = (((k * beta) @ k.transpose(-1, -2)) * decay).tril(-1)
    right = torch.cat([v * beta, k * beta * g.exp().unsqueeze(-1)], -1)
    solved = unit_lower_inverse(system) @ right
    fresh, read = solved.split([v.shape[-1], k.shape[-1]], -1)
    inner = (q @ k.transpose(-1, -2)) * decay
    q = q * g.exp().unsqueeze(-1)
    k = k * (g[..., -1:] - g).exp().unsqueeze(-1)
    last = g[..., -1].exp()[..., None, None]
    state = torch.zeros(batch, heads, k.shape[-1], v.shape[-1], device=q.device, dtype=q.dtype)
    out = []
    for i in range(shape[2]):
        new = fresh[:, :, i] - read[:, :, i] @ state
        out.append(q[:, :, i] @ state + inner[:, :, i] @ new)
        state = state * last[:, :, i] + k[:, :, i].transpose(-1, -2) @ new
    return torch.stack(out, 2).reshape(batch, heads, length, -1)


class LinearAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.k_heads, self.v_heads = c["linear_num_key_heads"], c["linear_num_value_heads"]
        self.k_dim, self.v_dim = c["linear_key_head_dim"], c["linear_value_head_dim"]
        width, taps = c["hidden_size"], c["linear_conv_kernel_dim"]
        keys, values = self.k_heads * self.k_dim, self.v_heads * self.v_dim
        self.sizes = [keys, keys, values]
        self.in_proj_qkv = nn.Linear(width, sum(self.sizes), bias=False)
        self.in_proj_z = nn.Linear(width, values, bias=False)
        self.in_proj_b = nn.Linear(width, self.v_heads, bias=False)
        self.in_proj_a = nn.Linear(width, self.v_heads, bias=False)
        self.conv1d = nn.Conv1d(sum(self.sizes), sum(self.sizes), taps, groups=sum(self.sizes), bias=False)
        # Decays from one in a thousand to one in three per token, spread over the heads.
        step = torch.logspace(-3, -0.5, self.v_heads)
        self.dt_bias = nn.Parameter(step.expm1().log())
        self.A_log = nn.Parameter(torch.zeros(self.v_heads))
        self.norm = RmsNorm(self.v_dim, c["rms_norm_eps"], plain=True)
        self.out_proj = nn.Linear(values, width, bias=False)

    def forward(self, x, aux):
        batch, length, _ = x.shape
        raw = self.in_proj_qkv(x)
        taps = self.conv1d.weight.squeeze(1).to(raw.dtype)  # [channels, taps], the last is the current token
        mixed = raw * taps[:, -1]
        for back in range(1, taps.shape[1]):
            shifted = F.pad(raw, (0, 0, back, 0))[:, :length] * aux["same"][back - 1]
            mixed = mixed + shifted * taps[:, -1 - back]
        q, k, v = (t.reshape(batch, length, -1, d).transpose(1, 2).float() for t, d in
                   zip(F.silu(mixed).split(self.sizes, -1), (self.k_dim, self.k_dim, self.v_dim)))
        q, k = (t * torch.rsqrt(t.pow(2).sum(-1, keepdim=True) + 1e-6) for t in (q, k))
        repeat = self.v_heads // self.k_heads
        q = (q * self.k_dim ** -0.5).repeat_interleave(repeat, 1)
        k = k.repeat_interleave(repeat, 1)
        beta = self.in_proj_b(x).float().sigmoid().transpose(1, 2)
        g = -self.A_log.exp() * F.softplus(self.in_proj_a(x).float() + self.dt_bias)
        g = torch.where(aux["first"].unsqueeze(-1), RESET_LOG_DECAY, g).transpose(1, 2)
        with torch.autocast(x.device.type, enabled=False):
            y = delta_rule(q, k, v, g, beta)
        y = self.norm(y.transpose(1, 2))
        z = self.in_proj_z(x).view(batch, length, self.v_heads, self.v_dim)
        y = (y * F.silu(z.float())).to(x.dtype).reshape(batch, length, -1)
        return self.out_proj(y)


def fake_q4k(w):
    """Rows of 256 rounded as Q4_K stores them: blocks of 32 with 6-bit scales and minima."""
    blocks = w.detach().float().reshape(-1, 8, 32)
    low = blocks.amin(-1, keepdim=True).clamp(max=0)
    scale = (blocks.amax(-1, keepdim=True) - low) / 15
    top_scale = scale.amax(1, keepdim=True).clamp(min=1e-12) / 63
    top_low = (-low).amax(1, keepdim=True).clamp(min=1e-12) / 63
    scale = (scale / top_scale).round().clamp(min=1) * top_scale
    low = -(-low / top_low).round() * top_low
    return (((blocks - low) / scale).round().clamp(0, 15) * scale + low).reshape(w.shape).to(w.dtype)


class RoundedExperts:
    """While entered, the experts hold rounded weights; gradients made meanwhile go to the full ones, which
    come back on leaving (straight-through estimation)."""

    def __init__(self, model, on=True):
        self.parameters = [p for n, p in model.named_parameters() if ".experts." in n] if on else []

    def __enter__(self):
        self.full = [p.data for p in self.parameters]
        for p in self.parameters:
            p.data = fake_q4k(p)

    def __exit__(self, *_):
        for p, full in zip(self.parameters, self.full):
            p.data = full


class PaddedExperts(torch.autograd.Function):
    """Experts on a CPU: tokens sorted by expert into equal rooms of `room` rows, one batched product for all.
    Rooms are padded to a multiple of 128 rows, for the library makes a new kernel for each new shape.

    x [N, width] and the products in bfloat16 under autocast, else in x's type; weights and their gradients
    float32. source [experts * room] says whose row stands there (padding: row 0, share 0), place [N * used] where
    a choice stands.
    """

    @staticmethod
    def forward(ctx, x, top, gate_up, down, source, share, place):
        kind = torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype
        x, gate_up, down, share = x.to(kind), gate_up.to(kind), down.to(kind), share.to(kind)
        (experts, width, inner), used = down.shape, top.shape[1]
        xs = x.index_select(0, source).view(experts, -1, width)
        both = torch.bmm(xs, gate_up.mT)
        hidden = F.silu(both[..., :inner]).mul_(both[..., inner:])
        y = torch.bmm(hidden, down.mT).view(-1, width).index_select(0, place).view(-1, used, width)
        ctx.save_for_backward(xs, top, gate_up, down, both, hidden, y, source, share, place)
        return torch.bmm(top.to(kind).unsqueeze(1), y).squeeze(1)

    @staticmethod
    def backward(ctx, gradient):
        xs, top, gate_up, down, both, hidden, y, source, share, place = ctx.saved_tensors
        used, inner = top.shape[1], hidden.shape[-1]
        gradient = gradient.to(xs.dtype)
        d_top = torch.bmm(y, gradient.unsqueeze(-1)).squeeze(-1).to(top.dtype)
        dy = gradient.index_select(0, source).mul_(share.unsqueeze(-1)).view_as(xs)
        d_hidden = torch.bmm(dy, down)
        d_down = torch.bmm(dy.mT, hidden)
        gate, up = both[..., :inner], both[..., inner:]
        d_up = F.silu(gate).mul_(d_hidden)
        d_both = torch.cat([torch.ops.aten.silu_backward(d_hidden.mul_(up), gate), d_up], -1)
        d_gate_up = torch.bmm(d_both.mT, xs)
        dx = torch.bmm(d_both, gate_up).view(-1, xs.shape[-1])
        dx = dx.index_select(0, place).view(-1, used, xs.shape[-1]).sum(1)
        return dx, d_top, d_gate_up.float(), d_down.float(), None, None, None


class Experts(nn.Module):
    def __init__(self, c):
        super().__init__()
        n, width, inner = c["num_experts"], c["hidden_size"], c["moe_intermediate_size"]
        self.gate_up_proj = nn.Parameter(torch.empty(n, 2 * inner, width))
        self.down_proj = nn.Parameter(torch.empty(n, width, inner))

    def forward(self, x, weights, chosen, top, dense):
        """x [N, width]; weights [N, experts], zero where an expert was not chosen; chosen, top [N, used]."""
        gate_up, down = self.gate_up_proj, self.down_proj
        n, width, inner = down.shape
        if dense:
            gate, up = gate_up.chunk(2, 1)
            gate = F.linear(x, gate.reshape(n * inner, width)).view(-1, n, inner)
            up = F.linear(x, up.reshape(n * inner, width)).view(-1, n, inner)
            hidden = F.silu(gate) * up * weights.unsqueeze(-1).to(up.dtype)
            return F.linear(hidden.view(-1, n * inner), down.permute(1, 0, 2).reshape(width, n * inner))
        order = chosen.flatten().argsort(stable=True)
        owner = chosen.flatten()[order]
        counts = owner.bincount(minlength=n)
        room = -(-int(counts.max()) // 128) * 128
        rows = owner * room + torch.arange(len(order)) - (counts.cumsum(0) - counts)[owner]
        source = torch.zeros(n * room, dtype=torch.long).index_copy_(0, rows, order // chosen.shape[1])
        share = torch.zeros(n * room).index_copy_(0, rows, top.detach().flatten()[order].float())
        place = torch.empty_like(order).index_copy_(0, order, rows)
        return PaddedExperts.apply(x, top, gate_up, down, source, share, place)


class Gate(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(c["num_experts"], c["hidden_size"]))


class Mlp(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Moe(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.used = c["num_experts_per_tok"]
        self.gate, self.experts = Gate(c), Experts(c)
        self.shared_expert = Mlp(c["hidden_size"], c["shared_expert_intermediate_size"])
        self.shared_expert_gate = nn.Linear(c["hidden_size"], 1, bias=False)

    def forward(self, x, live, dense):
        """x [N, width], live [N]. Returns the output and the balance term: experts * sum(share of tokens * mean probability)."""
        with torch.autocast(x.device.type, enabled=False):
            probabilities = F.linear(x.float(), self.gate.weight).softmax(-1)
        top, chosen = probabilities.topk(self.used, -1)
        top = top / top.sum(-1, keepdim=True)
        weights = torch.zeros_like(probabilities).scatter(1, chosen, top)
        out = self.experts(x, weights, chosen, top, dense)
        out = out + torch.sigmoid(self.shared_expert_gate(x)) * self.shared_expert(x)
        live = live.unsqueeze(-1)
        total = live.sum().clamp(min=1)
        share = ((weights > 0) * live).sum(0) / (total * self.used)
        balance = share.shape[0] * (share * (probabilities * live).sum(0) / total).sum()
        return out, balance, share


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.full = (index + 1) % c["full_attention_interval"] == 0
        self.input_layernorm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])
        self.post_attention_layernorm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])
        if self.full:
            self.self_attn = Attention(c)
        else:
            self.linear_attn = LinearAttention(c)
        self.mlp = Moe(c)

    def forward(self, x, aux, wanted=None):
        """x [B, T, width]; with `wanted` (flat positions) only their rows [n, width] leave the layer."""
        mixer = self.self_attn if self.full else self.linear_attn
        x = x + mixer(self.input_layernorm(x), aux)
        shape, live = x.shape, aux["live"].flatten()
        x = x.flatten(0, 1)
        if wanted is not None:
            x, live, shape = x[wanted], live[wanted], (len(wanted), x.shape[-1])
        y, balance, share = self.mlp(self.post_attention_layernorm(x), live, aux["dense"])
        return (x + y).view(shape), balance, share


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c["num_hidden_layers"]))
        self.norm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])


class Model(nn.Module):
    """Logits of packed rows. Output and embedding share one matrix."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = Body(config)
        rope = config["rope_parameters"]
        size = int(config["head_dim"] * rope["partial_rotary_factor"])
        self.register_buffer(
            "inv_freq", rope["rope_theta"] ** -(torch.arange(0, size, 2).float() / size), persistent=False)
        self.dense = None
        for name, p in self.named_parameters():
            if "embed" in name:
                nn.init.normal_(p, std=0.02)
            elif p.ndim >= 2 and "conv1d" not in name:
                out = any(part in name for part in ("o_proj", "out_proj", "down_proj"))
                nn.init.normal_(p, std=p.shape[-1] ** -0.5 * (0.4 if out else 0.01 if "gate.weight" in name else 1))

    def aux(self, doc):
        """What every layer needs to know about the rows. doc [B, T], ids from 1, 0 for padding."""
        length = doc.shape[1]
        same = [(F.pad(doc, (k, 0))[:, :length] == doc).unsqueeze(-1) for k in range(1, 4)]
        mask = (doc.unsqueeze(1) == doc.unsqueeze(2)).tril().unsqueeze(1)
        angle = torch.arange(length, device=doc.device).float()[:, None] * self.inv_freq
        first = ~same[0].squeeze(-1)
        dense = doc.is_cuda if self.dense is None else self.dense
        return dict(same=same, mask=mask, cos=angle.cos(), sin=angle.sin(), first=first, live=(doc > 0).float(),
                    dense=dense)

    def forward(self, tokens, doc=None, wanted=None):
        """tokens [B, T] -> (hidden [B, T, width] after the last norm, balance, shares [layers, experts]).
        T must be a multiple of CHUNK; doc defaults to one document per row. With `wanted`, flat positions,
        hidden is [n, width]: what only the other positions need of the last layer is not computed."""
        doc = torch.ones_like(tokens) if doc is None else doc
        aux = self.aux(doc)
        x = self.model.embed_tokens(tokens)
        balances, shares = [], []
        for layer in self.model.layers:
            x, balance, share = layer(x, aux, wanted if layer is self.model.layers[-1] else None)
            balances.append(balance)
            shares.append(share)
        return self.model.norm(x), torch.stack(balances).mean(), torch.stack(shares)

    def logits(self, hidden):
        return F.linear(hidden, self.model.embed_tokens.weight)
