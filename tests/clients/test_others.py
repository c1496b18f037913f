"""LangChain's OpenAI chat model and the ollama client."""

import json

import ollama
import pydantic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from conftest import Server


@tool
def convert_currency(amount: int, source: str, target: str) -> str:
    """Converts an amount from one currency to another."""
    return "270"


class Person(pydantic.BaseModel):
    """A person."""
    name: str
    age: int


def test_langchain(server):
    model = ChatOpenAI(base_url=server.url + "/v1", api_key="none", model="demo", temperature=0,
                       max_retries=0, max_tokens=100)
    answer = model.invoke([SystemMessage("Be brief."), HumanMessage("What is 2 + 3?")])
    assert answer.content == "2 + 3 = 5" and answer.usage_metadata["output_tokens"] > 3
    assert "".join(c.content for c in model.stream("What is 2 + 3?")) == "2 + 3 = 5"
    assert [a.content for a in model.batch(["What is 2 + 3?"] * 3)] == ["2 + 3 = 5"] * 3
    with_tools = model.bind_tools([convert_currency], tool_choice="any")
    question = HumanMessage("What is 250 EUR in USD?")
    called = with_tools.invoke([question])
    assert called.tool_calls[0]["name"] == "convert_currency"
    result = ToolMessage("270", tool_call_id=called.tool_calls[0]["id"])
    assert model.bind_tools([convert_currency]).invoke([question, called, result])
    assert isinstance(model.with_structured_output(Person).invoke("Ada is 36 years old. As JSON."), Person)


def test_ollama(server):
    client = ollama.Client(host=server.url)
    messages = [{"role": "user", "content": "What is 2 + 3?"}]
    options = {"temperature": 0, "num_predict": 50}
    answer = client.chat(model="demo", messages=messages, options=options)
    assert answer.message.content == "2 + 3 = 5" and answer.done and answer.eval_count > 3
    parts = list(client.chat(model="demo", messages=messages, options=options, stream=True))
    assert "".join(p.message.content or "" for p in parts) == "2 + 3 = 5"
    assert parts[-1].done and parts[-1].done_reason == "stop"
    called = client.chat(model="demo", messages=[{"role": "user", "content": "What is 250 EUR in USD?"}],
                         tools=[{"type": "function", "function": {
                             "name": "convert_currency",
                             "description": "Converts an amount from one currency to another.",
                             "parameters": {"type": "object", "properties": {
                                 "amount": {"type": "integer", "description": "How much"},
                                 "from": {"type": "string", "description": "Source currency"},
                                 "to": {"type": "string", "description": "Target currency"}},
                                 "required": ["amount", "from", "to"]}}}], options=options)
    assert called.message.tool_calls or called.message.content
    shaped = client.chat(model="demo", messages=[{"role": "user", "content": "Ada is 36 years old. As JSON."}],
                         format=Person.model_json_schema(), options={"temperature": 0, "num_predict": 200})
    Person.model_validate_json(shaped.message.content)
    assert client.generate(model="demo", prompt="What is 2 + 3?", options=options).response == "2 + 3 = 5"
    assert client.generate(model="demo", prompt="Larder is", raw=True, options=options).response
    model = client.list().models[0]
    assert model.model == "larder-demo" and len(model.digest) == 64 and model.details.quantization_level
    assert model.details.parameter_size[-1] in "KMB" and float(model.details.parameter_size[:-1]) > 0
    assert "tools" in client.show("demo").capabilities
    assert client.generate(model="demo", keep_alive=0).done_reason == "unload"


def test_ollamas_digest_names_the_files(server):
    """The same in every run, whatever the settings."""
    other = Server("--ctx", "2048", "--kv-type", "q8_0")
    digests = [json.loads(one.get("/api/tags"))["models"][0]["digest"] for one in (server, other)]
    other.stop()
    assert digests[0] == digests[1] and len(digests[0]) == 64
