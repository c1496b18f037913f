"""The openai client: chat, completions, responses; streams, tools, schemas, raw responses, retries, errors."""

import json

import openai
import pydantic
import pytest

TOOLS = [{"type": "function", "function": {
    "name": "convert_currency", "description": "Converts an amount from one currency to another.",
    "parameters": {"type": "object", "properties": {
        "amount": {"type": "integer", "description": "How much"},
        "from": {"type": "string", "description": "Source currency"},
        "to": {"type": "string", "description": "Target currency"}},
        "required": ["amount", "from", "to"]}}}]
QUESTION = [{"role": "user", "content": "What is 2 + 3?"}]
MONEY = [{"role": "user", "content": "What is 250 EUR in USD?"}]


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120)


def test_models(client):
    models = client.models.list().data
    assert [m.id for m in models] == ["larder-demo"]
    assert client.models.retrieve("larder-demo").owned_by == "larder"


def test_chat(client):
    answer = client.chat.completions.create(model="demo", messages=QUESTION, max_tokens=50, temperature=0)
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content == "2 + 3 = 5"
    assert choice.finish_reason == "stop"
    assert answer.usage.completion_tokens > 3
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chat_stream_equals_whole(client):
    whole = client.chat.completions.create(model="demo", messages=MONEY, max_tokens=60, seed=5, temperature=1)
    chunks = list(client.chat.completions.create(
        model="demo", messages=MONEY, max_tokens=60, seed=5, temperature=1, stream=True,
        stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({c.id for c in chunks}) == 1


def test_stream_helper(client):
    with client.chat.completions.stream(model="demo", messages=QUESTION, max_tokens=50, temperature=0) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds
    assert final.choices[0].message.content == "2 + 3 = 5"


def test_tools(client):
    answer = client.chat.completions.create(
        model="demo", messages=MONEY, tools=TOOLS, tool_choice="required", max_tokens=200, temperature=0)
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "convert_currency"
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == {"amount", "from", "to"} and isinstance(arguments["amount"], int)
    follow = client.chat.completions.create(
        model="demo", tools=TOOLS, max_tokens=50, temperature=0,
        messages=MONEY + [answer.choices[0].message.model_dump(exclude_none=True),
                          {"role": "tool", "tool_call_id": call.id, "content": "270"}])
    assert follow.choices[0].message.content


def test_tools_beside_a_schema(client):
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    for question in (MONEY, QUESTION):
        choice = client.chat.completions.create(
            model="demo", messages=question, tools=TOOLS, max_tokens=200, temperature=0,
            response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}}).choices[0]
        if choice.finish_reason == "tool_calls":
            assert choice.message.content is None
            assert set(json.loads(choice.message.tool_calls[0].function.arguments)) == {"amount", "from", "to"}
        else:
            assert choice.finish_reason == "stop" and set(json.loads(choice.message.content)) == {"sum"}


def test_a_cut_call_is_the_same_in_a_stream_and_back(client):
    asked = dict(model="demo", messages=MONEY, tools=TOOLS, tool_choice="required", max_tokens=12, temperature=0)
    whole = client.chat.completions.create(**asked).choices[0]
    assert whole.finish_reason == "length"
    arguments = "".join(call.function.arguments or "" for chunk in client.chat.completions.create(stream=True, **asked)
                        for call in chunk.choices[0].delta.tool_calls or [])
    call = whole.message.tool_calls[0]
    assert call.function.arguments == arguments
    with pytest.raises(ValueError):
        json.loads(arguments)
    assert client.chat.completions.create(
        model="demo", tools=TOOLS, max_tokens=5, messages=MONEY + [
            whole.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "no JSON"}]).choices


def test_tools_stream(client):
    pieces = {}
    for chunk in client.chat.completions.create(
            model="demo", messages=MONEY, tools=TOOLS, max_tokens=200, temperature=0, stream=True,
            tool_choice={"type": "function", "function": {"name": "convert_currency"}}):
        for call in chunk.choices[0].delta.tool_calls or []:
            one = pieces.setdefault(call.index, {"id": call.id, "name": call.function.name, "arguments": ""})
            one["arguments"] += call.function.arguments or ""
    assert pieces[0]["id"].startswith("call_") and pieces[0]["name"] == "convert_currency"
    assert isinstance(json.loads(pieces[0]["arguments"]), dict)


class Person(pydantic.BaseModel):
    name: str
    age: int


def test_schema(client):
    answer = client.chat.completions.parse(
        model="demo", messages=[{"role": "user", "content": "Ada is 36 years old. As JSON."}],
        response_format=Person, max_tokens=200, temperature=0)
    assert isinstance(answer.choices[0].message.parsed, Person)
    anything = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Ada is 36. As JSON."}],
        response_format={"type": "json_object"}, max_tokens=200, temperature=0)
    if anything.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(anything.choices[0].message.content), dict)


def test_logprobs(client):
    answer = client.chat.completions.create(
        model="demo", messages=QUESTION, max_tokens=5, temperature=0, logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert "".join(bytes(t.bytes).decode() for t in tokens).startswith("2 + 3")
    for token in tokens:
        assert len(token.top_logprobs) == 3
        assert token.logprob == token.top_logprobs[0].logprob  # greedy
        assert token.logprob <= 0


def test_choices_and_seeds(client):
    answer = client.chat.completions.create(
        model="demo", messages=QUESTION, n=3, max_tokens=20, temperature=1.5, seed=7)
    assert [c.index for c in answer.choices] == [0, 1, 2]
    again = client.chat.completions.create(
        model="demo", messages=QUESTION, n=3, max_tokens=20, temperature=1.5, seed=7)
    assert [c.message.content for c in answer.choices] == [c.message.content for c in again.choices]


def test_stop(client):
    answer = client.chat.completions.create(
        model="demo", messages=QUESTION, max_tokens=50, temperature=0, stop=["="])
    assert answer.choices[0].message.content == "2 + 3 "


def test_completions(client):
    answer = client.completions.create(model="demo", prompt=["Larder is", "An expert is"], max_tokens=4, temperature=0)
    assert len(answer.choices) == 2
    tokens = client.completions.create(model="demo", prompt=[100, 200, 300], max_tokens=1, echo=True,
                                       logprobs=1, temperature=0)
    logprobs = tokens.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == 4
    assert logprobs.token_logprobs[0] is None and logprobs.token_logprobs[1] < 0
    text = "".join(c.choices[0].text for c in client.completions.create(
        model="demo", prompt="Larder is", max_tokens=4, temperature=0, stream=True))
    assert text == answer.choices[0].text


def test_responses(client):
    answer = client.responses.create(model="demo", input="What is 2 + 3?", max_output_tokens=50, temperature=0)
    assert answer.output_text == "2 + 3 = 5"
    assert answer.status == "completed"
    events = list(client.responses.create(
        model="demo", input="What is 2 + 3?", max_output_tokens=50, temperature=0, stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "2 + 3 = 5"
    assert events[-1].type == "response.completed"
    assert events[-1].response.usage.output_tokens == answer.usage.output_tokens


def test_responses_tools_and_schema(client):
    tool = dict(TOOLS[0]["function"], type="function", strict=False)
    answer = client.responses.create(
        model="demo", input="What is 250 EUR in USD?", tools=[tool], tool_choice="required",
        max_output_tokens=200, temperature=0)
    call = [item for item in answer.output if item.type == "function_call"][0]
    assert isinstance(json.loads(call.arguments), dict)
    follow = client.responses.create(
        model="demo", tools=[tool], max_output_tokens=50, temperature=0,
        input=[{"role": "user", "content": "What is 250 EUR in USD?"}, call.model_dump(),
               {"type": "function_call_output", "call_id": call.call_id, "output": "270"}])
    assert follow.output
    parsed = client.responses.parse(
        model="demo", input="Ada is 36 years old. As JSON.", text_format=Person, max_output_tokens=200, temperature=0)
    assert isinstance(parsed.output_parsed, Person)
    with client.responses.stream(model="demo", input="What is 2 + 3?", max_output_tokens=50,
                                 temperature=0) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == "2 + 3 = 5"


def test_raw_responses(client):
    raw = client.chat.completions.with_raw_response.create(
        model="demo", messages=QUESTION, max_tokens=5, temperature=0)
    assert raw.status_code == 200 and raw.headers["content-type"] == "application/json"
    assert raw.parse().choices
    with client.chat.completions.with_streaming_response.create(
            model="demo", messages=QUESTION, max_tokens=5, temperature=0, stream=True) as raw:
        lines = [line for line in raw.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"


def test_errors(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="demo", messages=QUESTION, temperature=-1)
    assert caught.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "x " * 20000}])
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        client.files.list()
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="demo", input="x")


def test_retries(server):
    """A client that is told to come back does so, and gets its answer."""
    patient = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=5, timeout=60)
    assert patient.chat.completions.create(model="demo", messages=QUESTION, max_tokens=3).choices
