"""Compares Larder's tokenizer with Hugging Face tokenizers and sentencepiece on many random and nasty strings.

Vocabularies of 8,000 tokens are trained on the spot; the strings are made of parts that compete, see
tokenizer_vocabularies.py. Prints one line for each vocabulary and the sum; the exit status is 1 if any ids differ.
Run: ninja -C build encode_strings; python tools/golden/compare_tokenizers.py build/encode_strings -n 1000000
"""

import argparse
import pathlib
import struct
import subprocess
import sys
import tempfile

from tokenizer_vocabularies import BYTE_LEVEL, SCORED, Strings, train

CHUNK = 20000


def encode_with_larder(program, vocab, texts, special):
    data = b"".join(struct.pack("<I", len(t)) + t for t in (text.encode() for text in texts))
    command = [program, vocab] + (["--special"] if special else [])
    ran = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
    out, position = [], 0
    while position < len(ran.stdout):
        (n,) = struct.unpack_from("<I", ran.stdout, position)
        out.append(list(struct.unpack_from(f"<{n}i", ran.stdout, position + 4)))
        position += 4 + 4 * n
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("-n", type=int, default=1000000, help="strings in all")
    parser.add_argument("--only", nargs="*", default=[*BYTE_LEVEL, *SCORED])
    parser.add_argument("--tokens", type=int, default=8000)
    args = parser.parse_args()
    n_each = -(-args.n // len(args.only))
    n_strings = n_wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            vocabulary = train(name, args.tokens)
            path = pathlib.Path(folder) / f"{name}.gguf"
            vocabulary.write(path)
            strings = Strings(name, 7)
            n_done = n_here = n_tokens = 0
            while n_done < n_each:
                texts = strings.next(min(CHUNK, n_each - n_done))
                # sentencepiece knows no control tokens in a text.
                ours = encode_with_larder(args.program, path, texts, name in BYTE_LEVEL)
                for text, want, got in zip(texts, vocabulary.encode(texts), ours, strict=True):
                    n_tokens += len(want)
                    if want != got:
                        n_here += 1
                        if n_here <= 3:
                            print(f"{name}: {text!r}\n  want {want}\n  got  {got}")
                n_done += len(texts)
            print(f"{name:16} {n_done} strings, {n_tokens} tokens, {n_here} differ", flush=True)
            n_strings += n_done
            n_wrong += n_here
    print(f"mismatches {n_wrong} of {n_strings}")
    sys.exit(1 if n_wrong else 0)


if __name__ == "__main__":
    main()
