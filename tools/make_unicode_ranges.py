#!/usr/bin/env python3
"""Writes the character classes of the pre-tokenizers' expressions, as two C++ files.

Larder's splits must equal those of Hugging Face tokenizers, so the classes are asked of that library
(0.23: Oniguruma with Unicode 16, and Rust's char::is_numeric with Unicode 17 for Digits) instead of a
system library whose Unicode version differs from one distribution to the next.

    python3 tools/make_unicode_ranges.py ranges > src/text/unicode_ranges.cc
    python3 tools/make_unicode_ranges.py cases > src/text/unicode_cases.cc
"""
import sys

import tokenizers
from tokenizers import Regex
from tokenizers import pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]

# deepseek-llm's own list of cased letters, from the expression in its tokenizer.json.
DEEPSEEK_LETTERS = """
41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376-377 37b-37d 37f 386 388-38a 38c
38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b
1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4
1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113
2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f 2145-2149 214e 2183-2184 2c00-2c7b
2c7e-2ce4 2ceb-2cee 2cf2-2cf3 a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06
fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df
1e900-1e943"""


def members(pattern):
    """The code points that `pattern` matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed")
    found = set()
    for i in range(0, len(CODE_POINTS), 4096):
        chunk = CODE_POINTS[i:i + 4096]
        left = set()
        for piece, _ in split.pre_tokenize_str("".join(map(chr, chunk))):
            left.update(map(ord, piece))
        found.update(c for c in chunk if c not in left)
    return found


def digits():
    split = pre_tokenizers.Digits(individual_digits=True)
    return {c for c in CODE_POINTS if len(split.pre_tokenize_str("a" + chr(c))) == 2}


def ranges(points):
    found = []
    for c in sorted(points):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def parse(text):
    for word in text.split():
        first, _, last = word.partition("-")
        yield [int(first, 16), int(last or first, 16)]


def table(name, comment, found):
    print(f"// {comment}")
    print(f"constexpr CodePointRange {name}[] = {{")
    line = "   "
    for first, last in found:
        item = f" {{0x{first:x}, 0x{last:x}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};\n")


def open_file(title):
    print(f"// {title} as sorted ranges of code points. Made by tools/make_unicode_ranges.py\n// with "
          f"tokenizers {tokenizers.__version__}; do not edit.")
    print('#include "text/unicode_ranges.h"\n\nnamespace larder {\nnamespace {\n\n// clang-format off\n')


def close_file(functions):
    print("// clang-format on\n\n}  // namespace\n")
    for function, name in functions:
        print(f"std::span<const CodePointRange> {function}() {{ return {name}; }}")
    print("\n}  // namespace larder")


def write_ranges():
    letters, numbers = members(r"\p{L}"), members(r"\p{N}")
    open_file("Character classes")
    table("kLetters", r"\p{L}, Unicode 16", ranges(letters))
    table("kMarks", r"\p{M}, Unicode 16", ranges(members(r"\p{M}")))
    table("kNumbers", r"\p{N}, Unicode 16", ranges(numbers))
    table("kNewNumbers", r"numeric in Unicode 17 and not before", ranges(digits() - numbers))
    table("kSpaces", r"\s: White_Space", ranges(members(r"\s")))
    table("kDeepseekLetters", "the cased letters that deepseek-llm's expression lists",
          parse(DEEPSEEK_LETTERS))
    close_file((("LetterRanges", "kLetters"), ("MarkRanges", "kMarks"),
                ("NumberRanges", "kNumbers"), ("NewNumberRanges", "kNewNumbers"),
                ("SpaceRanges", "kSpaces"), ("DeepseekLetterRanges", "kDeepseekLetters")))


def write_cases():
    open_file("Cases, punctuation, symbols and Chinese characters")
    table("kUpper", r"\p{Lu} and \p{Lt}, Unicode 16", ranges(members(r"[\p{Lu}\p{Lt}]")))
    table("kLower", r"\p{Ll}, Unicode 16", ranges(members(r"\p{Ll}")))
    table("kPunctuation", r"\p{P}, Unicode 16", ranges(members(r"\p{P}")))
    table("kSymbols", r"\p{S}, Unicode 16", ranges(members(r"\p{S}")))
    table("kHan", r"\p{Han}, Unicode 16", ranges(members(r"\p{Han}")))
    close_file((("UpperRanges", "kUpper"), ("LowerRanges", "kLower"),
                ("PunctuationRanges", "kPunctuation"), ("SymbolRanges", "kSymbols"),
                ("HanRanges", "kHan")))


{"ranges": write_ranges, "cases": write_cases}[sys.argv[1]]()
