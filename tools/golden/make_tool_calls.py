"""200 answers with tool calls, written by each model's own chat template as Python's jinja2 renders it.

Writes tests/golden/tool_calls/cases.json (tools; and per case content, reasoning and calls) and FORMAT.json (per case what
the model would have to say for that: the rendering with the answer, less the rendering of the prompt, less the end token).
Templates that show no content beside calls, one call only or no reasoning say so in FORMAT.json.
Run: python tools/golden/make_tool_calls.py DIRECTORY_OF_TEMPLATES
"""

import argparse
import json
import pathlib
import random

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import SandboxedEnvironment

N_CASES = 200

TOOLS = [
    ("write_file", {"path": {"type": "string"}, "text": {"type": "string"}, "append": {"type": "boolean"}}),
    ("get_weather", {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}}),
    ("move", {"x": {"type": "number"}, "y": {"anyOf": [{"type": "number"}, {"type": "null"}]}}),
    ("search", {"query": {"type": ["string", "null"]}, "tags": {"type": "array", "items": {"type": "string"}},
                "where": {"$ref": "#/$defs/place"}}),
    ("now", {}),
    ("ünïcode-tool.v2", {"größe": {"type": "integer"}, "text": {"type": "string"}}),
]

# What has broken parsers: frames of the formats themselves, quotes, white space at the ends, JSON inside a text.
NASTY = [
    "", " ", "\n", "\n\n", "a\n", "\na", " a ", "5", "-0.5", "true", "False", "null", "None", "[]", "{}", '"', "\\", '\\"', "'",
    '"quoted"', "a</parameter>b", "</function>", "</tool_call>", "<tool_call>", "<think>", "</think>", "<parameter=x>",
    "<function=f>", "x\n</tool_call>\ny", "<|im_end|", "<|call|>", "<|message|>", "<|channel|>final", "｜", "<｜DSML｜",
    "<｜tool▁call▁end｜>", "<｜tool▁sep｜>", "</invoke>", '{"name": "f", "arguments": {}}', "}}", "]]", "\t\r\n", "\u0001\u001f",
    "Zürich", "日本語", "🦊🦊", "é", "\u2028", "line one\nline two\n\nline four", "#!/bin/sh\necho \"$HOME\" | sed 's/\\//x/g'\n",
    "<a href=\"x\">y</a> <", "</", "<", "a" * 300, "<|tool_call_end|>", "```json\n{}\n```",
]
WORDS = "the quick brown fox reads Larder notes about a river in Ghent while 3 cats sleep".split()


def text(rng):
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(NASTY)
    words = [rng.choice(WORDS) for _ in range(rng.randint(1, 8))]
    if kind < 0.7:
        words.insert(rng.randrange(len(words) + 1), rng.choice(NASTY))
    return rng.choice([" ", "\n"]).join(words)


def number(rng):
    return rng.choice([0, -1, 7, 10**15, -(2**53), 0.5, -2.25, 1e-7, 1.5e300, 123456.789])


def value(rng, schema, depth=0):
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if "anyOf" in schema:
        return value(rng, rng.choice(schema["anyOf"]))
    if "$ref" in schema:
        return {"lat": number(rng), "name": text(rng), "inner": {"list": [text(rng), None, True, [], {}]}}
    kind = schema["type"]
    if isinstance(kind, list):
        # "None" and "null" bare would be the null that the schema allows.
        chosen = None if rng.random() < 0.2 else text(rng)
        return chosen if chosen is None or chosen.strip() not in ("None", "null") else "nothing"
    if kind == "string":
        return text(rng)
    if kind == "integer":
        return rng.choice([0, 3, -12, 2**40])
    if kind == "number":
        return number(rng)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "null":
        return None
    assert kind == "array", kind
    return [text(rng) for _ in range(rng.randint(0, 3))]


def make_tools():
    tools = []
    for name, properties in TOOLS:
        parameters = {"type": "object", "properties": properties}
        if "where" in properties:
            parameters["$defs"] = {"place": {"type": "object"}}
        described = {key: dict(schema, description=f"The {key}.") for key, schema in properties.items()}
        parameters = dict(parameters, properties=described)
        tools.append({"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": parameters}})
    return tools


def make_case(rng):
    calls = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        name, properties = rng.choice(TOOLS)
        keys = [key for key in properties if rng.random() < 0.8]
        rng.shuffle(keys)
        calls.append({"name": name, "arguments": {key: value(rng, properties[key]) for key in keys}})
    sentence = " ".join(rng.choice(WORDS) for _ in range(rng.randint(3, 9)))
    content = rng.choice(["", "Let me look.", sentence, "a < b, \"c\" <tool", "1.\n\n2. <thi", "ö日🦊", "<x>\n</x>"])
    reasoning = rng.choice(["", "Hm.", "First " + sentence + ".\n\nThen <tool_call>?", "The user wants </tool_call> {\"a\": 1}", "思考"])
    return {"content": content, "reasoning": reasoning, "calls": calls}


def environment():
    # As transformers sets it up, but mutable: Kimi K2 appends to a list once it has calls to show.
    env = SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def fail(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.filters["from_json"] = json.loads
    env.globals["raise_exception"] = fail
    env.globals["strftime_now"] = lambda fmt: "2026-01-01"
    return env


# name: template, end of the answer, variables, what of a case it shows
FORMATS = {
    "qwen3-coder": ("Qwen3-Coder", "<|im_end|>\n", {}, {"reasoning": False}),
    "qwen3.5": ("Qwen3.5-4B", "<|im_end|>\n", {}, {}),
    "qwen3": ("Qwen-Qwen3-0.6B", "<|im_end|>\n", {}, {}),
    "hermes3": ("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "<|im_end|>\n", {}, {"reasoning": False, "content": False, "schemas": False}),
    "deepseek-v3.1": ("deepseek-ai-DeepSeek-V3.1", "<｜end▁of▁sentence｜>", {}, {"reasoning": False}),
    "deepseek-v3.2": ("deepseek-ai-DeepSeek-V3.2", "<｜end▁of▁sentence｜>", {"thinking": True}, {}),
    "gpt-oss": ("openai-gpt-oss-120b", "<|call|>", {}, {"content": False, "calls": 1}),
    "kimi-k2": ("Kimi-K2-Instruct", "<|im_end|>", {}, {"reasoning": False}),
    "minimax-m2": ("MiniMax-M2", "[e~[\n", {}, {"reasoning": "always"}),
}


def answer(template, end, variables, shows, case, tools):
    messages = [{"role": "user", "content": "Do it."}]
    message = {"role": "assistant", "content": case["content"] if shows.get("content", True) else ""}
    message["tool_calls"] = [
        {"type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in case["calls"][: shows.get("calls", 3)]
    ]
    reasoning = case["reasoning"] if shows.get("reasoning", True) else ""
    if shows.get("reasoning") == "always":
        reasoning = reasoning or "So."
    if reasoning:
        message["reasoning_content"] = message["thinking"] = reasoning
    if not shows.get("schemas", True):  # recurses for ever on types it does not know
        empty = {"type": "object", "properties": {}}
        tools = [{"type": "function", "function": dict(tool["function"], parameters=empty)} for tool in tools]
    prompt = template.render(messages=messages, tools=tools, add_generation_prompt=True, bos_token="", eos_token="", **variables)
    whole = template.render(messages=messages + [message], tools=tools, add_generation_prompt=False, bos_token="", eos_token="",
                            **variables)
    assert whole.startswith(prompt), (prompt[-60:], whole[len(prompt) - 60 : len(prompt) + 60])
    assert whole.endswith(end), whole[-80:]
    return prompt, whole[len(prompt) : len(whole) - len(end)], reasoning


def dump(path, top, rows):
    with open(path, "w", encoding="utf-8") as out:
        out.write("{" + ",\n".join(f"{json.dumps(key)}: {json.dumps(one, ensure_ascii=False)}" for key, one in top.items()))
        key = "cases" if path.name == "cases.json" else "answers"
        out.write(f',\n"{key}": [\n' + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("templates", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "tests/golden/tool_calls")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(6)
    tools = make_tools()
    cases = [make_case(rng) for _ in range(N_CASES)]
    dump(args.out / "cases.json", {"tools": tools}, cases)
    env = environment()
    for name, (file, end, variables, shows) in FORMATS.items():
        source = (args.templates / f"{file}.jinja").read_text(encoding="utf-8")
        template = env.from_string(source)
        rows, prompt = [], ""
        for case in cases:
            prompt, row, reasoning = answer(template, end, variables, shows, case, tools)
            rows.append(row)
        signs = [sign for sign in ("<|channel|>", "｜DSML｜", "<｜tool▁call▁begin｜>", "<|tool_call_begin|>", "minimax:tool_call",
                                   "<function=", "<tool_call>", "<think>", "</think>", "\\n</think>") if sign in source]
        top = {"template": file, "signs": " ".join(signs), "prompt_end": prompt[-40:], "content": shows.get("content", True),
               "reasoning": shows.get("reasoning", True), "calls": shows.get("calls", 3)}
        dump(args.out / f"{name}.json", top, rows)
        print(name, sum(len(row) for row in rows), "characters")


if __name__ == "__main__":
    main()
