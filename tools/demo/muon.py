"""Muon (Jordan et al., 2024) for stacks of matrices, with AdamW-like step sizes (Liu et al., 2025).

The momentum of each matrix is made orthogonal by five Newton-Schulz steps and scaled by
0.2 * sqrt(longer side), so that one learning rate and decay serve Muon and AdamW. Single device.
"""
import torch


def orthogonal(g, steps=5):
    """Newton-Schulz iteration over the last two dimensions: g -> about U V^T of its SVD."""
    x = g.to(torch.bfloat16 if g.is_cuda else torch.float32)
    flip = x.shape[-2] > x.shape[-1]
    if flip:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if flip else x).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """Parameters of two or more dimensions; leading ones count matrices. `halves` splits rows in two."""

    def __init__(self, params, lr=1e-3, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay, halves=False))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"]
                m.lerp_(p.grad, 1 - group["momentum"])
                g = p.grad.lerp(m, group["momentum"])
                if group["halves"]:
                    g = g.view(-1, g.shape[-2] // 2, g.shape[-1])
                update = orthogonal(g) * (0.2 * max(g.shape[-2:]) ** 0.5)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update.view_as(p), alpha=-group["lr"])
