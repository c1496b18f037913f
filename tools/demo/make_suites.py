"""Makes the task files of `larder eval` and the text of docs/quality.md for the demo model: python make_suites.py [FOLDER].

Unseen prompts (generate.question) with their right answers in the format of docs/evaluation.md: JSON objects,
tool calls, questions with one right text, and questions about Larder with four answers to choose from. The text is
other unseen conversations with their right answers, in the model's own chat format.
"""
import json
import os
import random
import sys

import chat
import facts
import generate

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(os.path.dirname(os.path.dirname(HERE)), "models", "demo", "suites")
TEXT_PER_SKILL = 6
EXACT = ["larder", "arithmetic", "copy", "sort", "count", "tool_result", "no_tool"]


def tools_of(prompt):
    if "<tools>\n" not in prompt:
        return []
    lines = prompt.split("<tools>\n", 1)[1].split("\n</tools>", 1)[0].split("\n")
    return [json.loads(line) for line in lines]


def json_tasks(n):
    for i in range(n):
        item = generate.question("json", i)
        yield {"type": "json", "group": "json", "prompt": item["prompt"], "answer": json.loads(item["answer"])}


def call_tasks(n):
    for i in range(n):
        item = generate.question("tool_call", i)
        name, arguments = chat.parse_call(item["answer"])
        yield {"type": "tool_call", "group": "tool_call", "prompt": item["prompt"], "tools": tools_of(item["prompt"]),
               "answer": {"name": name, "arguments": arguments}}


def exact_tasks(n):
    for skill in EXACT:
        for i in range(n):
            item = generate.question(skill, i)
            yield {"type": "exact", "group": skill, "prompt": item["prompt"], "answer": item["answer"]}


def choice_tasks(n):
    answers = sorted({answer for answer, _ in facts.FACTS})
    for i in range(n):
        item = generate.question("larder", i)
        rng = random.Random(i)
        choices = rng.sample([a for a in answers if a != item["answer"]], 3)
        right = rng.randrange(4)
        choices.insert(right, item["answer"])
        yield {"type": "choice", "group": "larder choice", "prompt": item["prompt"], "choices": choices, "answer": right}


def text():
    for i in range(TEXT_PER_SKILL):
        for skill in generate.EVALUATED:
            item = generate.question(skill, 1000 + i)
            yield item["prompt"] + item["answer"] + chat.IM_END + "\n"


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else FOLDER
    os.makedirs(folder, exist_ok=True)
    for name, tasks in (("json", json_tasks(200)), ("tool-calls", call_tasks(200)), ("questions", exact_tasks(50)), ("choices", choice_tasks(100))):
        with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as file:
            for task in tasks:
                file.write(json.dumps(task, ensure_ascii=False) + "\n")
    with open(os.path.join(folder, "text.txt"), "w", encoding="utf-8") as file:
        file.writelines(text())


if __name__ == "__main__":
    main()
