"""The requests that agents and chat programs send, in the shapes of their public sources and documentation (the
words are our own), replayed; the replies are read with the types that the vendors publish."""

import json
import urllib.request

import pydantic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

READ_FILE = {"type": "object", "properties": {"file_path": {"type": "string", "description": "Absolute path"},
                                              "limit": {"type": "number"}},
             "required": ["file_path"], "additionalProperties": False,
             "$schema": "http://json-schema.org/draft-07/schema#"}
BASH = {"type": "object", "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
        "required": ["command"], "additionalProperties": False}


def post(server, path, body, headers=None):
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(),
                                     {"Content-Type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def events(text):
    """(name, data) of each event, comments left out."""
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        name = [line[7:] for line in lines if line.startswith("event: ")]
        yield (name[0] if name else None), "".join(line[6:] for line in lines if line.startswith("data: "))


def check_chat_stream(text):
    data = [d for _, d in events(text)]
    assert data[-1] == "[DONE]"
    chunks = [ChatCompletionChunk.model_validate(json.loads(d), strict=False) for d in data[:-1]]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert any(c.choices and c.choices[0].finish_reason for c in chunks)
    return chunks


ANTHROPIC_EVENT = pydantic.TypeAdapter(RawMessageStreamEvent)
RESPONSE_EVENT = pydantic.TypeAdapter(ResponseStreamEvent)


def check_anthropic_stream(text):
    seen = []
    for name, data in events(text):
        if name == "ping":
            continue
        event = ANTHROPIC_EVENT.validate_python(json.loads(data))
        assert event.type == name
        seen.append(event)
    assert seen[0].type == "message_start" and seen[-1].type == "message_stop"
    return seen


def claude_code(stream, turn):
    messages = [{"role": "user", "content": [
        {"type": "text", "text": "<system-reminder>\nToday is a good day.\n</system-reminder>"},
        {"type": "text", "text": "Which tests fail here?", "cache_control": {"type": "ephemeral"}}]}]
    if turn > 1:
        messages += [
            {"role": "assistant", "content": [
                {"type": "text", "text": "I run them."},
                {"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {"command": "make test"}},
                {"type": "tool_use", "id": "toolu_02", "name": "Read", "input": {"file_path": "/a/b.txt"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_01", "content": "all passed", "is_error": False},
                {"type": "tool_result", "tool_use_id": "toolu_02",
                 "content": [{"type": "text", "text": "1 hello"}], "cache_control": {"type": "ephemeral"}}]}]
    return {
        "model": "claude-sonnet-4-5", "max_tokens": 64, "stream": stream, "temperature": 1,
        "messages": messages,
        "system": [{"type": "text", "text": f"x-anthropic-billing-header: version=2.1.0; hash={turn * 7919:x};"},
                   {"type": "text", "text": "You help with programs.", "cache_control": {"type": "ephemeral"}},
                   {"type": "text", "text": "Answer briefly.", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Read", "description": "Reads a file.", "input_schema": READ_FILE},
                  {"name": "Bash", "description": "Runs a command.", "input_schema": BASH}],
        "metadata": {"user_id": "user_x_account__session_y"},
        "thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"},
        "context_management": {"edits": []}}


CLAUDE_HEADERS = {"anthropic-version": "2023-06-01", "x-app": "cli", "authorization": "Bearer none",
                  "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14"}


@pytest.mark.parametrize("turn", [1, 2])
def test_claude_code(server, turn):
    kind, text = post(server, "/v1/messages?beta=true", claude_code(True, turn), CLAUDE_HEADERS)
    assert kind.startswith("text/event-stream")
    check_anthropic_stream(text)
    _, whole = post(server, "/v1/messages?beta=true", claude_code(False, turn), CLAUDE_HEADERS)
    Message.model_validate_json(whole)
    body = claude_code(False, turn)
    for name in ("max_tokens", "stream", "metadata", "temperature"):
        del body[name]
    _, counted = post(server, "/v1/messages/count_tokens?beta=true", body, CLAUDE_HEADERS)
    assert json.loads(counted)["input_tokens"] > 50
    # The small requests beside the conversation: is there quota, what is the title.
    _, quota = post(server, "/v1/messages?beta=true", {
        "model": "claude-haiku-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "quota"}],
        "metadata": {"user_id": "x"}}, CLAUDE_HEADERS)
    assert Message.model_validate_json(quota).usage.output_tokens <= 1


def test_billing_blocks_leave_the_prompt_reusable(server):
    """Two requests that differ in the first system block only: the second is read from what the first left."""
    rules = "You help with programs. " + " ".join(f"Rule {i} holds." for i in range(300))

    def ask(number):
        body = {"model": "x", "max_tokens": 16, "temperature": 0,
                "system": [{"type": "text", "text": f"x-anthropic-billing-header: v=2.1; cch={number * 7919:x};"},
                           {"type": "text", "text": rules}],
                "tools": [{"name": "Bash", "description": "Runs a command.", "input_schema": BASH}],
                "messages": [{"role": "user", "content": "Which rule comes first?"}]}
        return Message.model_validate_json(post(server, "/v1/messages", body, CLAUDE_HEADERS)[1])

    first, second = ask(1), ask(2)
    assert second.content == first.content
    assert first.usage.cache_read_input_tokens == 0
    assert second.usage.cache_read_input_tokens > 0.95 * first.usage.input_tokens


def codex(turn):
    items = [{"type": "message", "role": "developer",
              "content": [{"type": "input_text", "text": "The sandbox is read-only."}]},
             {"type": "message", "role": "user",
              "content": [{"type": "input_text", "text": "<environment_context><cwd>/w</cwd></environment_context>"}]},
             {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Which tests fail?"}]}]
    if turn > 1:
        items += [{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I look."}],
                   "content": None, "encrypted_content": None},
                  {"type": "function_call", "name": "shell", "call_id": "call_1",
                   "arguments": "{\"command\": [\"make\", \"test\"]}"},
                  {"type": "function_call_output", "call_id": "call_1",
                   "output": "{\"output\": \"all passed\", \"metadata\": {\"exit_code\": 0}}"}]
    return {
        "model": "gpt-5-codex", "instructions": "You help with programs.", "input": items,
        "tools": [{"type": "function", "name": "shell", "description": "Runs a command.", "strict": False,
                   "parameters": {"type": "object", "properties": {
                       "command": {"type": "array", "items": {"type": "string"}},
                       "workdir": {"type": "string"}, "timeout_ms": {"type": "number"}},
                       "required": ["command"], "additionalProperties": False}},
                  {"type": "custom", "name": "apply_patch", "description": "Edits files.",
                   "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"x\""}},
                  {"type": "web_search"}],
        "tool_choice": "auto", "parallel_tool_calls": False, "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False, "stream": True, "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0198-a", "text": {"verbosity": "medium"}, "max_output_tokens": 64}


@pytest.mark.parametrize("turn", [1, 2])
def test_codex(server, turn):
    kind, text = post(server, "/v1/responses", codex(turn), {
        "Authorization": "Bearer none", "originator": "codex_cli_rs", "Accept": "text/event-stream"})
    assert kind.startswith("text/event-stream")
    seen = []
    for name, data in events(text):
        event = RESPONSE_EVENT.validate_python(json.loads(data))
        assert event.type == name
        seen.append(event)
    assert seen[0].type == "response.created"
    assert seen[-1].type in ("response.completed", "response.incomplete")
    body = codex(turn)
    body["stream"] = False
    Response.model_validate_json(post(server, "/v1/responses", body)[1])


def test_open_webui(server):
    json.loads(server.get("/v1/models"))
    chat = {"stream": True, "model": "larder-demo", "stream_options": {"include_usage": True}, "max_tokens": 40,
            "messages": [{"role": "system", "content": "Be brief."},
                         {"role": "user", "content": [{"type": "text", "text": "What is 2 + 3?"}]}]}
    chunks = check_chat_stream(post(server, "/v1/chat/completions", chat)[1])
    assert chunks[-1].usage.prompt_tokens > 10
    title = {"model": "larder-demo", "stream": False, "max_completion_tokens": 32,
             "messages": [{"role": "user", "content": "### Task:\nGive a title of three words.\n### Chat:\nHello"}]}
    ChatCompletion.model_validate_json(post(server, "/v1/chat/completions", title)[1])
    # The same program by way of Ollama's API.
    for path in ("/api/tags", "/api/version", "/api/ps"):
        json.loads(server.get(path))
    _, text = post(server, "/api/chat", {
        "model": "larder-demo", "messages": chat["messages"][:1] + [{"role": "user", "content": "What is 2 + 3?"}],
        "options": {"num_predict": 40, "temperature": 0}, "stream": True, "keep_alive": "5m"})
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[-1]["done"] and "".join(line["message"]["content"] for line in lines) == "2 + 3 = 5"


def test_cline(server):
    """Tools as functions, results as messages of the tool, usage in the stream."""
    tools = [{"type": "function", "function": {
        "name": name, "description": "Does it.", "strict": False,
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"],
                       "additionalProperties": False}}} for name in ("read_file", "list_files")]
    body = {"model": "larder-demo", "temperature": 0, "stream": True, "stream_options": {"include_usage": True},
            "max_tokens": 64, "tools": tools, "tool_choice": "auto", "parallel_tool_calls": False, "messages": [
                {"role": "system", "content": "You work in steps."},
                {"role": "user", "content": [{"type": "text", "text": "<task>\nRead a.txt\n</task>"},
                                             {"type": "text", "text": "# Files\na.txt"}]},
                {"role": "assistant", "content": None, "tool_calls": [
                    {"id": "call_1", "type": "function",
                     "function": {"name": "read_file", "arguments": "{\"path\": \"a.txt\"}"}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "hello"}]}
    chunks = check_chat_stream(post(server, "/v1/chat/completions", body)[1])
    assert chunks[-1].usage.completion_tokens > 0


def test_continue(server):
    """A chat with a long stop list, and a completion of text."""
    body = {"model": "larder-demo", "stream": True, "max_tokens": 32, "temperature": 0.5, "top_p": 1,
            "presence_penalty": 0, "frequency_penalty": 0, "stop": ["<|im_end|>", "\n\n\n", "```\n\n"],
            "messages": [{"role": "user", "content": "What is 2 + 3?"},
                         {"role": "assistant", "content": "2 + 3 = 5"}, {"role": "user", "content": "What is 2 + 4?"}]}
    check_chat_stream(post(server, "/v1/chat/completions", body)[1])
    text = post(server, "/v1/completions", {"model": "larder-demo", "prompt": "def add(a, b):\n", "max_tokens": 16,
                                            "stream": True, "temperature": 0.01, "stop": ["\n\n"]})[1]
    assert list(events(text))[-1][1] == "[DONE]"
