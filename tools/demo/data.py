"""Rows of packed documents for training, made in worker processes while the model trains.

Batch k of worker w depends on (seed, w, k) alone, so a resumed run sees the batches it would have seen.
Each worker owns one bounded queue; the trainer takes from the workers in turn.
"""
import itertools
import multiprocessing as mp
import os

import numpy as np
from tokenizers import Tokenizer

import chat
from generate import EVALUATED, document, question

LATE = 1500  # batches until the mixture of skills is the final one
CONTEXT_WEIGHT = 0.1  # of tokens that are not answers, in the loss


def encode(tokenizer, segments):
    """(ids, weights) of one document; weights[i] belongs to predicting ids[i]."""
    ids, weights = [], []
    for text, answer in segments:
        part = tokenizer.encode(text, add_special_tokens=False).ids
        ids += part
        weights += [1.0 if answer else CONTEXT_WEIGHT] * len(part)
    return ids, weights


def pack(documents, rows, length):
    """First fit by falling length into arrays (tokens [rows, length + 1], doc, weight), 0 where empty."""
    tokens = np.zeros((rows, length + 1), np.int16)
    doc = np.zeros((rows, length + 1), np.int16)
    weight = np.zeros((rows, length + 1), np.float32)
    used, numbers = [0] * rows, [0] * rows
    for ids, weights in sorted(documents, key=lambda d: -len(d[0])):
        n = len(ids)
        row = next((r for r in range(rows) if used[r] + n <= length + 1), None)
        if row is None:
            continue
        a = used[row]
        numbers[row] += 1
        tokens[row, a:a + n], doc[row, a:a + n] = ids, numbers[row]
        weight[row, a + 1:a + n] = weights[1:]  # the first token of a document is not predicted
        used[row] += n
    return tokens, doc, weight


def batch(tokenizer, seed, worker, number, rows, length, closing):
    """Batch `number` of one worker."""
    base = ((seed * 1000 + worker) * 10 ** 6 + number) * 10 ** 5
    documents, total, i = [], 0, 0
    while total < 0.975 * rows * (length + 1):
        ids, weights = encode(tokenizer, document(base + i, 2.0 if closing else min(1.0, number / LATE)))
        i += 1
        if len(ids) <= length:
            documents.append((ids, weights))
            total += len(ids)
    return pack(documents, rows, length)


def _work(queue, path, seed, worker, first, rows, length, closing):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_file(path)
    number = first
    while True:
        queue.put(batch(tokenizer, seed, worker, number, rows, length, closing))
        number += 1


def batches(path, seed, workers, first, rows, length, closing=False):
    """Endless batches from `workers` processes, which end with this process, or made here when there are none;
    `first` batches are skipped; `closing` says that the learning rate falls."""
    if not workers:
        tokenizer = Tokenizer.from_file(path)
        for number in itertools.count(first):
            yield batch(tokenizer, seed, 0, number, rows, length, closing)
    context = mp.get_context("spawn")
    queues = []
    for worker in range(workers):
        queue = context.Queue(maxsize=6)
        skipped = (first - worker + workers - 1) // workers
        context.Process(target=_work, args=(queue, path, seed, worker, skipped, rows, length, closing), daemon=True).start()
        queues.append(queue)
    turn = first
    while True:
        yield queues[turn % workers].get()
        turn += 1


def evaluation_rows(tokenizer, per_skill, length, first=10 ** 6):
    """Packed evaluation items for teacher forcing: (tokens, doc, weight, owner) where owner [rows, length + 1]
    is 1 + the item's number at answer tokens. A greedy run gives the right answer exactly when every
    answer token is the most likely one, so one pass measures accuracy. Also the skill of each item."""
    items = []
    for skill in EVALUATED:
        for i in range(per_skill):
            q = question(skill, first + i)
            items.append((skill, [(q["prompt"], False), (q["answer"] + chat.IM_END, True)]))
    encoded = [(skill, *encode(tokenizer, segments)) for skill, segments in items]
    rows, row, used = [], [], 0
    for number, (_, ids, weights) in sorted(enumerate(encoded), key=lambda e: len(e[1][1])):
        if used + len(ids) > length + 1:
            rows.append(row)
            row, used = [], 0
        row.append((number, ids, weights))
        used += len(ids)
    rows.append(row)
    tokens = np.zeros((len(rows), length + 1), np.int64)
    doc, owner = np.zeros_like(tokens), np.zeros_like(tokens)
    for r, row in enumerate(rows):
        a = 0
        for d, (number, ids, weights) in enumerate(row):
            n = len(ids)
            tokens[r, a:a + n], doc[r, a:a + n] = ids, d + 1
            owner[r, a:a + n] = np.where(np.array(weights) == 1.0, number + 1, 0)
            a += n
    return tokens, doc, owner, [skill for skill, _, _ in encoded]
