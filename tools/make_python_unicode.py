#!/usr/bin/env python3
"""Writes src/text/python_case_tables.cc and python_class_tables.cc: what Python's str methods know
about characters (case mappings, digits, letters, printable characters), as sorted ranges. Needs
Python only; its Unicode version is named in the files. Run by hand from the repository's root.
"""
import contextlib
import sys
import unicodedata

LAST = 0x110000


def code_points():
    return (c for c in range(LAST) if not 0xD800 <= c <= 0xDFFF)


def mapping_ranges(mapping):
    """[(first, last, stride, delta)] of single-character mappings."""
    ranges = []
    for c in sorted(mapping):
        delta = mapping[c] - c
        if ranges:
            first, last, stride, d = ranges[-1]
            if d == delta and first == last and c - last in (1, 2):
                ranges[-1] = (first, c, c - last, d)
                continue
            if d == delta and c - last == stride:
                ranges[-1] = (first, c, stride, d)
                continue
        ranges.append((c, c, 1, delta))
    return ranges


def set_ranges(members):
    """[(first, last, stride)] of a sorted list of code points."""
    return [(a, b, s) for a, b, s, _ in mapping_ranges({c: c for c in members})]


def braced(cell):
    if isinstance(cell, (tuple, list)):
        return "{" + ", ".join(map(braced, cell)) + "}"
    return hex(cell) if cell >= 10 else str(cell)


def put(name, kind, rows):
    print(f"const {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        cell = " " + braced(row) + ","
        if len(line) + len(cell) > 100:
            print(line)
            line = "   "
        line += cell
    print(line)
    print("};")
    print(f"const std::size_t {name}Count = sizeof({name}) / sizeof({name}[0]);\n")


def case_tables():
    single = {"upper": {}, "lower": {}, "title": {}}
    special = []
    for c in code_points():
        ch = chr(c)
        for kind in single:
            mapped = getattr(ch, kind)()
            if mapped == ch:
                continue
            if kind == "title" and mapped == ch.upper():
                continue
            if len(mapped) == 1:
                single[kind][c] = ord(mapped)
            else:
                special.append((c, {"upper": 0, "lower": 1, "title": 2}[kind], *map(ord, mapped)))
        # A titlecase form that is the character itself while its uppercase form is another one.
        if ch.title() == ch and ch.upper() != ch:
            single["title"][c] = c
    return single, [(*row[:2], row[2:] + (0,) * (5 - len(row))) for row in special]


def put_file(path, body):
    with open(path, "w", encoding="ascii") as file, contextlib.redirect_stdout(file):
        print("// Character tables of Python's str methods as sorted ranges. Made by")
        print(f"// tools/make_python_unicode.py with Python {sys.version.split()[0]}"
              f" (Unicode {unicodedata.unidata_version}); do not edit.")
        print('#include "text/python_unicode_tables.h"\n\nnamespace larder::jinja {\n')
        print("// clang-format off\n")
        body()
        print("// clang-format on\n\n}  // namespace larder::jinja")


def put_cases():
    single, special = case_tables()
    for kind, mapping in single.items():
        put(f"k{kind.capitalize()}Mappings", "CaseRange", mapping_ranges(mapping))
    put("kSpecialCase", "SpecialCase", special)
    put_classes({
        "kUppercase": str.isupper,
        "kLowercase": str.islower,
        "kTitlecase": lambda c: unicodedata.category(c) == "Lt",
        "kCaseIgnorable": is_case_ignorable,
    })


def is_case_ignorable(c):
    """What str.lower() skips when it looks for the end of a word before a final sigma."""
    if c.isupper() or c.islower() or unicodedata.category(c) == "Lt":
        return False
    return (("a" + c + "\u03a3").lower().endswith("\u03c2")
            and ("a" + c + "\u03a3" + c + "b").lower()[-3] == "\u03c3")


def put_classes(classes):
    for name, test in classes.items():
        put(name, "ClassRange", set_ranges([c for c in code_points() if test(chr(c))]))


def put_others():
    put_classes({
        "kDecimalDigits": str.isdecimal,
        "kDigits": lambda c: c.isdigit() and not c.isdecimal(),
        "kNumeric": lambda c: c.isnumeric() and not c.isdigit(),
        "kAlphabetic": str.isalpha,
        "kSpaces": str.isspace,
        "kUnprintable": lambda c: not c.isprintable(),
    })


if __name__ == "__main__":
    put_file("src/text/python_case_tables.cc", put_cases)
    put_file("src/text/python_class_tables.cc", put_others)
