"""The anthropic client: messages, streams, tools, thinking, counting, errors."""

import anthropic
import pytest

TOOLS = [{"name": "convert_currency", "description": "Converts an amount from one currency to another.",
          "input_schema": {"type": "object", "properties": {
              "amount": {"type": "integer", "description": "How much"},
              "from": {"type": "string", "description": "Source currency"},
              "to": {"type": "string", "description": "Target currency"}},
              "required": ["amount", "from", "to"]}}]
QUESTION = [{"role": "user", "content": "What is 2 + 3?"}]
MONEY = [{"role": "user", "content": "What is 250 EUR in USD?"}]


@pytest.fixture(scope="module")
def client(server):
    return anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=120)


def test_messages(client):
    answer = client.messages.create(model="demo", max_tokens=50, messages=QUESTION)
    assert answer.content[0].text == "2 + 3 = 5"
    assert answer.stop_reason == "end_turn" and answer.role == "assistant"
    assert answer.usage.output_tokens > 3


def test_stream(client):
    with client.messages.stream(model="demo", max_tokens=50, messages=QUESTION) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == "2 + 3 = 5"
    assert final.stop_reason == "end_turn" and final.usage.output_tokens > 3
    events = [e.type for e in client.messages.create(
        model="demo", max_tokens=50, messages=QUESTION, stream=True) if e.type != "ping"]
    assert events[:2] == ["message_start", "content_block_start"]
    assert events[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_tools(client):
    answer = client.messages.create(
        model="demo", max_tokens=200, messages=MONEY, tools=TOOLS, tool_choice={"type": "any"})
    call = answer.content[-1]
    assert answer.stop_reason == "tool_use" and call.type == "tool_use" and call.name == "convert_currency"
    assert set(call.input) == {"amount", "from", "to"}
    follow = client.messages.create(
        model="demo", max_tokens=50, tools=TOOLS,
        messages=MONEY + [{"role": "assistant", "content": [b.model_dump() for b in answer.content]},
                          {"role": "user", "content": [
                              {"type": "tool_result", "tool_use_id": call.id, "content": "270"}]}])
    assert follow.content


def test_tools_stream(client):
    with client.messages.stream(model="demo", max_tokens=200, messages=MONEY, tools=TOOLS,
                                tool_choice={"type": "tool", "name": "convert_currency"}) as stream:
        partial = "".join(e.delta.partial_json for e in stream
                          if e.type == "content_block_delta" and e.delta.type == "input_json_delta")
        final = stream.get_final_message()
    assert final.content[-1].input and partial


def test_thinking(client):
    answer = client.messages.create(
        model="demo", max_tokens=200, messages=QUESTION, thinking={"type": "enabled", "budget_tokens": 1024})
    assert all(block.type in ("thinking", "text") for block in answer.content)


def test_count_tokens(client):
    counted = client.messages.count_tokens(model="demo", messages=QUESTION, system="Be brief.")
    answer = client.messages.create(model="demo", max_tokens=1, messages=QUESTION, system="Be brief.")
    usage = answer.usage
    assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens


def test_stop_sequences_and_prefill(client):
    answer = client.messages.create(model="demo", max_tokens=50, messages=QUESTION, stop_sequences=["="])
    assert answer.stop_reason == "stop_sequence" and answer.stop_sequence == "="
    assert answer.content[0].text == "2 + 3 "
    begun = client.messages.create(
        model="demo", max_tokens=50, messages=QUESTION + [{"role": "assistant", "content": "2 + 3 ="}])
    assert begun.content[0].text.strip() == "5"


def test_errors(client):
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(model="demo", max_tokens=5, messages=[
            {"role": "user", "content": [{"type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": "aGk="}}]}])
    assert "image" in str(caught.value)
    with pytest.raises(anthropic.NotFoundError):
        client.get("/v1/nothing", cast_to=object)
