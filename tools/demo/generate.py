"""Training and evaluation documents: skills put into conversations, with and without tools.

`document(seed, late)` draws one training conversation as segments (text, is_answer); `question(skill, seed)` one
evaluation prompt with its right answer. Both depend on nothing but their arguments.
Run as a program it prints samples: python generate.py [N] [--skill NAME].
"""
import argparse
import json

import chat
import toolbox
import words as w
from skills import SKILLS

SYSTEMS = ["You are a helpful assistant.", "You are Larder's demo model.", "Answer briefly.", "You are a friendly and precise assistant.", "Be short and correct.",
           "You are an assistant. Do what the user asks.", "Answer in one line."]
REFUSAL = "None of my tools can do that."
NO_TOOLS = "I have no tool for that."
EVALUATED = ["larder", "arithmetic", "copy", "sort", "count", "json", "small_talk", "tool_call", "tool_result", "no_tool"]
SHARES = {"larder": 12, "arithmetic": 34, "copy": 3, "sort": 5, "count": 4, "json": 11, "small_talk": 2, "tool_call": 29, "tool_result": 8,
          "no_tool": 8}
CLOSING = {"larder": 10, "arithmetic": 7, "copy": 2, "sort": 5, "count": 3, "json": 7, "small_talk": 1, "tool_call": 58, "tool_result": 3,
           "no_tool": 4}  # while the learning rate falls: what comes last
EARLY = {"larder": 30, "arithmetic": 12, "copy": 25, "sort": 3, "count": 4, "json": 14, "small_talk": 5, "tool_call": 8, "tool_result": 1,
         "no_tool": 2}  # short and easy first: what is learned there serves the tools later

# Short answers that take much practice: in training one document asks several times.
DRILLED = {"arithmetic", "sort", "count", "json"}


def _families(s, n):
    families = s.rng.sample(toolbox.FAMILIES, n)
    if s.chance(0.15):
        families[0] = toolbox.invented_family(s)
    return families


def _toolset(s, families):
    """Tools of these families in random order, with different names: (tools, [names by family])."""
    while True:
        made = [toolbox.make_tool(s, f) for f in families]
        if len({t["function"]["name"] for t, _ in made}) == len(made):
            break
    order = s.rng.sample(range(len(made)), len(made))
    return [made[i][0] for i in order], made


def _arguments(tool, names, arguments, style):
    """The call's arguments under this schema's names, in the order in which the schema shows them."""
    by_name = {names[k]: v for k, v in arguments.items()}
    order = list(tool["function"]["parameters"]["properties"])
    return {k: by_name[k] for k in (sorted(order) if style == "sorted" else order) if k in by_name}


def _other(s):
    """A question that needs no tool."""
    return SKILLS[s.pick(["larder", "arithmetic", "larder", "arithmetic", "copy", "json", "small_talk"])](s)


def _called(s, skill, families, made, tools, style):
    """One exchange with these tools: the question, the call and, for tool_result, the reply and its answer."""
    which = s.number(0, len(families) - 1)
    if skill == "tool_result":
        which = 0
    family, (tool, names) = families[which], made[which]
    sentence, arguments = toolbox.ask(s, family)
    call = chat.call_text(tool["function"]["name"], _arguments(tool, names, arguments, style))
    messages = [user(sentence), assistant(call)]
    if skill == "tool_result":
        content, answer = {"ok": True}, "Done."
        if family.result:
            content, answer = family.result(s, arguments)
        if s.chance(0.06):
            content = {"error": s.pick(["not found", "timeout", "no connection"])}
            answer = f"The tool reported an error: {content['error']}."
        messages += [{"role": "tool", "content": json.dumps(content)}, assistant(answer)]
    return messages


def with_tools(s, skill):
    """(messages, tools, style) of one conversation about tools; the last message is the answer. In training
    several questions share one set of tools."""
    style = "plain" if s.evaluation else s.pick(["plain"] * 14 + ["compact", "sorted"])
    # Choosing among many is what takes practice: training sees more tools at a time than evaluation.
    often = [35, 30, 25, 10] if s.evaluation else [12, 23, 35, 30]
    families = _families(s, s.rng.choices([1, 2, 3, 4], often)[0] + (skill == "no_tool"))
    if skill == "no_tool" and s.chance(0.08):
        return [user(toolbox.ask(s, families[0])[0]), assistant(NO_TOOLS)], None, style
    if skill == "tool_result":
        families[0] = s.pick([f for f in toolbox.FAMILIES if f.result or s.chance(0.15)])
        families[1:] = [f for f in families[1:] if f.key != families[0].key]
    absent = families.pop(0) if skill == "no_tool" else None
    tools, made = _toolset(s, families)
    messages = []
    if not s.evaluation:
        for _ in range(s.number(1, 4)):
            messages += _called(s, "tool_call", families, made, tools, style)
    if skill == "no_tool":
        question, answer = _other(s) if s.chance(0.3) else (toolbox.ask(s, absent)[0], REFUSAL)
        return messages + [user(question), assistant(answer)], tools, style
    return messages + _called(s, skill, families, made, tools, style), tools, style


def user(text):
    return {"role": "user", "content": text.strip()}


def assistant(text):
    return {"role": "assistant", "content": text}


def _exchange(s, skill):
    if skill in SKILLS:
        messages = []
        for _ in range(s.number(2, 10) if skill in DRILLED and not s.evaluation else 1):
            question, answer = SKILLS[skill](s)
            messages += [user(question), assistant(answer)]
        return messages, None, "plain"
    return with_tools(s, skill)


def conversation(seed, late=1.0):
    """(source, messages, tools, style) of one training document; `late` goes from 0 to 1 with the training and is
    2 while the learning rate falls."""
    s = w.Source(f"train {seed}")
    shares = CLOSING if late > 1 else {k: (1 - late) * EARLY[k] + late * SHARES[k] for k in SHARES}
    skill = s.rng.choices(list(SHARES), [shares[k] for k in SHARES])[0]
    messages, tools, style = _exchange(s, skill)
    if s.chance(0.1 if tools else 0.3):  # earlier turns about something else
        for _ in range(s.number(1, 2)):
            question, answer = _other(s)
            messages = [user(question), assistant(answer)] + messages
    if s.chance(0.25 if not tools else 0.1):
        messages = [{"role": "system", "content": s.pick(SYSTEMS)}] + messages
    return s, messages, tools, style


def document(seed, late=1.0):
    """Segments (text, is_answer) of one training document."""
    s, messages, tools, style = conversation(seed, late)
    thinking = s.rng.choices(["empty", "none", "open"], [90, 5, 5])[0]
    return chat.render(messages, tools, style, thinking)


def question(skill, seed):
    """One evaluation item: dict(skill, prompt, answer, used, tools); prompt is the text to continue."""
    s = w.Source(f"evaluation {skill} {seed}", evaluation=True)
    messages, tools, style = _exchange(s, skill)
    answer = messages.pop()["content"]
    return dict(skill=skill, prompt=chat.prompt_text(messages, tools, style), answer=answer, used=sorted(s.used))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=10)
    parser.add_argument("--skill", choices=EVALUATED, help="print evaluation prompts of one skill")
    options = parser.parse_args()
    for i in range(options.count):
        if options.skill:
            item = question(options.skill, i)
            print(item["prompt"] + "\033[1m" + item["answer"] + "\033[0m\n---")
        else:
            print("".join(f"\033[1m{t}\033[0m" if answer else t for t, answer in document(i)) + "---")


if __name__ == "__main__":
    main()
