"""For Schemathesis: what the description says in words only is made true of the right requests it makes up."""

import schemathesis

ANY_OBJECT = {"type": "object"}


def names_of(tools):
    """The names of the functions among tools, in any of the APIs' forms."""
    for tool in tools or []:
        if tool.get("type", "function") == "function":
            yield tool.get("function", tool).get("name")


def named(choice):
    """The tool that must be called; None: any."""
    function = choice.get("function") or choice
    return function.get("name")


def mend_tools(body, path):
    choice = body.get("tool_choice")
    names = list(names_of(body.get("tools")))
    if isinstance(choice, dict) and choice.get("type") not in ("auto", "none", "any"):
        name = named(choice)
    elif choice == "required" or (isinstance(choice, dict) and choice.get("type") == "any"):
        name = names[0] if names else "any"
    else:
        return
    if name in names:
        return
    if path.startswith("/v1/messages"):
        tool = {"name": name, "input_schema": ANY_OBJECT}
    elif path == "/v1/responses":
        tool = {"type": "function", "name": name}
    else:
        tool = {"function": {"name": name}}
    body["tools"] = [tool]


def mend_formats(body):
    """A schema made up at random is hardly ever one that an answer can be held to."""
    places = [body.get("response_format"), body.get("output_format"), (body.get("text") or {}).get("format"),
              (body.get("output_config") or {}).get("format")]
    for place in places:
        if isinstance(place, dict) and place.get("type") == "json_schema":
            place = place.get("json_schema", place)
            place["schema"] = ANY_OBJECT
    if isinstance(body.get("format"), dict):
        body["format"] = ANY_OBJECT


@schemathesis.hook
def map_case(context, case):
    body = case.body
    if not isinstance(body, dict) or not case.meta.generation.mode.is_positive:
        return case
    mend_tools(body, case.operation.path)
    mend_formats(body)
    if body.get("top_logprobs"):
        body["logprobs"] = True
    if "best_of" in body:
        body["best_of"] = body.get("n")
    if isinstance(body.get("logit_bias"), dict):
        body["logit_bias"] = {str(int(token) % 100): bias for token, bias in body["logit_bias"].items()}
    if body.get("continue_final_message") and len(body.get("messages") or []) == 1:
        body["messages"].insert(0, {"role": "user", "content": "Hi"})
    if isinstance(body.get("input"), list) and all(item.get("type") == "reasoning" for item in body["input"]):
        body["input"].append({"role": "user", "content": "Hi"})
    return case
