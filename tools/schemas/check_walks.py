#!/usr/bin/env python3
"""Random schemas (and the cases of cases.py), random walks through their masks, every finished text validated by jsonschema.

  tools/schemas/check_walks.py [--schemas 300] [--walks 100] [--seed 1] [--vocab vocabulary.gguf] [--program build/schema_bench]

Prints what it found and exits with 1 if a text does not parse or validate.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys

import jsonschema

import cases
import random_schemas

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=int, default=300)
    parser.add_argument("--walks", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vocab", default="")
    parser.add_argument("--program", default=str(ROOT / "build" / "schema_bench"))
    parser.add_argument("--show", type=int, default=5, help="failures to print")
    args = parser.parse_args()
    schemas = [schema for schema, _, _ in cases.CASES] + random_schemas.many(args.schemas, args.seed)
    command = [args.program, "walks", "--walks", str(args.walks), "--seed", str(args.seed)] + (["--vocab", args.vocab] if args.vocab else [])
    done = subprocess.run(command, input="".join(json.dumps(s) + "\n" for s in schemas), capture_output=True, text=True)
    answers = done.stdout.split("\n")[:-1]
    refused, wrong, n_texts = collections.Counter(), 0, 0
    for schema, answer in zip(schemas, answers):
        answer = json.loads(answer)
        if "refused" in answer:
            refused[answer["refused"].split(" at #")[0]] += 1
            continue
        validator = jsonschema.Draft202012Validator(schema)
        for text in answer["texts"]:
            n_texts += 1
            try:
                ok = validator.is_valid(json.loads(text))
            except (json.JSONDecodeError, RecursionError) as error:
                ok = False
                text = f"{error}: {text}"
            if not ok:
                wrong += 1
                if wrong <= args.show:
                    print("WRONG", json.dumps(schema, ensure_ascii=False), "->", text)
    print(f"schemas {len(schemas)}, answered {len(answers)}, refused {sum(refused.values())} {dict(refused)}")
    print(f"texts {n_texts}, wrong {wrong}")
    if done.returncode != 0 or len(answers) != len(schemas):
        print(f"the program ended with {done.returncode}: {done.stderr[-500:]}")
        if len(answers) < len(schemas):
            print("at schema", json.dumps(schemas[len(answers)], ensure_ascii=False))
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
