"""template.jinja must give the text of chat.render: python check_template.py."""
import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

import chat
import generate
import json


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string(chat.template_text())
    compared = 0
    for seed in range(3000):
        _, messages, tools, style = generate.conversation(seed)
        if style != "plain":
            continue
        want = "".join(text for text, _ in chat.render(messages, tools))
        assert template.render(messages=messages, tools=tools) == want, want
        given = []
        for message in messages:
            call = chat.parse_call(message["content"]) if message["role"] == "assistant" else None
            if call:
                message = dict(role="assistant", content=None, tool_calls=[dict(function=dict(name=call[0], arguments=call[1]))])
            given.append(message)
        assert template.render(messages=given, tools=tools) == want, want
        question = messages[:-1]
        asked = template.render(messages=question, tools=tools, add_generation_prompt=True)
        assert asked == chat.prompt_text(question, tools)
        compared += 1
    print(f"{compared} conversations rendered alike")


if __name__ == "__main__":
    main()
