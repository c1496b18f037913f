"""Pre-token splits by Hugging Face tokenizers, for eleven pre-tokenizers and 100,000 strings.

Writes tests/golden/tokenizer/<pre>.txt (a hash of the splits of each 1,000 random strings), strings.txt
(a hash of the strings themselves) and <pre>.json (the splits of given texts). The strings come from a
seeded generator that is specified in tests/golden/tokenizer/README.md and reads generator.txt, so
a test in another language makes the same ones.
Run: python tools/golden/make_tokenizer_goldens.py TEXT.inp...
"""

import argparse
import json
import pathlib

from tokenizers import Regex, pre_tokenizers

N_BLOCKS, N_PER_BLOCK = 100, 1000
MASK = (1 << 64) - 1

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
# The cased letters that deepseek-llm's expression lists (its tokenizer.json), as code points.
DEEPSEEK_LETTERS = """
41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a 38c
38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b
1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4
1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107
210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f 2145-2149 214e 2183 2184
2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2 2cf3 a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e ab70-abbf
fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2
118a0-118df 1e900-1e943"""
LETTER_CLASS = "".join(
    "-".join(chr(int(end, 16)) for end in word.split("-")) for word in DEEPSEEK_LETTERS.split()
)


def split_on(expression):
    return pre_tokenizers.Split(Regex(expression), behavior="isolated", invert=False)


NAMES = (
    "gpt-2 qwen2 qwen35 deepseek-llm llama-bpe gpt-4o tekken kimi-k2 starcoder deepseek-coder deepseek-v3"
).split()


def plain(digits):
    """The expression of llama-bpe and qwen2."""
    return (
        CONTRACTIONS
        + r"|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def cased(without, contractions, digits, slash):
    """The expression of gpt-4o, `without` some letters."""
    upper = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}" + without + "]"
    lower = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}" + without + "]"
    return (
        rf"[^\r\n\p{{L}}\p{{N}}]?{upper}*{lower}+{contractions}"
        rf"|[^\r\n\p{{L}}\p{{N}}]?{upper}+{lower}*{contractions}|{digits}"
        rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n{slash}]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def pre_tokenizer_named(name):
    """The splits of a published tokenizer.json, without the byte alphabet that follows them there."""
    if name == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if name == "starcoder":
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    if name in ("qwen2", "llama-bpe"):
        return split_on(plain(r"\p{N}" if name == "qwen2" else r"\p{N}{1,3}"))
    if name == "bailingmoe":
        return split_on(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
            r"|\s*[\r\n]|\s+(?!\S)|\s+"
        )
    if name == "gpt-4o":
        return split_on(cased("", CONTRACTIONS + "?", r"\p{N}{1,3}", "/"))
    if name == "tekken":
        return split_on(cased("", "", r"\p{N}", "/"))
    if name == "kimi-k2":
        return split_on(r"[\p{Han}]+|" + cased(r"&&[^\p{Han}]", CONTRACTIONS + "?", r"\p{N}{1,3}", ""))
    if name == "deepseek-v3":
        return pre_tokenizers.Sequence(
            [
                split_on(r"\p{N}{1,3}"),
                split_on("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
                split_on(
                    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
                    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
                ),
            ]
        )
    if name == "deepseek-coder":
        return pre_tokenizers.Sequence(
            [
                split_on("[\r\n]"),
                split_on(r"\s?\p{L}+"),
                split_on(r"\s?\p{P}+"),
                split_on("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
                pre_tokenizers.Digits(individual_digits=True),
            ]
        )
    if name == "qwen35":
        return split_on(
            CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    return pre_tokenizers.Sequence(
        [
            split_on("[\r\n]"),
            split_on(rf"\s?[{LETTER_CLASS}]+"),
            split_on("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
            split_on(r"\s+$"),
            split_on("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % n


class Generator:
    """The strings that generator.txt and a number stand for."""

    N_SNIPPET_CHANCES = 4

    def __init__(self, path):
        self.classes, self.snippets = [], []
        for line in path.read_text().splitlines():
            kind, *words = line.split()
            if kind == "class":
                ends = [word.split("-") for word in words]
                self.classes.append([(int(e[0], 16), int(e[-1], 16)) for e in ends])
            elif kind == "text":
                self.snippets.append(bytes.fromhex(words[0]).decode())

    def string(self, number):
        random = Random(number)
        parts = []
        for _ in range(1 + random.below(20)):
            kind = random.below(len(self.classes) + self.N_SNIPPET_CHANCES)
            if kind >= len(self.classes):
                parts.append(self.snippets[random.below(len(self.snippets))])
                continue
            ranges = self.classes[kind]
            for _ in range(1 + random.below(4)):
                low, high = ranges[random.below(len(ranges))]
                parts.append(chr(low + random.below(high - low + 1)))
        return "".join(parts)


class Fnv1a:
    """FNV-1a with 64 bits."""

    def __init__(self):
        self.value = 0xCBF29CE484222325

    def add(self, data):
        for byte in data:
            self.value = ((self.value ^ byte) * 0x100000001B3) & MASK


def piece_ends(pre, text):
    """Byte offsets of the ends of the pieces of `text`."""
    ends, position, n_bytes = [], 0, 0
    for _, (first, last) in pre.pre_tokenize_str(text):
        assert first == position, "the pieces leave a gap"
        n_bytes += len(text[first:last].encode())
        position = last
        ends.append(n_bytes)
    assert position == len(text)
    return ends


def block_hash(pre, strings):
    fnv = Fnv1a()
    for text in strings:
        for end in piece_ends(pre, text):
            fnv.add(end.to_bytes(2, "little"))
        fnv.add(b"\xff\xff")
    return fnv.value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="*", help="files of texts between lines of __ggml_vocab_test__")
    parser.add_argument("-o", "--out", default="tests/golden/tokenizer")
    parser.add_argument("--only", nargs="*", default=NAMES, help="these pre-tokenizers")
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    generator = Generator(out / "generator.txt")
    blocks = [
        [generator.string(b * N_PER_BLOCK + i) for i in range(N_PER_BLOCK)] for b in range(N_BLOCKS)
    ]
    hashes = []
    for strings in blocks:
        fnv = Fnv1a()
        for text in strings:
            fnv.add(text.encode() + b"\xff")
        hashes.append(f"{fnv.value:016x}\n")
    (out / "strings.txt").write_text("".join(hashes))

    texts = []
    for path in args.texts:
        content = pathlib.Path(path).read_bytes().decode()
        texts += [t for t in content.split("\n__ggml_vocab_test__\n") if t not in texts]
    for name in args.only:
        pre = pre_tokenizer_named(name)
        lines = [f"{block_hash(pre, strings):016x}\n" for strings in blocks]
        (out / f"{name}.txt").write_text("".join(lines))
        if texts:
            cases = [{"text": text, "ends": piece_ends(pre, text)} for text in texts]
            rows = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
            (out / f"{name}.json").write_text(f"[\n{rows}\n]\n")
        if name == "qwen2":
            # The same splits by another expression, which lets one scanner do for both.
            other = pre_tokenizer_named("bailingmoe")
            assert lines == [f"{block_hash(other, strings):016x}\n" for strings in blocks]
        n_pieces = sum(len(piece_ends(pre, text)) for text in blocks[0])
        print(f"{name:13} {N_BLOCKS * N_PER_BLOCK} strings, {n_pieces / N_PER_BLOCK:.1f} pieces each")


if __name__ == "__main__":
    main()
