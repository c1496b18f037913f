"""The chat format of the demo model: Qwen3.5's ChatML with an empty thinking block.

Owns the text around messages, tools and tool calls, for training, for evaluation and (as
template.jinja beside it, which a test compares with `render`) for the programs that load the model.
"""
import json
import os

IM_START, IM_END = "<|im_start|>", "<|im_end|>"
CONTROL = ["<|endoftext|>", IM_START, IM_END]
MARKERS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
NO_THINKING = "<think>\n\n</think>\n\n"
TOOLS_HEAD = "# Tools\n\nYou can call these functions:\n\n<tools>"
TOOLS_TAIL = (
    "\n</tools>\n\nTo call one, reply only with:\n\n<tool_call>\n<function=name>\n<parameter=key>\nvalue\n"
    "</parameter>\n</function>\n</tool_call>\n\nIf no function fits, say so.")


def template_text():
    with open(os.path.join(os.path.dirname(__file__), "template.jinja"), encoding="utf-8") as file:
        return file.read()


def tool_json(tool, style="plain"):
    """One line for a tool: as the template writes it, or as other programs would."""
    if style == "compact":
        return json.dumps(tool, ensure_ascii=False, separators=(",", ":"))
    if style == "sorted":
        return json.dumps(tool, ensure_ascii=False, sort_keys=True)
    if style == "bare":
        return json.dumps(tool["function"], ensure_ascii=False)
    return json.dumps(tool, ensure_ascii=False)


def call_text(name, arguments):
    """A tool call in the model's own words; `arguments` is a dict of texts and numbers."""
    inner = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>"


def parse_call(text):
    """The reverse of call_text: (name, arguments) or None when the text is no well-formed call."""
    text = text.strip()
    head, tail = "<tool_call>\n<function=", "</function>\n</tool_call>"
    if not (text.startswith(head) and text.endswith(tail)):
        return None
    name, _, rest = text[len(head):-len(tail)].partition(">\n")
    arguments = {}
    while rest:
        if not rest.startswith("<parameter="):
            return None
        key, _, rest = rest[len("<parameter="):].partition(">\n")
        value, mark, rest = rest.partition("\n</parameter>\n")
        if not mark:
            return None
        arguments[key] = value
    return name, arguments


def system_text(messages, tools, style):
    """The text of the system turn, or None when there is none."""
    content = messages[0]["content"].strip() if messages and messages[0]["role"] == "system" else None
    if not tools:
        return content
    lines = "".join("\n" + tool_json(tool, style) for tool in tools)
    text = TOOLS_HEAD + lines + TOOLS_TAIL
    return f"{text}\n\n{content}" if content else text


def render(messages, tools=None, style="plain", thinking="empty"):
    """Segments (text, is_answer) of a conversation. Assistant turns after the last question carry the
    empty thinking block; `thinking` may be "none" (no block) or "open" (the model closes it)."""
    segments = []
    system = system_text(messages, tools, style)
    if system is not None:
        segments.append((f"{IM_START}system\n{system}{IM_END}\n", False))
    last_question = max(i for i, m in enumerate(messages) if m["role"] == "user")
    for i, message in enumerate(messages):
        content = message["content"]
        if message["role"] == "user":
            segments.append((f"{IM_START}user\n{content}{IM_END}\n", False))
        elif message["role"] == "tool":
            head = f"{IM_START}user" if messages[i - 1]["role"] != "tool" else ""
            last = i + 1 == len(messages) or messages[i + 1]["role"] != "tool"
            tail = f"{IM_END}\n" if last else ""
            segments.append((f"{head}\n<tool_response>\n{content}\n</tool_response>{tail}", False))
        elif message["role"] == "assistant":
            head = f"{IM_START}assistant\n"
            if i > last_question and thinking == "empty":
                segments.append((head + NO_THINKING, False))
            elif i > last_question and thinking == "open":
                segments.append((head + "<think>\n", False))
                content = "\n</think>\n\n" + content
            else:
                segments.append((head, False))
            segments.append((content + IM_END, True))
            segments.append(("\n", False))
    return segments


def prompt_text(messages, tools=None, style="plain"):
    """The text to continue: `messages` without the answer, ended by the answer's head."""
    body = "".join(text for text, _ in render(messages, tools, style))
    return body + f"{IM_START}assistant\n" + NO_THINKING
