"""Small vocabularies and the ids their oracles give, stored for the tests.

Writes tests/golden/tokenizer/vocab/NAME.gguf and NAME.json: a list of {"text": ..., "ids": [...]}. The oracles are
Hugging Face tokenizers and sentencepiece, see tokenizer_vocabularies.py.
Run: python tools/golden/make_vocabulary_goldens.py
"""

import argparse
import json
import pathlib

from tokenizer_vocabularies import BYTE_LEVEL, ROOT, SCORED, Strings, train


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=210, help="strings for each vocabulary")
    parser.add_argument("-o", "--out", default=ROOT / "tests/golden/tokenizer/vocab")
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for name in [*BYTE_LEVEL, *SCORED]:
        vocabulary = train(name, 700)
        vocabulary.write(out / f"{name}.gguf")
        texts = [""] + Strings(name, 1).next(args.n, 4)
        rows = [
            json.dumps({"text": text, "ids": ids}, ensure_ascii=False, separators=(",", ":"))
            for text, ids in zip(texts, vocabulary.encode(texts), strict=True)
        ]
        (out / f"{name}.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
        print(f"{name:16} {len(rows)} strings")


if __name__ == "__main__":
    main()
