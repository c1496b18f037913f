"""The demo model's tokenizer: byte-level BPE, 2,048 entries, split as the qwen35 pre-tokenizer does.

Run as a program it trains on generated text and writes tokenizer.json: python tokenizer.py OUT [DOCUMENTS].
"""
import collections
import json
import re
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import words
from chat import CONTROL, MARKERS
from generate import document

VOCABULARY = 2048
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
FIRST_SEED = 10 ** 9  # documents of the tokenizer, apart from those of the training


SPACE = "\u0120"  # how byte-level BPE writes a blank
JOINED = 420  # frequent words that get a token with the blank before them


def texts(documents):
    for seed in range(FIRST_SEED, FIRST_SEED + documents):
        text = "".join(t for t, _ in document(seed))
        for mark in CONTROL + MARKERS:
            text = text.replace(mark, "\n\n")
        yield text


def values():
    """Words that stand for values: they get no token with a blank, so that a value is spelled alike in a
    sentence, in JSON and in a tool call, and copying it means repeating the same tokens."""
    lists = [words.FIRST_NAMES, words.CITIES, words.ITEMS, words.NOUNS, words.ADJECTIVES, words.COLOURS, words.ROOMS,
             words.DAYS, words.LANGUAGES, words.ANIMALS, words.JOBS, words.SKIES]
    return {word for group in lists for entry in group for word in entry.split()}


def train(documents):
    """Merges are learned inside words only (neither a blank nor punctuation joins letters); then the most
    frequent words that are one token get a second one with a blank in front."""
    inside = Regex(r"[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+| +|\s")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(inside, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    added = len(CONTROL) + len(MARKERS)
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - added - JOINED, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts(documents), trainer)
    state = json.loads(tokenizer.to_str())["model"]
    counts = collections.Counter()
    for text in texts(documents // 4):
        counts.update(re.findall(r"(?<= )[A-Za-z]+", text))
    barred, vocabulary, merges = values(), state["vocab"], [tuple(m) for m in state["merges"]]
    common = [w for w, _ in counts.most_common() if w in vocabulary and (len(w) > 1 or w in "aI") and w not in barred][:JOINED]
    for word in common:
        vocabulary[SPACE + word] = len(vocabulary)
        merges.append((SPACE, word))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in CONTROL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in MARKERS])
    return tokenizer


def main():
    out = sys.argv[1]
    tokenizer = train(int(sys.argv[2]) if len(sys.argv) > 2 else 40000)
    tokenizer.save(out)
    text = "".join(t for t, _ in document(3))
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    print(f"{tokenizer.get_vocab_size()} entries, {len(text) / len(ids):.2f} characters per token")


if __name__ == "__main__":
    main()
