"""Measures the demo model on unseen prompts: python evaluate.py [--model FILE] [--larder PROGRAM].

Two engines answer the same prompts greedily: `larder` runs the program on a GGUF file, one process for
each prompt; `transformers` runs Qwen3_5MoeForCausalLM on unquantized weights. Prints a table as markdown, writes
everything as JSON with --json FILE, and counts what evaluation shares with training: names, number
combinations, tool names and phrasings of N training documents (--overlap N) looked up one by one.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys

import chat
import generate
import words

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LONGEST = 160  # tokens of an answer
KINDS = {"name": "names", "numbers": "number combinations", "tool": "tool names", "phrasing": "phrasings"}


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def judge(item, text):
    """Names of the checks that apply to this item -> passed or not."""
    text, want = text.strip(), item["answer"]
    if item["skill"] == "json":
        value = parsed(text)
        return {"parses": value is not None, "right": value is not None and value == parsed(want)}
    if item["skill"] == "tool_call":
        call, wanted = chat.parse_call(text), chat.parse_call(want)
        return {"well-formed": call is not None, "function": call is not None and call[0] == wanted[0],
                "right": call == wanted}
    return {"right": text == want}


def with_larder(items, options):
    """Answers of the program on the GGUF file, in the items' order."""
    def one(item):
        command = [options.larder, "run", "-m", options.model, "--raw", "-p", "-", "--temp", "0", "-n", str(LONGEST)]
        command += ["--threads", "1"] + (["--memory", options.memory] if options.memory else [])
        done = subprocess.run(command, input=item["prompt"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        return list(pool.map(one, items))


def with_transformers(items, options):
    """Answers of the unquantized weights through transformers, in the items' order."""
    import torch
    from tokenizers import Tokenizer
    from transformers.models.qwen3_5_moe import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig

    from export_gguf import load_state
    from model import config_dict

    torch.set_num_threads(options.jobs)
    tokenizer = Tokenizer.from_file(options.tokenizer)
    ends = tokenizer.token_to_id(chat.IM_END)
    model = Qwen3_5MoeForCausalLM(Qwen3_5MoeTextConfig(**config_dict(tokenizer.get_vocab_size()))).eval()
    model.load_state_dict(load_state(options.weights), strict=False)
    model.tie_weights()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    encoded = [tokenizer.encode(item["prompt"], add_special_tokens=False).ids for item in items]
    order = sorted(range(len(items)), key=lambda i: len(encoded[i]))
    answers = [""] * len(items)
    for a in range(0, len(order), 25):
        group = order[a:a + 25]
        width = max(len(encoded[i]) for i in group)
        tokens = torch.tensor([[0] * (width - len(encoded[i])) + encoded[i] for i in group], device=device)
        mask = torch.tensor([[0] * (width - len(encoded[i])) + [1] * len(encoded[i]) for i in group], device=device)
        with torch.no_grad():
            out = model.generate(tokens, attention_mask=mask, max_new_tokens=LONGEST, do_sample=False,
                                 eos_token_id=ends, pad_token_id=0)[:, width:]
        for i, ids in zip(group, out.tolist()):
            ids = ids[:ids.index(ends)] if ends in ids else ids
            answers[i] = tokenizer.decode(ids, skip_special_tokens=False)
    return answers


def overlap(items, count):
    """What of the evaluation's names, numbers, tools and phrasings occurs in `count` training documents."""
    asked = {kind: {v for item in items for k, v in item["used"] if k == kind} for kind in KINDS}
    seen = {kind: set() for kind in KINDS}
    for seed in range(count):
        for kind, value in generate.conversation(seed)[0].used:
            if value in asked[kind]:
                seen[kind].add(value)
    wrong = [(k, v) for k in ("name", "tool", "phrasing") for v in asked[k] if not words.is_eval(k, v)]
    assert not wrong, f"of the training split: {wrong[:3]}"
    return {KINDS[k]: (len(seen[k]), len(asked[k])) for k in KINDS}


def table(results):
    lines = ["| skill | check | prompts | passed |", "| --- | --- | ---: | ---: |"]
    for skill, checks in results.items():
        for check, (passed, total) in checks.items():
            lines.append(f"| {skill} | {check} | {total} | {100 * passed / total:.1f} % |")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--engine", choices=["larder", "transformers"], default="larder")
    p.add_argument("--larder", default=os.path.join(ROOT, "build", "larder"))
    p.add_argument("--model", default=os.path.join(ROOT, "models", "demo", "larder-demo.gguf"))
    p.add_argument("--weights", help="for --engine transformers: final.pt, state.pt or .safetensors")
    p.add_argument("--tokenizer", default=os.path.join(HERE, "tokenizer.json"))
    p.add_argument("--memory", help="budget of larder, default: its own choice")
    p.add_argument("-n", type=int, default=200, help="prompts for each skill")
    p.add_argument("--skills", nargs="+", choices=generate.EVALUATED, default=generate.EVALUATED)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--overlap", type=int, default=100000)
    p.add_argument("--json")
    p.add_argument("--show-wrong", type=int, default=0)
    options = p.parse_args()
    items = [generate.question(skill, i) for skill in options.skills for i in range(options.n)]
    shared = overlap(items, options.overlap)
    print(f"shared with {options.overlap} training documents: "
          + ", ".join(f"{kind} {n} of {total}" for kind, (n, total) in shared.items()))
    answers = (with_larder if options.engine == "larder" else with_transformers)(items, options)
    results = {}
    for item, answer in zip(items, answers):
        for check, passed in judge(item, answer).items():
            count = results.setdefault(item["skill"], {}).setdefault(check, [0, 0])
            count[0] += passed
            count[1] += 1
    print(table(results))
    wrong = [(i, a) for i, a in zip(items, answers) if not judge(i, a)["right"]]
    for item, answer in wrong[:options.show_wrong]:
        print(f"--- {item['skill']}\n{item['prompt'][-300:]}\nwant: {item['answer']}\ngot:  {answer.strip()}")
    if options.json:
        record = [dict(skill=i["skill"], prompt=i["prompt"], want=i["answer"], got=a.strip()) for i, a in zip(items, answers)]
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(dict(engine=options.engine, results=results, shared=shared, answers=record), file, indent=1)


if __name__ == "__main__":
    main()
