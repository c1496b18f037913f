#!/usr/bin/env python3
"""Writes tests/golden/json_schemas.jsonl: schemas, texts, and what the jsonschema package says of each text.

Per line {"schema", "texts", "valid": [true | false | null for no JSON], "reads": [whether Larder must read it]} or {"schema", "refused": part of the sentence}.
Lines of random schemas have no "reads": their texts are near values, valid or not, for what reads and matches schemas.
"""
import json
import pathlib
import random

import jsonschema

import cases
import random_schemas

ROOT = pathlib.Path(__file__).resolve().parents[2]
N_RANDOM = 60


def no_constant(_):
    raise ValueError("no JSON")


def verdict(schema, text):
    try:
        value = json.loads(text, parse_constant=no_constant)
    except ValueError:
        return None
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def line(**fields):
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"


def near(schema, rng, depth=0):
    """A value that often satisfies the schema and often just does not."""
    if not isinstance(schema, dict) or depth > 5 or rng.random() < 0.08:
        return rng.choice([None, True, 0, -1, 5, 2.5, "", "abc", [], {}, [1], {"a": 1}])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema and rng.random() < 0.8:
            return near(rng.choice(schema[key]), rng, depth + 1)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    kind = rng.choice(kind) if isinstance(kind, list) else kind
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", -5))
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 10))
        value = rng.choice([low, high, (low + high) / 2, low + 1, high + 1])
        return int(value) if kind == "integer" and rng.random() < 0.9 else value
    if kind == "string":
        return "".join(rng.choice("aé漢😀\n\"") for _ in range(rng.randint(max(0, schema.get("minLength", 0) - 1), schema.get("maxLength", schema.get("minLength", 0) + 2) + 1)))
    if kind == "array":
        n = rng.randint(max(0, schema.get("minItems", 0) - 1), schema.get("maxItems", schema.get("minItems", 0) + 2) + 1)
        first = schema.get("prefixItems", [])
        return [near(first[i] if i < len(first) else schema.get("items", {}), rng, depth + 1) for i in range(n)]
    if kind == "object":
        value = {name: near(one, rng, depth + 1) for name, one in schema.get("properties", {}).items() if name in schema.get("required", []) or rng.random() < 0.6}
        for name in schema.get("required", []):
            if rng.random() < 0.9:
                value.setdefault(name, near(schema.get("additionalProperties", {}), rng, depth + 1))
        if rng.random() < 0.3:
            value["extra"] = near(schema.get("additionalProperties", {}), rng, depth + 1)
        return value
    return rng.choice([None, True, 3, "ab", [], {}])


def main():
    lines, n_cases, narrower = [], 0, 0
    for schema, reads, refuses in cases.CASES:
        texts = reads + refuses
        valid = [verdict(schema, text) for text in texts]
        for text, ok in zip(reads, valid):
            assert ok, (schema, text)
        narrower += sum(bool(ok) for ok in valid[len(reads):])
        lines.append(line(schema=schema, texts=texts, valid=valid, reads=[True] * len(reads) + [False] * len(refuses)))
        n_cases += len(texts)
    for schema, sentence in cases.REFUSED:
        lines.append(line(schema=schema, refused=sentence))
        n_cases += 1
    rng = random.Random(1)
    n_random = 0
    for schema in random_schemas.many(N_RANDOM, 20):
        values = [near({**schema}, rng) for _ in range(12)]
        texts = sorted({json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in values})
        lines.append(line(schema=schema, texts=texts, valid=[verdict(schema, t) for t in texts]))
        n_random += len(texts)
    (ROOT / "tests" / "golden" / "json_schemas.jsonl").write_text("".join(lines), encoding="utf-8")
    print(f"{n_cases} cases of our own ({narrower} texts valid but not written), {n_random} texts of {N_RANDOM} random schemas")


if __name__ == "__main__":
    main()
