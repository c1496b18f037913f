#!/usr/bin/env python3
"""JSON by the demo model with and without a schema: how many of N answers parse and validate.

  tools/schemas/demo_json.py --larder build/larder --model q2.gguf [-n 200] [--free]

The prompts are the JSON questions of tools/demo/skills.py (evaluation split); the schema asks for the keys and types of
the right answer. With --free the model answers without the schema and is judged by it. Prints "valid N of M".
"""
import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "demo"))
import skills  # noqa: E402
import words  # noqa: E402


def schema_of(value):
    if isinstance(value, dict):
        return {"type": "object", "properties": {k: schema_of(v) for k, v in value.items()}, "required": list(value), "additionalProperties": False}
    if isinstance(value, list):
        kinds = {"integer" if isinstance(v, int) else "string" for v in value}
        item = {"type": "string", "maxLength": 40} if kinds == {"string"} else {"type": "integer"} if kinds == {"integer"} else {"type": ["string", "integer"], "maxLength": 40}
        return {"type": "array", "items": item, "minItems": 1, "maxItems": 8}
    if isinstance(value, int):
        return {"type": "integer"}
    return {"type": "number"} if isinstance(value, float) else {"type": "string", "maxLength": 40}


def valid(schema, value):
    """The few keywords of schema_of, so that no package is needed."""
    kind = schema["type"]
    if isinstance(kind, list):
        return any(valid({**schema, "type": one}, value) for one in kind)
    if kind == "object":
        return isinstance(value, dict) and set(value) == set(schema["required"]) and all(valid(s, value[k]) for k, s in schema["properties"].items())
    if kind == "array":
        return isinstance(value, list) and 1 <= len(value) <= 8 and all(valid(schema["items"], v) for v in value)
    if kind == "string":
        return isinstance(value, str) and len(value) <= 40
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and (kind == "number" or isinstance(value, int))


def questions(n):
    found, seed = [], 0
    while len(found) < n:
        question, answer = skills.json_object(words.Source(seed, evaluation=True))
        seed += 1
        found.append((question, schema_of(json.loads(answer))))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--larder", default=str(ROOT / "build" / "larder"))
    parser.add_argument("--model", required=True)
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--free", action="store_true")
    args = parser.parse_args()
    n_valid = 0
    for seed, (question, schema) in enumerate(questions(args.n)):
        command = [args.larder, "run", "-m", args.model, "-n", "400", "--seed", str(seed), "-p", question]
        if not args.free:
            command += ["--json-schema", json.dumps(schema)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        try:
            ok = done.returncode == 0 and valid(schema, json.loads(done.stdout))
        except ValueError:
            ok = False
        n_valid += ok
        if not ok and not args.free:
            print("NOT VALID", json.dumps(schema), "->", done.stdout[:300], done.stderr[-200:], file=sys.stderr)
    print(f"valid {n_valid} of {args.n}")


if __name__ == "__main__":
    main()
