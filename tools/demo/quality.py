"""Quality against saving on the demo model: makes docs/quality.md, its pictures and docs/quality.json.

    python quality.py --f32 FILE     all rows; FILE is the export of the unquantized weights (tools/demo/README.md)
    python quality.py                rows that need only the shipped file; others are kept as they were measured
    python quality.py --check        measures the shipped file's rows again and says where they differ

Needs build/larder and nothing but Python's own library. Each row: perplexity and KL divergence on models/demo/suites/text.txt,
JSON and tool calls by `larder eval`, bytes of experts per token, decode rate. All but the rate are the same in every run.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SUITES = os.path.join(ROOT, "models", "demo", "suites")
SHIPPED = os.path.join(ROOT, "models", "demo", "larder-demo.gguf")
PAGE = os.path.join(ROOT, "docs", "quality.md")
DATA = os.path.join(ROOT, "docs", "quality.json")
TYPES = ["F32", "F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "IQ4_XS", "Q3_K", "Q2_K"]
MASSES = ["0.95", "0.9", "0.8", "0.6"]
FIGURES = ["perplexity", "kl", "kl_99_9", "same_top", "json_parses", "json_right", "function", "call_right", "expert_bytes"]


class Bench:
    def __init__(self, larder, folder, tasks):
        self.larder, self.folder, self.tasks = larder, folder, str(tasks)
        self.ids = os.path.join(folder, "ids")
        with open(os.path.join(SUITES, "text.txt"), encoding="utf-8") as file:
            text = file.read()
        with open(self.ids, "w", encoding="utf-8") as file:
            file.write(self.run(["tokenize", "-m", SHIPPED, "--parse-special", "-"], text))

    def run(self, words, text=None):
        done = subprocess.run([self.larder] + words, input=text, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"larder {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def quantize(self, source, experts, dense="Q8_0"):
        out = os.path.join(self.folder, f"{experts}-{dense}.gguf")
        self.run(["quantize", source, out, "--experts", experts, "--dense", dense])
        return out

    def logits(self, model):
        """Saves a base for KL divergences and returns its name."""
        out = os.path.join(self.folder, "base.logits")
        self.run(["perplexity", "-m", model, "--tokens", "@" + self.ids, "--save-logits", out, "--json"])
        return out

    def row(self, name, model, base, options=()):
        """All figures of one model with some options."""
        options = list(options)
        text = json.loads(self.run(["perplexity", "-m", model, "--tokens", "@" + self.ids, "--kl-from", base, "--json"] + options))
        found = json.loads(self.run(["eval", "-m", model, os.path.join(SUITES, "json.jsonl"), os.path.join(SUITES, "tool-calls.jsonl"),
                                     "--limit", self.tasks, "--json"] + options))
        shares = {(r["group"], r["check"]): r for r in found["results"]}
        speed = json.loads(self.run(["bench", "-m", model, "-p", "0", "-n", "96", "-r", "3", "--tokens", self.ids, "-o", "json"] + options))
        warm = speed["results"][-1]
        print(f"{name}: perplexity {text['perplexity']['value']:.4f}", file=sys.stderr)
        return {"name": name, "perplexity": text["perplexity"]["value"], "perplexity_error": text["perplexity"]["error"],
                "kl": text["kl_mean"]["value"], "kl_error": text["kl_mean"]["error"], "kl_99_9": text["kl_99_9"]["value"],
                "same_top": text["same_top"]["value"],
                "json_parses": shares["json", "parses"]["share"], "json_right": shares["json", "right"]["share"],
                "function": shares["tool_call", "function"]["share"], "call_right": shares["tool_call", "right"]["share"],
                "n_tasks": shares["json", "parses"]["of"], "expert_bytes": warm["expert_bytes_per_token"],
                "rate": warm["tokens_per_second"]["median"]}


def shipped_rows(bench):
    base = bench.logits(SHIPPED)
    rows = [bench.row("as shipped (Q4_K experts, Q8_0 dense)", SHIPPED, base)]
    for k in (3, 2, 1):
        rows.append(bench.row(f"--experts {k} of 4", SHIPPED, base, ["--experts", str(k)]))
    for k in (6, 16):
        rows.append(bench.row(f"--experts {k} (more than the model's 4)", SHIPPED, base, ["--experts", str(k)]))
    for mass in MASSES:
        rows.append(bench.row(f"--expert-mass {mass}", SHIPPED, base, ["--expert-mass", mass]))
    rows.append(bench.row("--kv-type q8_0", SHIPPED, base, ["--kv-type", "q8_0"]))
    for experts in ("Q3_K", "Q2_K"):
        rows.append(bench.row(f"experts made {experts} from the shipped Q4_K", bench.quantize(SHIPPED, experts), base))
    return rows


def unquantized_rows(bench, source):
    base = bench.logits(source)
    rows = [bench.row("F32 experts, F32 dense", source, base)]
    for experts in TYPES:
        model = bench.quantize(source, experts)
        rows.append(bench.row(f"{experts} experts, Q8_0 dense", model, base))
        os.remove(model)
    return rows


def table(rows):
    first = rows[0]
    lines = ["| | perplexity | KL mean, nats | KL 99.9 % | same top token | JSON parses | JSON right | right function | right call | expert KiB per token | tokens/s |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    for r in rows:
        lines.append(f"| {r['name']} | {r['perplexity']:.4f} ± {r['perplexity_error']:.4f} | {r['kl']:.6f} ± {r['kl_error']:.6f} | {r['kl_99_9']:.4f} | "
                     f"{100 * r['same_top']:.2f} % | {100 * r['json_parses']:.1f} % | {100 * r['json_right']:.1f} % | {100 * r['function']:.1f} % | "
                     f"{100 * r['call_right']:.1f} % | {r['expert_bytes'] / 1024:.0f} ({r['expert_bytes'] / first['expert_bytes']:.2f}) | {r['rate']:.0f} |")
    return "\n".join(lines)


def picture(path, title, rows):
    """KL divergence and wrong calls against bytes of experts per token, both on logarithmic scales, as SVG."""
    import math
    points = [(r["expert_bytes"] / 1024, max(r["kl"], 1e-7), r) for r in rows if r["kl"] > 0]
    width, height, left, top, right, bottom = 720, 420, 70, 40, 210, 50
    x0, x1 = min(p[0] for p in points) * 0.8, max(p[0] for p in points) * 1.25
    y0, y1 = 10 ** math.floor(math.log10(min(p[1] for p in points))), 10 ** math.ceil(math.log10(max(p[1] for p in points)))

    def at(x, y):
        return (left + (width - left - right) * math.log(x / x0) / math.log(x1 / x0), height - bottom - (height - top - bottom) * math.log(y / y0) / math.log(y1 / y0))
    svg = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' font-family='sans-serif' font-size='11'>",
           f"<rect width='{width}' height='{height}' fill='white'/><text x='{left}' y='22' font-size='14'>{title}</text>"]
    decade = y0
    while decade <= y1 * 1.001:
        x, y = at(x0, decade)
        svg.append(f"<line x1='{left}' x2='{width - right}' y1='{y:.1f}' y2='{y:.1f}' stroke='#ddd'/><text x='{left - 6}' y='{y + 4:.1f}' text-anchor='end'>{decade:.0e}</text>")
        decade *= 10
    for kib in (100, 200, 400, 800, 1600, 3200, 6400, 12800):
        if x0 <= kib <= x1:
            x, y = at(kib, y0)
            svg.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{top}' y2='{y:.1f}' stroke='#ddd'/><text x='{x:.1f}' y='{y + 16:.1f}' text-anchor='middle'>{kib}</text>")
    for x, y, r in points:
        px, py = at(x, y)
        wrong = 1 - r["call_right"]
        colour = "#009e73" if wrong < 0.05 else "#e69f00" if wrong < 0.25 else "#d55e00"
        svg.append(f"<circle cx='{px:.1f}' cy='{py:.1f}' r='5' fill='{colour}'/><text x='{px + 8:.1f}' y='{py + 4:.1f}'>{r['name']}</text>")
    svg.append(f"<text x='{left}' y='{height - 10}'>KiB of experts per token</text><text x='{width - right + 8}' y='{height - 10}'>calls wrong: green &lt; 5 %, orange &lt; 25 %, red more</text>"
               f"<text x='{left + 6}' y='{top - 4}'>mean KL divergence, nats</text></svg>")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(svg) + "\n")


def write_page(data):
    tasks = data["shipped"][0]["n_tasks"]
    parts = [f"""# Quality against saving

What the demo model loses when its experts have fewer bits, when fewer of them are used, or when the cache of keys and values is
smaller. A model of 14 million weights says little about large ones: those are known to lose less at the same number of bits. What carries
over is the method, and which of the ways to save bytes costs the least.

Made by `tools/demo/quality.py` (Python's own library and `build/larder`), never by hand. Perplexity and KL divergence on {data['n_tokens']:,} tokens of unseen
conversations (`models/demo/suites/text.txt`), each with its standard error; JSON and tool calls by `larder eval` on {tasks} unseen prompts each
(docs/evaluation.md), so a share of 95 % has a 95 % interval of about ±{100 * 1.96 * (0.95 * 0.05 / tasks) ** 0.5:.0f} points; expert bytes that one token multiplies, and in
brackets their ratio to the first row's; decode rate of {data['machine']}, warm, whatever it is worth on a model this small.

## From the shipped file

KL divergence from the file as shipped. `python3 tools/demo/quality.py --check` measures these rows again in a few minutes: all figures but the rate
come out the same.

{table(data['shipped'])}

![KL divergence against bytes per token, shipped file](quality-experts.svg)
"""]
    if data.get("unquantized"):
        parts.append(f"""## From the unquantized weights

**These rows need the trained weights in F32**, which are too large to ship: they come from the training in `tools/demo` (export_gguf.py). KL divergence
from them. An expert type that does not fit a row of 256 falls back as `larder quantize` says.

{table(data['unquantized'])}

![KL divergence against bytes per token, by type](quality-types.svg)
""")
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write("\n".join(parts))


def compare(old, new):
    wrong = 0
    for a, b in zip(old, new):
        for key in FIGURES:
            if abs(a[key] - b[key]) > 1e-9 * max(1, abs(a[key])):
                print(f"{a['name']}: {key} was {a[key]}, is {b[key]}")
                wrong += 1
    print(f"{len(new)} of {len(old)} rows measured again, {wrong} figures differ")
    return wrong == 0 and len(old) == len(new)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(": ", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} CPUs ({names[0]})" if names else "this machine"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--larder", default=os.path.join(ROOT, "build", "larder"))
    p.add_argument("--f32")
    p.add_argument("--tasks", type=int, default=60, help="prompts of each suite")
    p.add_argument("--check", action="store_true")
    options = p.parse_args()
    old = {}
    if os.path.exists(DATA):
        with open(DATA, encoding="utf-8") as file:
            old = json.load(file)
    tasks = old["shipped"][0]["n_tasks"] if options.check else options.tasks
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.larder, folder, tasks)
        with open(bench.ids, encoding="utf-8") as file:
            n_tokens = len(file.read().split())
        shipped = shipped_rows(bench)
        if options.check:
            sys.exit(0 if compare(old["shipped"], shipped) else 1)
        rows = unquantized_rows(bench, options.f32) if options.f32 else old.get("unquantized", [])
    data = {"n_tokens": n_tokens, "machine": machine(), "shipped": shipped, "unquantized": rows}
    with open(DATA, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
    picture(os.path.join(ROOT, "docs", "quality-experts.svg"), "Shipped file: fewer experts, less mass, fewer bits", shipped)
    if rows:
        picture(os.path.join(ROOT, "docs", "quality-types.svg"), "Expert types, from the unquantized weights", rows)
    write_page(data)


if __name__ == "__main__":
    main()
