"""Trains the demo model: python train.py --out DIR [--resume] [--decay-minutes M].

The learning rate rises, then stays: the run goes on until it is stopped, and writes DIR/state.pt (weights,
optimizers, progress) every few minutes, from which --resume goes on. A run with --decay-minutes lets the rate
fall to nothing over M minutes, with the experts rounded as Q4_K stores them, writes DIR/final.pt (weights)
and ends; state.pt stays as it was, so that training can go on from before the fall and end better later.
--processes N shares each step among N processes of one thread each (on a busy machine threads wait for each
other, processes hardly do). DIR/log.jsonl has loss, tokens, balance and the accuracy of each skill on unseen prompts. One device.
"""
import argparse
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import data
from model import Model, RoundedExperts, config_dict
from muon import Muon


MUON_SHARE = 3  # Muon's step is 0.2 of its learning rate per weight, AdamW's is nearer to 0.6


def optimizers(model, options):
    """Muon for stacks of matrices and AdamW for the rest, or AdamW for all (cheaper by far per step)."""
    matrices, halves, rest, plain = [], [], [], []
    single = ("embed", "conv1d", "mlp.gate.", "in_proj_a", "in_proj_b", "shared_expert_gate")
    for name, p in model.named_parameters():
        if p.ndim < 2:
            plain.append(p)
        elif not options.muon or any(part in name for part in single) or options.muon == "dense" and ".experts." in name:
            rest.append(p)
        else:
            (halves if "gate_up_proj" in name else matrices).append(p)
    adam = torch.optim.AdamW([dict(params=rest, weight_decay=0.02), dict(params=plain, weight_decay=0.0)],
                             lr=options.lr, betas=(0.9, 0.98), eps=1e-9, fused=True)
    if not options.muon:
        return [adam]
    groups = [dict(params=matrices)] + ([dict(params=halves)] if halves else [])
    muon = Muon(groups, lr=options.lr, weight_decay=0.05)
    for group in muon.param_groups:
        group["halves"], group["share"] = any(p is q for p in group["params"] for q in halves), MUON_SHARE
    return [muon, adam]


def on(device, arrays):
    """Numpy batch to tensors: tokens, targets, doc, weight."""
    tokens, doc, weight = (torch.from_numpy(a) for a in arrays)
    if device.type == "cuda":
        tokens, doc, weight = (t.pin_memory().to(device, non_blocking=True) for t in (tokens, doc, weight))
    tokens = tokens.long()
    return tokens[:, :-1], tokens[:, 1:], doc[:, :-1].int(), weight[:, 1:] * (doc[:, 1:] == doc[:, :-1])


def chosen_positions(weight, generator):
    """Flat positions whose prediction is learned: answers, and one in twelve of the others."""
    weight = weight.flatten()
    lucky = torch.rand(weight.shape, generator=generator).to(weight.device) < 1 / 12
    chosen = ((weight == 1) | (lucky & (weight > 0))).nonzero().squeeze(-1)
    return filled(chosen, (weight == 0).nonzero().squeeze(-1))


def filled(chosen, unweighted):
    """`chosen` and, while there are any, positions of no weight up to a multiple of 256: few different shapes."""
    return torch.cat([chosen, unweighted[:-len(chosen) % 256]])


def weighted_loss(hidden, matrix, targets, weight):
    """Mean over positions: hidden [n, width], targets and weight [n]."""
    loss = F.cross_entropy(F.linear(hidden, matrix).float(), targets, reduction="none")
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def accuracy(model, rows, device, size):
    """Share of evaluation items whose whole answer is the greedy one, by skill. Gradients stay on and rows are
    filled up to `size`, so that a compiled model is the one that trains."""
    tokens, doc, owner, skills = rows
    wrong = set()
    for a in range(0, len(tokens), size):
        parts = (np.pad(x[a:a + size], ((0, max(0, a + size - len(x))), (0, 0))) for x in (tokens, doc, owner))
        t, d, o = (torch.from_numpy(x).to(device) for x in parts)
        wanted = (o[:, 1:].flatten() > 0).nonzero().squeeze(-1)
        with torch.autocast(device.type, torch.bfloat16), torch.set_grad_enabled(device.type == "cuda"):
            hidden = model(t[:, :-1], d[:, :-1].int(), wanted)[0].detach()
            best = model.logits(hidden).argmax(-1)
        bad = best != t[:, 1:].flatten()[wanted]
        wrong |= set((o[:, 1:].flatten()[wanted][bad] - 1).tolist())
    names = sorted(set(skills))
    return {n: 1 - sum(skills[i] == n for i in wrong) / skills.count(n) for n in names}


class Run:
    """A training run: model, optimizers, progress, log. `rank` is this process among options.processes; all
    hold the same weights, and only rank 0 writes."""

    def __init__(self, options, rank=0):
        self.options, self.rank = options, rank
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(options.seed)
        self.generator = torch.Generator().manual_seed(options.seed + 7919 * rank)
        self.tokenizer = Tokenizer.from_file(options.tokenizer)
        self.model = Model(config_dict(self.tokenizer.get_vocab_size())).to(self.device)
        if options.compile:
            for layer in self.model.model.layers:
                layer.compile()
        self.optimizers = optimizers(self.model, options)
        self.step, self.tokens, self.seconds, self.rounded = 0, 0, 0.0, bool(options.decay_minutes)
        os.makedirs(options.out, exist_ok=True)
        self.path = os.path.join(options.out, "state.pt")
        if options.resume and os.path.exists(self.path):
            self.load(torch.load(self.path, map_location=self.device))
        self.log = open(os.path.join(options.out, "log.jsonl"), "a", buffering=1)

    def load(self, state):
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]

    def save(self):
        state = dict(model=self.model.state_dict(), optimizers=[o.state_dict() for o in self.optimizers],
                     step=self.step, tokens=self.tokens, seconds=self.seconds)
        torch.save(state, self.path + ".tmp")
        os.replace(self.path + ".tmp", self.path)

    def save_final(self):
        torch.save(dict(model=self.model.state_dict(), tokens=self.tokens), os.path.join(self.options.out, "final.pt"))

    def rate(self, seconds):
        """The learning rate, `seconds` into this process."""
        o = self.options
        fall = max(0.0, 1 - seconds / 60 / o.decay_minutes) if o.decay_minutes else 1.0
        return o.lr * min(1.0, (self.step + 1) / o.warm_steps) * fall

    def update(self, arrays, lr):
        tokens, targets, doc, weight = on(self.device, arrays)
        wanted = chosen_positions(weight, self.generator)
        with RoundedExperts(self.model, self.rounded):
            with torch.autocast(self.device.type, torch.bfloat16):
                hidden, balance, shares = self.model(tokens, doc, wanted)
                loss = self.loss(hidden, targets.flatten()[wanted], weight.flatten()[wanted])
            (loss + self.options.balance * balance).backward()
        self.share_gradients()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("share", 1)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += int((arrays[1] > 0).sum()) * self.options.processes
        return loss.detach(), balance.detach(), shares, norm

    def share_gradients(self):
        """Mean of all processes' gradients, in one exchange."""
        if self.options.processes == 1:
            return
        gradients = [p.grad for p in self.model.parameters()]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.options.processes
        for g, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            g.copy_(part.view_as(g))

    def loss(self, hidden, targets, weight):
        return weighted_loss(hidden, self.model.model.embed_tokens.weight, targets, weight)

    def measure(self, rows):
        with RoundedExperts(self.model, self.rounded):
            found = accuracy(self.model, rows, self.device, self.options.rows)
        return {k: round(v, 3) for k, v in found.items()}

    def ended(self, begin):
        """Whether the fall of the learning rate is over; process 0's clock decides for all."""
        if not self.options.decay_minutes:
            return False
        over = torch.tensor([float(time.time() - begin > 60 * self.options.decay_minutes)])
        if self.options.processes > 1:
            torch.distributed.broadcast(over, 0)
        return bool(over.item())

    def note(self, line):
        print(json.dumps(line), flush=True)
        self.log.write(json.dumps(line) + "\n")

    def train(self):
        o = self.options
        seed = o.seed + 10 * self.rank + (500 if o.decay_minutes else 0)
        source = data.batches(o.tokenizer, seed, o.workers, self.step, o.rows, o.length, bool(o.decay_minutes))
        rows = data.evaluation_rows(self.tokenizer, o.eval_items, o.length)
        begin, before, losses, last, checked, saved = time.time(), self.seconds, [], self.tokens, time.time(), time.time()
        noted = begin
        while not self.ended(begin):
            lr = self.rate(time.time() - begin)
            loss, balance, shares, norm = self.update(next(source), lr)
            losses.append(loss)
            self.seconds = before + time.time() - begin
            if self.rank == 0 and self.step % o.log_every == 0:
                line = dict(step=self.step, tokens=self.tokens, seconds=round(self.seconds), loss=round(torch.stack(losses).mean().item(), 4),
                            balance=round(balance.item(), 3), least_used=round(shares.min().item(), 4), norm=round(norm.item(), 2),
                            rate=round((self.tokens - last) / (time.time() - noted)), lr=round(lr, 6))
                if time.time() - checked > o.eval_seconds:
                    checked = time.time()
                    line["accuracy"] = self.measure(rows)
                self.note(line)
                losses, last, noted = [], self.tokens, time.time()
            if self.rank == 0 and time.time() - saved > o.save_seconds:
                self.save_final() if o.decay_minutes else self.save()
                saved = time.time()
        if self.rank:
            return
        self.note(dict(step=self.step, tokens=self.tokens, seconds=round(self.seconds), accuracy=self.measure(rows), final=True))
        self.save_final()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True)
    p.add_argument("--tokenizer", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer.json"))
    p.add_argument("--resume", action="store_true")
    p.add_argument("--decay-minutes", type=float, default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--warm-steps", type=int, default=150)
    p.add_argument("--muon", choices=["dense", "all"], help="what Muon trains besides AdamW")
    p.add_argument("--balance", type=float, default=0.03)
    p.add_argument("--processes", type=int, default=1)
    p.add_argument("--rows", type=int, default=4)
    p.add_argument("--length", type=int, default=512)
    p.add_argument("--workers", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--log-every", type=int, default=20)
    p.add_argument("--eval-seconds", type=float, default=400)
    p.add_argument("--eval-items", type=int, default=30)
    p.add_argument("--save-seconds", type=float, default=180)
    options = p.parse_args()
    os.makedirs(options.out, exist_ok=True)
    if options.processes == 1:
        return work(0, options)
    torch.multiprocessing.spawn(work, (options,), options.processes)


def work(rank, options):
    torch.set_num_threads(options.threads)
    if options.processes > 1:
        torch.distributed.init_process_group("gloo", f"file://{os.path.abspath(options.out)}/meet-{os.getppid()}",
                                             rank=rank, world_size=options.processes)
    Run(options, rank).train()


if __name__ == "__main__":
    main()
