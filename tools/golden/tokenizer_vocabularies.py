"""Small vocabularies trained here, each with its oracle: byte-level BPE by Hugging Face tokenizers, scored ones by
sentencepiece. As GGUF files for Larder, and strings to compare on.
"""

import io
import json
import pathlib
import random

import gguf
import sentencepiece
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers

from make_tokenizer_goldens import Generator, pre_tokenizer_named

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTROL = ["<|end|>", "<|end|>\n", "<s>", "[/INST]"]
USER = ["<tool>", "<tool", "  \n", "\u00e9\u00e9"]

# name: (pre-tokenizer, normalization form C, whole words that are tokens go first)
BYTE_LEVEL = {
    "bpe-gpt-2": ("gpt-2", False, False),
    "bpe-qwen2": ("qwen2", True, False),
    "bpe-llama": ("llama-bpe", False, True),
    "bpe-gpt-4o": ("gpt-4o", False, False),
    "bpe-deepseek-v3": ("deepseek-v3", False, False),
}
# name: sentencepiece's training options
SCORED = {
    "spm": dict(byte_fallback=True, character_coverage=0.98),
    "spm-crossing": dict(byte_fallback=True, character_coverage=0.98, split_by_whitespace=False),
    "spm-unknown": dict(byte_fallback=False, character_coverage=0.98, add_dummy_prefix=False),
    "spm-trimmed": dict(byte_fallback=True, character_coverage=0.98, remove_extra_whitespaces=True),
}


def prose():
    """Lines of the repository's own prose and code."""
    lines = []
    for pattern in ("*.md", "docs/*.md", "src/*/*.h", "tools/*/*.py"):
        for path in sorted(ROOT.glob(pattern)):
            lines += path.read_text().splitlines()
    return lines


def corpus():
    """Prose, and lines in all scripts."""
    generator = Generator(ROOT / "tests/golden/tokenizer/generator.txt")
    return prose() + [generator.string(10**6 + i) for i in range(2000)]


class ByteLevel:
    """Trains, and encodes as Hugging Face tokenizers does."""

    def __init__(self, name, n_tokens):
        self.pre, nfc, self.whole_words = BYTE_LEVEL[name]
        pre = pre_tokenizer_named(self.pre)
        if self.pre != "gpt-2":
            alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            pre = pre_tokenizers.Sequence([pre, alphabet])
        trained = tokenizers.Tokenizer(models.BPE())
        trained.pre_tokenizer = pre
        trainer = trainers.BpeTrainer(
            vocab_size=n_tokens,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        trained.train_from_iterator(corpus(), trainer)
        model = json.loads(trained.to_str())["model"]
        merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
        # Without some merges, some words are reached as wholes only.
        self.merges = [m for i, m in enumerate(merges) if not self.whole_words or i % 5 != 3]
        self.vocab = model["vocab"]
        self.oracle = tokenizers.Tokenizer(
            models.BPE(vocab=self.vocab, merges=self.merges, ignore_merges=self.whole_words)
        )
        self.oracle.pre_tokenizer = pre
        self.oracle.decoder = decoders.ByteLevel()
        if nfc:
            self.oracle.normalizer = normalizers.NFC()
        self.oracle.add_special_tokens([AddedToken(t, normalized=False) for t in CONTROL])
        self.oracle.add_tokens([AddedToken(t, normalized=False) for t in USER])

    def write(self, path):
        tokens = sorted(self.vocab, key=self.vocab.get) + CONTROL + USER
        types = [1] * len(self.vocab) + [3] * len(CONTROL) + [4] * len(USER)
        writer = gguf.GGUFWriter(path, "qwen2")
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        writer.add_token_merges([" ".join(m) for m in self.merges])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()

    def encode(self, texts):
        batch = self.oracle.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in batch]


class Scored:
    """Trains, and encodes as sentencepiece does."""

    def __init__(self, name, n_tokens):
        self.options = SCORED[name]
        model = io.BytesIO()
        settings = dict(
            remove_extra_whitespaces=False, normalization_rule_name="identity", hard_vocab_limit=False
        )
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(prose() + ["\u00e9t\u00e9 \u4f60\u597d na\u00efve \u2581"] * 60),
            model_writer=model,
            vocab_size=n_tokens,
            model_type="bpe",
            minloglevel=2,
            num_threads=1,
            **(settings | self.options),
        )
        self.oracle = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())

    def write(self, path):
        oracle = self.oracle
        tokens, scores, types = [], [], []
        for i in range(oracle.get_piece_size()):
            tokens.append(oracle.id_to_piece(i))
            scores.append(oracle.get_score(i))
            special = (oracle.is_byte(i), 6), (oracle.is_unknown(i), 2), (oracle.is_control(i), 3)
            types.append(next((kind for yes, kind in special if yes), 1))
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_scores(scores)
        writer.add_token_types(types)
        writer.add_bos_token_id(oracle.bos_id())
        writer.add_eos_token_id(oracle.eos_id())
        writer.add_unk_token_id(oracle.unk_id())
        writer.add_add_space_prefix(self.options.get("add_dummy_prefix", True))
        writer.add_remove_extra_whitespaces(self.options.get("remove_extra_whitespaces", False))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()

    def encode(self, texts):
        return self.oracle.encode(texts, out_type=int)


def train(name, n_tokens):
    return (ByteLevel if name in BYTE_LEVEL else Scored)(name, n_tokens)


class Strings:
    """Random and nasty: parts of the corpus, snippets where expressions compete, added tokens, whole and cut,
    runs of one character, characters of any kind, marks in any order."""

    def __init__(self, name, seed):
        self.random = random.Random(seed)
        generator = Generator(ROOT / "tests/golden/tokenizer/generator.txt")
        words = [word for line in corpus() for word in line.split(" ")]
        self.pool = self.random.sample(words, 3000)
        self.pool += [generator.string(2 * 10**6 + i) for i in range(1500)] + generator.snippets * 12
        self.pool += [c * self.random.randrange(2, 60) for c in "aA1 \n\t!e\u00e9\u4e00'/" for _ in range(12)]
        for _ in range(800):
            marks = [chr(self.random.choice((0x300, 0x301, 0x323, 0x327, 0x345, 0x5B0, 0x1161, 0x11A8, 0x3099)))
                     for _ in range(self.random.randrange(1, 5))]
            self.pool.append(self.random.choice("aeo\u00e9\u1100\uac00\u304b\ufb2a\u0958 ") + "".join(marks))
        if name in BYTE_LEVEL:
            self.pool += [t[: self.random.randrange(1, len(t) + 1)] for t in CONTROL + USER for _ in range(40)]
        self.pool += [" "] * 800
        if name == "spm-trimmed":
            self.pool = [text.replace("\u2581", "_") for text in self.pool]

    def next(self, n, most_parts=8):
        pick = self.random.choices
        return ["".join(pick(self.pool, k=self.random.randrange(most_parts) + 1)) for _ in range(n)]
