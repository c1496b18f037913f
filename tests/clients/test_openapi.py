"""The server's own description: the requests of published clients satisfy it, and Schemathesis finds that it holds."""

import json
import os
import subprocess
import sys

import jsonschema_rs
import pytest

from conftest import Server
from test_agents import claude_code

HERE = os.path.dirname(os.path.abspath(__file__))
USER = {"role": "user", "content": "What is 2 + 3?"}
ADD = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
FUNCTION = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": ADD, "strict": True}}

# What clients send, per path: from the examples of the APIs' documentation and of the clients' sources.
BODIES = {
    "/v1/chat/completions": [
        {"model": "m", "messages": [USER], "tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False},
        {"model": "m", "messages": [USER], "tools": [FUNCTION],
         "tool_choice": {"type": "function", "function": {"name": "add"}}},
        {"model": "m", "messages": [USER], "response_format": {"type": "json_object"}, "seed": 1},
        {"model": "m", "messages": [USER], "response_format": {
            "type": "json_schema", "json_schema": {"name": "sum", "strict": True, "schema": ADD}}},
        {"model": "m", "messages": [USER], "logit_bias": {"50256": -100}, "logprobs": True, "top_logprobs": 5},
        {"model": "m", "messages": [USER], "max_completion_tokens": 10, "reasoning_effort": "low", "stop": None,
         "stream": True, "stream_options": {"include_usage": True}, "modalities": ["text"], "metadata": {"a": "b"}},
        {"model": "m", "tools": [FUNCTION], "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "2 + 3?"}]},
            {"role": "assistant", "content": None, "refusal": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{\"a\": 2, \"b"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "5"}]},
        {"model": "m", "tools": [FUNCTION["function"], {"type": "function", "name": "flat"}], "messages": [
            USER, {"role": "assistant", "tool_calls": [{"name": "flat", "arguments": {}}]},
            {"role": "tool", "content": "5"}]},
        {"model": "m", "messages": [USER], "chat_template_kwargs": {"enable_thinking": False}, "top_k": 20,
         "repetition_penalty": 1.1, "min_p": 0.05, "ignore_eos": True},
    ],
    "/v1/completions": [
        {"model": "m", "prompt": "Once", "max_tokens": 0, "echo": True, "logprobs": 1, "best_of": 1, "logit_bias": {}},
        {"model": "m", "prompt": [[1, 2], [3]], "suffix": None, "stream": True},
    ],
    "/v1/responses": [
        {"model": "m", "input": "Hi", "tools": [{"type": "function", "name": "add", "parameters": ADD, "strict": True},
                                                {"type": "web_search"}], "tool_choice": "required",
         "include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "top_logprobs": 2},
        {"model": "m", "input": "Hi", "tool_choice": {"type": "function", "name": "add"},
         "tools": [{"type": "function", "name": "add", "parameters": ADD}], "text": {
             "verbosity": "low", "format": {"type": "json_schema", "name": "sum", "schema": ADD, "strict": True}}},
        {"model": "m", "instructions": "Be brief.", "store": False, "stream": True, "prompt_cache_key": "k",
         "reasoning": {"effort": "medium", "summary": "auto"}, "input": [
             {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "2 + 3?"}]},
             {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x", "content": None},
             {"type": "message", "role": "assistant", "content": [
                 {"type": "output_text", "text": "Look:", "annotations": [], "logprobs": []}]},
             {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{\"a\": 2", "status": "incomplete"},
             {"type": "function_call_output", "call_id": "c1", "output": "5"}]},
    ],
    "/v1/messages": [claude_code(True, 1), claude_code(False, 2), {
        "model": "m", "max_tokens": 10, "messages": [USER], "tools": [{"name": "add", "input_schema": ADD}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True}, "stop_sequences": ["x"], "top_k": 5}, {
        "model": "m", "max_tokens": 10, "tool_choice": {"type": "tool", "name": "add"},
        "tools": [{"name": "add", "input_schema": ADD}], "messages": [
            USER,
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "redacted_thinking", "data": "x"},
                {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 2, "b": 3}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": [
                {"type": "text", "text": "5"}]}]}]}],
    "/v1/messages/count_tokens": [{"model": "m", "messages": [USER], "tool_choice": {"type": "any"},
                                   "tools": [{"name": "add", "input_schema": ADD}]}],
    "/api/chat": [
        {"model": "m", "messages": [USER], "think": "low", "format": ADD, "keep_alive": "5m", "stream": False,
         "options": {"num_ctx": 4096, "repeat_penalty": 1.1}},
        {"model": "m", "keep_alive": 0, "messages": []},
        {"model": "m", "tools": [FUNCTION], "think": True, "messages": [
            USER, {"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "add", "arguments": {"a": 2, "b": 3}}}]},
            {"role": "tool", "tool_name": "add", "content": "5"}]},
    ],
    "/api/generate": [{"model": "m", "prompt": "Hi", "format": "json", "think": "high", "raw": False, "images": []}],
}
PATHS = ["/v1/models/{id}", "/v1/embeddings", "/api/embed", "/api/embeddings"]


@pytest.fixture(scope="module")
def description(server):
    return json.loads(server.get("/openapi.json"))


@pytest.mark.parametrize("path", BODIES)
def test_clients_requests_satisfy_it(server, description, path):
    schema = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema_rs.Draft202012Validator({**schema, "components": description["components"]})
    for body in BODIES[path]:
        validator.validate(body)


def test_limits_are_described(description):
    for path, tool in (("/v1/chat/completions", FUNCTION), ("/api/chat", FUNCTION),
                       ("/v1/messages", {"name": "add", "input_schema": ADD})):
        schema = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        validator = jsonschema_rs.Draft202012Validator({**schema, "components": description["components"]})
        body = {"model": "m", "max_tokens": 1, "messages": [USER]}
        assert validator.is_valid({**body, "tools": [tool] * 512}), path
        assert not validator.is_valid({**body, "tools": [tool] * 513}), path
        assert validator.is_valid({**body, "messages": [USER] * 100000}), path
        assert not validator.is_valid({**body, "messages": [USER] * 100001}), path


def test_everything_is_described(description):
    for path in PATHS:
        assert path in description["paths"], path
    assert {} in description["security"]  # keys are asked for only where the server has some
    for scheme in description["security"]:
        assert set(scheme) <= set(description["components"]["securitySchemes"])


# Minutes long, so only where asked for.
@pytest.mark.skipif(os.environ.get("LARDER_SCHEMATHESIS") != "1", reason="takes minutes: LARDER_SCHEMATHESIS=1")
def test_description_holds(tmp_path):
    """Requests made from the description, right and wrong ones; every check that Schemathesis has."""
    server = Server("--ctx", "8192", "--parallel", "2", "--max-tokens", "8")
    program = os.path.join(os.path.dirname(sys.executable), "schemathesis")
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": HERE}
    try:
        ended = subprocess.run(
            # An answer as long as was asked for takes its time: only the request's own time-out counts.
            # Paths that refuse everything take nothing right.
            [program, "run", server.url + "/openapi.json", "--checks", "all", "--max-examples", "10", "--seed", "1",
             "--exclude-path-regex", "embed", "--phases", "examples,coverage,fuzzing", "--request-timeout", "600",
             "--max-response-time", "600", "--no-color"],
            capture_output=True, text=True, timeout=1200, cwd=tmp_path, env=environment)
        print(ended.stdout[-6000:])
        assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-1000:]
    finally:
        server.stop()
