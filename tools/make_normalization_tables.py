#!/usr/bin/env python3
"""Writes src/text/normalization_tables.cc: what Unicode's normalization form C needs.

Own tables, so that token ids do not depend on a system library's Unicode version. Python's unicodedata proposes
decompositions and combining classes; what Hugging Face tokenizers does not do with a code point is left out, and the
form that the tables give (computed here by the standard's algorithm) is then compared with tokenizers' for
every code point and for random strings.

    python3 tools/make_normalization_tables.py > src/text/normalization_tables.cc
"""
import random
import sys
import unicodedata

import tokenizers
from tokenizers import normalizers

NFC, NFD = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
HANGUL = range(0xAC00, 0xD7A4)
HIGHEST = chr(0x345)  # of the highest class, 240: whatever mark comes behind it moves before it


def canonical(c):
    """The one-step canonical decomposition, as a list of code points; empty for none."""
    text = unicodedata.decomposition(chr(c))
    return [] if not text or text.startswith("<") else [int(word, 16) for word in text.split()]


def find_classes():
    found = {}
    for c in CODE_POINTS:
        value = unicodedata.combining(chr(c))
        if value == 240 or (value and NFD(HIGHEST + chr(c)) == NFD(chr(c)) + HIGHEST):
            found[c] = value
    return found


DECOMPOSITIONS = {c: canonical(c) for c in CODE_POINTS
                  if c not in HANGUL and canonical(c) and NFD(chr(c)) != chr(c)}
CLASSES = find_classes()
PAIRS = {tuple(d): c for c, d in DECOMPOSITIONS.items() if len(d) == 2 and NFC(NFD(chr(c))) == chr(c)}


def decompose(c):
    if c in HANGUL:
        i = c - 0xAC00
        parts = [0x1100 + i // 588, 0x1161 + i % 588 // 28]
        return parts + [0x11A7 + i % 28] if i % 28 else parts
    return [x for d in DECOMPOSITIONS[c] for x in decompose(d)] if c in DECOMPOSITIONS else [c]


def combine(a, b):
    if 0x1100 <= a < 0x1113 and 0x1161 <= b < 0x1176:
        return 0xAC00 + ((a - 0x1100) * 21 + b - 0x1161) * 28
    if a in HANGUL and (a - 0xAC00) % 28 == 0 and 0x11A7 < b < 0x11C3:
        return a + b - 0x11A7
    return PAIRS.get((a, b))


def form_c(text):
    """The Unicode Standard, section 3.11."""
    points = [x for c in text for x in decompose(ord(c))]
    out, marks = [], []
    for point in points + [None]:
        value = CLASSES.get(point, 0)
        if value == 0:
            out += sorted(marks, key=lambda x: CLASSES[x])
            marks = []
            if point is not None:
                out.append(point)
        else:
            marks.append(point)
    composed, starter, last = [], None, 0
    for point in out:
        value = CLASSES.get(point, 0)
        free = starter is not None and (last < value or last == 0 and starter == len(composed) - 1)
        joined = combine(composed[starter], point) if free else None
        if joined is not None:
            composed[starter] = joined
            continue
        composed.append(point)
        last = value
        if value == 0:
            starter = len(composed) - 1
    return "".join(map(chr, composed))


def check():
    for c in CODE_POINTS:
        assert form_c(chr(c)) == NFC(chr(c)), hex(c)
    rng = random.Random(1)
    interesting = sorted(set(DECOMPOSITIONS) | set(CLASSES) | {x for pair in PAIRS for x in pair})
    interesting += [*range(0x1100, 0x1200), *range(0xAC00, 0xAD00), *range(0x41, 0x7B)] * 3
    for _ in range(200000):
        text = "".join(chr(rng.choice(interesting)) for _ in range(rng.randrange(1, 9)))
        assert form_c(text) == NFC(text), [hex(ord(c)) for c in text]


def rows(items):
    line = "   "
    for item in items:
        if len(line) + len(item) > 117:
            print(line)
            line = "   "
        line += item
    print(line)


def main():
    check()
    print("// Canonical decompositions and combining classes. Made by tools/make_normalization_tables.py with\n"
          f"// tokenizers {tokenizers.__version__}; do not edit.")
    print('#include "text/normalization_tables.h"\n\nnamespace larder {\nnamespace {\n\n// clang-format off\n')
    print("constexpr CanonicalPair kPairs[] = {")
    rows(f" {{0x{c:x}, 0x{d[0]:x}, 0x{d[1]:x}}}," for c, d in sorted(DECOMPOSITIONS.items()) if len(d) == 2)
    print("};\n\nconstexpr std::uint32_t kNotComposed[] = {")
    rows(f" 0x{c:x}," for c, d in sorted(DECOMPOSITIONS.items()) if len(d) == 2 and tuple(d) not in PAIRS)
    print("};\n\nconstexpr CanonicalSingle kSingles[] = {")
    rows(f" {{0x{c:x}, 0x{d[0]:x}}}," for c, d in sorted(DECOMPOSITIONS.items()) if len(d) == 1)
    print("};\n\nconstexpr CombiningRange kClasses[] = {")
    found = []
    for c, value in sorted(CLASSES.items()):
        if found and found[-1][1] == c - 1 and found[-1][2] == value:
            found[-1][1] = c
        else:
            found.append([c, c, value])
    rows(f" {{0x{a:x}, 0x{b:x}, {v}}}," for a, b, v in found)
    print("};\n\n// clang-format on\n\n}  // namespace\n")
    print("std::span<const CanonicalPair> CanonicalPairs() { return kPairs; }")
    print("std::span<const std::uint32_t> NotComposed() { return kNotComposed; }")
    print("std::span<const CanonicalSingle> CanonicalSingles() { return kSingles; }")
    print("std::span<const CombiningRange> CombiningRanges() { return kClasses; }")
    print("\n}  // namespace larder")
    print(f"{len(DECOMPOSITIONS)} decompositions, {len(PAIRS)} compositions, {len(CLASSES)} marks", file=sys.stderr)


main()
