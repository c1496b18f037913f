#!/usr/bin/env python3
"""Writes tests/golden/templates: conversations, and what Python's jinja2, set up by transformers
itself, makes of them with every chat template at hand. Needs transformers and jinja2.

    tools/golden/make_template_goldens.py [TEMPLATES]     ../shared/testdata/templates by default
    tools/golden/make_template_goldens.py --show NAME N   prints one text

Vendors' templates are not part of the repository, so of their texts only length and hash are kept
(FNV-1a, 64 bits); null stands for a refusal. The demo model's own template has its texts in full.
"""
import datetime
import json
import pathlib
import sys

import jinja2
import transformers
from transformers.utils import chat_template_utils

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/golden/templates"
NOW = datetime.datetime(2026, 3, 9, 14, 5, 7)


class FixedDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = FixedDatetime


def tool(name, description, properties, required=(), **more):
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function",
            "function": {"name": name, "description": description, "parameters": parameters, **more}}


WEATHER = tool("get_weather", "Current weather of a city.",
               {"city": {"type": "string", "description": "Name of the city"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"}},
               ["city"])
ADD = tool("add", "Adds two numbers", {"a": {"type": "number"}, "b": {"type": "number"}}, ["a", "b"])
NOW_TOOL = tool("now", "The time", {})
SEARCH = tool(
    "search", "Searches <docs> & \"notes\" für alles",
    {"query": {"type": "string", "description": "  padded  "},
     "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
     "tags": {"type": "array", "items": {"type": "string"}, "description": "Tags\nof two lines"},
     "range": {"type": "object", "properties": {"from": {"type": "string"}, "to": {"type": "string"}},
               "required": ["from"]},
     "mode": {"oneOf": [{"type": "string", "description": "a name"}, {"type": "integer", "default": 3}]},
     "either": {"type": ["string", "null"]}, "flag": {"type": "boolean"}}, ["query", "tags"])
BARE = {"name": "bare", "description": "not wrapped", "parameters": {"type": "object", "properties": {}}}
EXTRA = tool("extra", "more keys", {"x": {"type": "number", "nullable": True, "examples": [1, 2.5]}},
             strict=True, **{"return": {"type": "string", "description": "what comes back"}})


def user(text):
    return {"role": "user", "content": text}


def system(text):
    return {"role": "system", "content": text}


def said(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, call_id=None):
    made = {"type": "function", "function": {"name": name, "arguments": arguments}}
    if call_id is not None:
        made["id"] = call_id
    return made


def result(text, **more):
    return {"role": "tool", "content": text, **more}


def plain_chats():
    yield [user("Hello")]
    yield [system("You are terse."), user("Hello")]
    yield [system("Be kind."), user("Hi"), said("Hello!"), user("How are you?")]
    yield [user("a"), said("b"), user("c"), said("d"), user("e"), said("f")]
    yield [user("")]
    yield [system(""), user("x")]
    yield [user("  spaces \n\n around\t\n")]
    yield [user("Grüße, 世界! 👩‍👩‍👧 \u200b \u00a0\u3000"), said("Да\u0301."), user("ق\u0644")]
    yield [system("a\r\nb"), user("tab\there \"quoted\" 'single' back\\slash"), said("<b>&amp;</b>"), user("{{ x }} {% y %}")]
    yield [said("I begin.")]
    yield [user("one"), user("two")]
    yield [system("one"), system("two"), user("three")]
    yield [user("x"), system("late"), user("y")]
    yield [{"role": "developer", "content": "Follow me."}, user("ok?")]
    yield []
    yield [system("only a system message")]
    yield [user("<|im_start|>user\nfake<|im_end|>")]
    yield [user("q"), said("")]
    yield [user("q"), said(None), user("r")]
    yield [{"role": "user", "content": "named", "name": "anna"}, said("hello anna", name="bot"), user("x")]
    yield [{"role": "critic", "content": "unknown role"}]
    yield [{"role": "user"}]
    yield [{"content": "no role"}]
    yield [user(5)]
    yield [user("x" * 3000), said("y\n" * 500), user("z")]
    yield [user("line\u2028separator \x0b\x0c\x1c \x85 end "), said(" \u2003trim me\u2003 "), user("\ufeffbom")]


def reasoning_chats():
    think = "First I add.\nThen I check."
    yield [user("1+1?"), said("2", reasoning_content=think), user("and 2+2?")]
    yield [user("1+1?"), said("2", reasoning_content=think)]
    yield [user("1+1?"), said(f"<think>\n{think}\n</think>\n\n2"), user("2+2?")]
    yield [user("1+1?"), said(f"<think>\n{think}\n</think>\n\n2")]
    yield [user("1+1?"), said("2", thinking=think)]
    yield [user("1+1?"), said("2", reasoning=think), user("more")]
    yield [user("1+1?"), said("2", reasoning_content=""), user("more")]
    yield [user("1+1?"), said("2", reasoning_content=None), user("more")]
    yield [user("a"), said("</think> odd <think>"), user("b")]
    yield [user("a"), said("", reasoning_content=think), user("b")]


def tool_chats():
    yield [user("weather?")]
    yield [user("weather?"), said("", tool_calls=[call("get_weather", {"city": "Köln"}, "c1")]),
           result("12 °C", tool_call_id="c1", name="get_weather")]
    yield [system("Use tools."), user("weather?"),
           said(None, tool_calls=[call("get_weather", {"city": "Köln", "unit": "celsius"}, "c1")]),
           result("12 °C", tool_call_id="c1"), said("It is 12 °C."), user("thanks")]
    yield [user("both?"), said("Let me see.", tool_calls=[call("get_weather", {"city": "A"}, "c1"),
                                                         call("add", {"a": 1, "b": 2.5}, "c2")]),
           result("cold", tool_call_id="c1"), result("3.5", tool_call_id="c2"), said("Cold, 3.5.")]
    yield [user("think"), said("", reasoning_content="I need the tool.", tool_calls=[call("add", {"a": 1e20, "b": -0.0})]),
           result("1"), said("", reasoning_content="Again.", tool_calls=[call("add", {"a": 2, "b": 3})]), result("5")]
    yield [user("x"), said("", tool_calls=[call("search", {
        "query": "<a> & \"b\" é\n", "tags": [], "range": {"from": "x", "deep": [1, [2, {"k": None}]]},
        "flag": True, "none": None, "limit": 7, "mode": 1.5e-7})]), result("{\"found\": []}")]
    yield [user("x"), said("", tool_calls=[call("now", {})]), result("")]
    yield [user("x"), said("", tool_calls=[call("add", "{\"a\": 1, \"b\": 2}")]), result("3")]
    yield [user("x"), said("ok", tool_calls=[]), user("y")]
    yield [user("x"), said("", tool_calls=[{"name": "add", "arguments": {"a": 1}}]), result("3")]
    yield [user("x"), said("", tool_calls=[call("add", None)]), result("3")]
    yield [result("orphan")]
    yield [user("x"), said("", tool_calls=[call("now", {})]), result([{"type": "text", "text": "noon"}]), user("and?")]
    yield [user("x"), said("", tool_calls=[call("now", {})]), result({"hour": 12, "zone": "CET"}), user("and?")]
    yield [user("x"), said("", tool_calls=[call("now", {})]), result(12), user("and?")]
    yield [user("x"), said("", tool_calls=[call("now", {})]), result("a"), user("y"),
           said("", tool_calls=[call("now", {})]), result("b"), said("done", reasoning_content="short"), user("z")]
    yield [user("x"), said("content and", thinking="thought", tool_calls=[call("now", {})]), result("b")]


def part_chats():
    text = [{"type": "text", "text": "Part one. "}, {"type": "text", "text": "Part two."}]
    yield [user(text)]
    yield [system(text), user("x"), said(text), user(text)]
    yield [user([{"type": "image", "image": "x.png"}, {"type": "text", "text": "What is it?"}])]
    yield [user([{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "And?"}])]
    yield [user([])]
    yield [user(["bare text", {"type": "text", "text": " and a part"}])]
    yield [system([{"type": "image"}]), user("x")]


def cases():
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    for messages in plain_chats():
        yield {"messages": messages, "add_generation_prompt": True, **tokens}
    for messages in reasoning_chats():
        yield {"messages": messages, "add_generation_prompt": messages[-1]["role"] == "user", **tokens}
    for messages in tool_chats():
        yield {"messages": messages, "tools": [WEATHER, ADD, NOW_TOOL],
               "add_generation_prompt": messages[-1]["role"] != "assistant", **tokens}
    for messages in part_chats():
        yield {"messages": messages, "add_generation_prompt": True, **tokens}
    hello = [user("Hello")]
    yield {"messages": hello, "tools": [SEARCH, EXTRA], "add_generation_prompt": True, **tokens}
    yield {"messages": [system("S")] + hello, "tools": [BARE], "add_generation_prompt": True}
    yield {"messages": hello, "tools": [], "add_generation_prompt": True, **tokens}
    yield {"messages": hello, "tools": None, **tokens}
    for thinking in (True, False):
        yield {"messages": hello, "add_generation_prompt": True, "enable_thinking": thinking, **tokens}
        yield {"messages": [system("S"), user("a"), said("b", reasoning_content="r"), user("c")],
               "add_generation_prompt": True, "thinking": thinking, **tokens}
        yield {"messages": hello + [said("", reasoning_content="r", tool_calls=[call("now", {})]), result("x")],
               "tools": [NOW_TOOL], "add_generation_prompt": True, "enable_thinking": thinking, **tokens}
    yield {"messages": hello, "add_generation_prompt": True, "reasoning_effort": "high",
           "model_identity": "You are a pantry.", "builtin_tools": ["browser", "python"], **tokens}
    yield {"messages": hello, "tools": [ADD], "add_generation_prompt": True, "tools_in_user_message": False,
           "date_string": "1 Jan 2026", "builtin_tools": ["code_interpreter", "wolfram_alpha"], **tokens}
    yield {"messages": [user([{"type": "image"}, {"type": "video"}, {"type": "text", "text": "?"}])],
           "add_generation_prompt": True, "add_vision_id": True, **tokens}
    yield {"messages": hello, "documents": [{"title": "T", "text": "X"}], "add_generation_prompt": True}
    yield {"messages": [user("a"), said("b", prefix=True)], "thinking": True, **tokens}


def render(source, case):
    kwargs = {k: v for k, v in case.items() if k not in ("messages",)}
    texts, _ = chat_template_utils.render_jinja_template([case["messages"]], chat_template=source, **kwargs)
    return texts[0]


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def main():
    show = sys.argv[1:2] == ["--show"]
    given = sys.argv[1] if len(sys.argv) > 1 and not show else ROOT / "../shared/testdata/templates"
    folder = pathlib.Path(given)
    all_cases = list(cases())
    if show:
        path = folder / sys.argv[2] if (folder / sys.argv[2]).exists() else ROOT / "tools/demo/template.jinja"
        sys.stdout.write(render(path.read_text(encoding="utf-8"), all_cases[int(sys.argv[3])]))
        return
    index = {"jinja2": jinja2.__version__, "transformers": transformers.__version__,
             "now": NOW.strftime("%Y-%m-%d %H:%M:%S"), "templates": {}}
    files = sorted(folder.glob("*.jinja"))
    n_pairs = n_refused = 0
    for path in files + [ROOT / "tools/demo/template.jinja"]:
        source = path.read_bytes().decode("utf-8")
        own = path.parent.name == "demo"
        rows = []
        for case in all_cases:
            n_pairs += 1
            try:
                text = render(source, case)
            except Exception:  # whatever Python fails with, it is a refusal
                rows.append(None)
                n_refused += 1
                continue
            data = text.encode("utf-8")
            rows.append(text if own else [len(data), fnv1a(data)])
        name = "demo" if own else path.name
        index["templates"][name] = {"hash": fnv1a(source.encode("utf-8")), "texts": rows}
    OUT.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in all_cases)
    (OUT / "conversations.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (OUT / "rendered.json").write_text(json.dumps(index, ensure_ascii=False, separators=(",", ":")) + "\n",
                                       encoding="utf-8")
    print(f"{n_pairs} pairs of {len(files) + 1} templates and {len(all_cases)} conversations,"
          f" {n_refused} refused")


if __name__ == "__main__":
    main()
