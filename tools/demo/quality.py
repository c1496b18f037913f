"""Quality against saving on the demo model: makes docs/quality.md, its pictures and docs/quality.json.

    python quality.py --f32 FILE     all rows; FILE is the export of the unquantized weights (README.md)
    python quality.py                the rows from the shipped file; the others stay as they were measured
    python quality.py --check        measures the shipped file's rows again and says where they print other figures,
                                 and which of page and pictures are not what --page makes
    python quality.py --page         measures nothing: page and pictures from docs/quality.json

    python quality.py --rates        measures the rates of the shipped file's rows (with --f32 FILE of all rows) again and nothing else

Needs build/larder and nothing but Python's own library. Each row: perplexity and KL divergence on models/demo/suites/text.txt,
JSON and tool calls by `larder eval`, bytes of experts per token, answer rate as a multiple of the first row's. All but the rate come
out the same in every run; --check leaves it out.
"""
import argparse
import concurrent.futures
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SUITES = os.path.join(ROOT, "models", "demo", "suites")
SHIPPED = os.path.join(ROOT, "models", "demo", "larder-demo.gguf")
DOCS = os.path.join(ROOT, "docs")
DATA = os.path.join(DOCS, "quality.json")
TYPES = ["F32", "F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "IQ4_XS", "Q3_K", "Q2_K"]
EXPERTS = [1, 2, 3, 6, 8, 12, 16]
MASSES = ["0.95", "0.9", "0.8", "0.7", "0.6"]
RATE_PAIRS = 5
# Title and text of a table's columns; the last, the rate, is the only one that another run may print differently.
COLUMNS = [
    ("", lambda r: r["name"]),
    ("perplexity", lambda r: f"{r['perplexity']:.4f} ± {r['perplexity_error']:.4f}"),
    ("KL divergence, mean, nats", lambda r: f"{r['kl']:.5f} ± {r['kl_error']:.5f}"),
    ("99.9 %", lambda r: f"{r['kl_99_9']:.2f}"),
    ("same top token", lambda r: percent(r["same_top"])),
    ("JSON parses", lambda r: percent(r["json_parses"])),
    ("JSON right", lambda r: percent(r["json_right"])),
    ("right function", lambda r: percent(r["function"])),
    ("right call", lambda r: percent(r["call_right"])),
    ("expert KiB per token", lambda r: f"{r['expert_bytes'] / 1024:.0f}"),
    ("rate", lambda r: f"{r['rate']:.2f} ×"),
]


def percent(share):
    return f"{100 * share:.1f} %"


class Larder:
    """Runs the program; `text_ids` is the text in the model's tokens."""

    def __init__(self, program, folder, tasks):
        self.program, self.folder, self.tasks = program, folder, str(tasks)
        self.text_ids = os.path.join(folder, "ids")
        with open(os.path.join(SUITES, "text.txt"), encoding="utf-8") as file:
            ids = self.run(["tokenize", "-m", SHIPPED, "--parse-special", "-"], file.read())
        with open(self.text_ids, "w", encoding="utf-8") as file:
            file.write(ids)
        self.n_tokens = len(ids.replace(",", " ").split())

    def run(self, words, text=None):
        done = subprocess.run([self.program] + words, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"larder {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def quantize(self, source, experts, dense="Q8_0"):
        out = os.path.join(self.folder, f"{experts}-{dense}-{os.path.basename(source)}")
        self.run(["quantize", source, out, "--experts", experts, "--dense", dense])
        return out

    def logits(self, model):
        """Saves a base for KL divergences and returns its name."""
        out = os.path.join(self.folder, os.path.basename(model) + ".logits")
        self.run(["perplexity", "-m", model, "--profile", "none", "--tokens", "@" + self.text_ids, "--save-logits", out, "--json"])
        return out

    def quality(self, row, base):
        """What is the same in every run."""
        words = ["-m", row["model"], "--profile", "none", "--threads", "1"] + row["options"]
        text = json.loads(self.run(["perplexity", "--tokens", "@" + self.text_ids, "--kl-from", base, "--json"] + words))
        suites = [os.path.join(SUITES, name + ".jsonl") for name in ("json", "tool-calls")]
        found = json.loads(self.run(["eval"] + suites + ["--limit", self.tasks, "--json"] + words))
        share = {(r["group"], r["check"]): r["share"] for r in found["results"]}
        return {"perplexity": text["perplexity"]["value"], "perplexity_error": text["perplexity"]["error"],
                "kl": text["kl_mean"]["value"], "kl_error": text["kl_mean"]["error"], "kl_99_9": text["kl_99_9"]["value"],
                "same_top": text["same_top"]["value"], "json_parses": share["json", "parses"], "json_right": share["json", "right"],
                "function": share["tool_call", "function"], "call_right": share["tool_call", "right"]}

    def bench(self, row):
        words = ["bench", "-m", row["model"], "--profile", "none", "-p", "0", "-n", "512", "-r", "3", "--tokens", self.text_ids, "-o", "json"]
        return json.loads(self.run(words + row["options"]))["results"][-1]

    def expert_bytes(self, row):
        return self.bench(row)["expert_bytes_per_token"]

    def relative_rate(self, row, first):
        """The median of `row`'s answer rate over `first`'s, each pair measured in turn: what else the machine does falls on both."""
        ratios = []
        for pair in range(RATE_PAIRS):
            rates = {}
            for name in ("row", "first") if pair % 2 else ("first", "row"):
                rates[name] = self.bench(row if name == "row" else first)["tokens_per_second"]["median"]
            ratios.append(rates["row"] / rates["first"])
        return statistics.median(ratios)

    def measure_rates(self, rows):
        for row in rows[1:]:
            row["rate"] = self.relative_rate(row, rows[0])
            print(f"{row['name']}: {row['rate']:.2f} of the first row's rate", file=sys.stderr)
        rows[0]["rate"] = 1.0

    def measure(self, rows):
        """Measures all but the rates of rows of {"name", "kind", "model", "options"}, side by side, one thread each."""
        base = self.logits(rows[0]["model"])
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for row, figures in zip(rows, pool.map(lambda row: self.quality(row, base), rows)):
                row.update(figures, expert_bytes=self.expert_bytes(row))
                print(f"{row['name']}: perplexity {row['perplexity']:.4f}", file=sys.stderr)


def make_row(name, kind, model, *options):
    return {"name": name, "kind": kind, "model": model, "options": list(options)}


def shipped_rows(larder):
    rows = [make_row("as shipped: 4 of 16 experts, Q4_K", "shipped", SHIPPED)]
    rows += [make_row(f"`--experts {k}`", "experts", SHIPPED, "--experts", str(k)) for k in EXPERTS]
    rows += [make_row(f"`--expert-mass {m}`", "mass", SHIPPED, "--expert-mass", m) for m in MASSES]
    rows.append(make_row("`--kv-type q8_0`", "cache", SHIPPED, "--kv-type", "q8_0"))
    rows += [make_row(f"{t} experts made from the shipped Q4_K", "types", larder.quantize(SHIPPED, t)) for t in ("Q3_K", "Q2_K")]
    return rows


def unquantized_rows(larder, source):
    rows = [make_row("F32 experts, F32 dense", "shipped", source)]
    rows += [make_row(f"{t} experts", "types", larder.quantize(source, t)) for t in TYPES]
    return rows


def table(rows):
    lines = ["| " + " | ".join(title for title, _ in COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(text(row) for _, text in COLUMNS) + " |" for row in rows]
    return "\n".join(lines)


class Picture:
    """Points on two logarithmic scales, as SVG."""

    WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 440, 70, 44, 190, 56

    def __init__(self, title, points):
        xs, ys = [x for x, *_ in points], [y for _, y, *_ in points]
        self.x0, self.x1 = min(xs) * 0.85, max(xs) * 1.15
        self.y0, self.y1 = 10 ** math.floor(math.log10(min(ys))), 10 ** math.ceil(math.log10(max(ys)))
        self.parts = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.WIDTH} {self.HEIGHT}' font-family='sans-serif' font-size='11'>",
                      f"<rect width='{self.WIDTH}' height='{self.HEIGHT}' fill='white'/>", f"<text x='{self.LEFT}' y='20' font-size='14'>{title}</text>"]
        self.grid()
        self.points(points)

    def at(self, x, y):
        width, height = self.WIDTH - self.LEFT - self.RIGHT, self.HEIGHT - self.TOP - self.BOTTOM
        return (self.LEFT + width * math.log(x / self.x0) / math.log(self.x1 / self.x0),
                self.HEIGHT - self.BOTTOM - height * math.log(y / self.y0) / math.log(self.y1 / self.y0))

    def grid(self):
        right, bottom = self.WIDTH - self.RIGHT, self.HEIGHT - self.BOTTOM
        for power in range(round(math.log10(self.y0)), round(math.log10(self.y1)) + 1):
            y = self.at(self.x0, 10.0 ** power)[1]
            self.parts.append(f"<line x1='{self.LEFT}' x2='{right}' y1='{y:.1f}' y2='{y:.1f}' stroke='#ddd'/>"
                              f"<text x='{self.LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>1e{power}</text>")
        for kib in [125 * 2 ** i for i in range(12)]:
            if self.x0 <= kib <= self.x1:
                x = self.at(kib, self.y0)[0]
                self.parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{self.TOP}' y2='{bottom}' stroke='#ddd'/>"
                                  f"<text x='{x:.1f}' y='{bottom + 16}' text-anchor='middle'>{kib}</text>")
        self.parts.append(f"<text x='{self.LEFT}' y='{self.TOP - 8}'>mean KL divergence, nats</text>"
                          f"<text x='{self.LEFT}' y='{self.HEIGHT - 12}'>KiB of experts per token; tool calls lost: green at most 0.5 points, orange 1.5, red more</text>")

    def points(self, points):
        lowest = {}  # the last label's line, by column of the picture
        for x, y, name, lost in sorted(points, key=lambda p: -p[1]):
            px, py = self.at(x, y)
            colour = "#009e73" if lost < 0.0051 else "#e69f00" if lost < 0.0151 else "#d55e00"
            line = max(py + 4, lowest.get(round(px / 90), 0) + 12)
            lowest[round(px / 90)] = line
            self.parts.append(f"<circle cx='{px:.1f}' cy='{py:.1f}' r='5' fill='{colour}'/><text x='{px + 9:.1f}' y='{line:.1f}'>{name}</text>")

    def text(self):
        return "\n".join(self.parts + ["</svg>"]) + "\n"


def draw(title, rows):
    points = [(r["expert_bytes"] / 1024, r["kl"], r["name"].replace("`", ""), rows[0]["call_right"] - r["call_right"])
              for r in rows if r["kl"] > 0]
    return Picture(title, points).text()


def points_lost(data, *kinds):
    """How many right calls the rows of these kinds lose at most to their table's first row, in words."""
    most = max(100 * (rows[0]["call_right"] - row["call_right"])
               for rows in (data["shipped"], data["unquantized"]) for row in rows if row["kind"] in ("shipped",) + kinds)
    return f"at most {most:.1f} points of right calls" if most >= 0.05 else "no right call"


def make_page(data):
    half = 100 * 1.96 * math.sqrt(0.95 * 0.05 / data["tasks"])
    of = {kind: [r for r in data["shipped"] if r["kind"] in ("shipped", kind)] for kind in ("experts", "mass", "cache", "types")}
    page = f"""# Quality against saving

What the demo model loses when its experts have fewer bits, when fewer of them are used, or when keys and values are kept in
fewer bits. A model of 14.6 million weights says little about large ones, which lose less at the same number of bits; what carries over is how
it is measured, and which ways of saving bytes cost the least.

Made by `tools/demo/quality.py` (Python's own library and `build/larder`), never by hand. Perplexity and KL divergence on {data['n_tokens']:,} tokens of
unseen conversations (`models/demo/suites/text.txt`), with their standard errors; *99.9 %* is the KL divergence that one token in a thousand exceeds.
JSON and tool calls by `larder eval` on {data['tasks']} unseen prompts each ([evaluation.md](evaluation.md)): a share of 95 % is uncertain by about {half:.0f}
points. *expert KiB per token* is what one answer token multiplies. *rate* is that of answers, as a multiple of the first row's, measured in turns with it ({RATE_PAIRS} pairs, median), on
{data['machine']} with all experts in memory. Only the rate differs from run to run: on a model this small and a machine with others on it by a tenth.

The tasks notice little of what KL divergence shows: this model's answers are so certain that fewer experts, or less of their weight, cost
{points_lost(data, 'experts', 'mass')}, and fewer bits {points_lost(data, 'types')}. Where answers hang by less, KL divergence is the warning.

## From the shipped file

KL divergence from the file as shipped. `python3 tools/demo/quality.py --check` measures these rows again and compares what they print, but for the rates (`--rates`). One model, one option each:

**Experts used**, of 16. The model was trained with 4: more of them is not better, since weights that were never summed together are.

{table(of['experts'])}

**Expert mass**: of a token's 4 experts the first that reach this share of the router's weight.

{table(of['mass'])}

**Keys and values**

{table(of['cache'])}

**Expert types**, made again from the shipped 4 bits, as someone would who has no larger file:

{table(of['types'])}

![KL divergence against bytes per token, from the shipped file](quality-experts.svg)
"""
    if data["unquantized"]:
        page += f"""
## From the unquantized weights

**These rows need the trained weights in F32**, which are not shipped: they come from the training in [tools/demo](../tools/demo/README.md)
(`export_gguf.py`), and `quality.py --f32 FILE` measures them. KL divergence from those weights; all other matrices are Q8_0 below the first row.
While the learning rate fell the experts were rounded as Q4_K stores them, which favours Q4_K. The step from the first row to the second is what Q8_0 for
all other matrices costs; down to 5 bits the experts' types add no more than that.

{table(data['unquantized'])}

![KL divergence against bytes per token, by expert type](quality-types.svg)
"""
    return page


def make_files(data):
    """The texts of page and pictures, by their names in docs/."""
    files = {"quality.md": make_page(data),
             "quality-experts.svg": draw("From the shipped file: other numbers of experts, less mass, fewer bits", data["shipped"])}
    if data["unquantized"]:
        files["quality-types.svg"] = draw("Expert types, from the unquantized weights", data["unquantized"])
    return files


def publish(data):
    for name, text in make_files(data).items():
        with open(os.path.join(DOCS, name), "w", encoding="utf-8") as file:
            file.write(text)


def outdated(data):
    """Names of the files in docs/ that are not what publish() would write."""
    names = []
    for name, text in make_files(data).items():
        with open(os.path.join(DOCS, name), encoding="utf-8") as file:
            if file.read() != text:
                names.append(name)
    return names


def compare(old, new):
    """Prints what the page would say differently; the rate may."""
    wrong = 0
    for a, b in zip(old, new):
        for title, text in COLUMNS[:-1]:
            if text(a) != text(b):
                print(f"{a['name']}: {title} was {text(a)}, is {text(b)}")
                wrong += 1
    print(f"{len(new)} of {len(old)} rows measured again, {wrong} figures differ")
    return wrong == 0 and len(old) == len(new)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(": ", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} CPUs ({names[0]})" if names else "one machine"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--larder", default=os.path.join(ROOT, "build", "larder"))
    p.add_argument("--f32")
    p.add_argument("--tasks", type=int, default=200, help="prompts of each suite, of all rows alike")
    p.add_argument("--check", action="store_true")
    p.add_argument("--rates", action="store_true")
    p.add_argument("--page", action="store_true")
    options = p.parse_args()
    data = {"shipped": [], "unquantized": [], "tasks": options.tasks}
    if os.path.exists(DATA):
        with open(DATA, encoding="utf-8") as file:
            data = json.load(file)
    if options.page:
        return publish(data)
    if options.check and options.f32:
        p.error("--check measures the shipped file's rows; it goes without --f32")
    if data["unquantized"] and options.tasks != data["tasks"] and not options.f32:
        p.error(f"the other rows were measured with --tasks {data['tasks']}; --tasks {options.tasks} needs --f32 FILE too")
    with tempfile.TemporaryDirectory() as folder:
        larder = Larder(os.path.abspath(options.larder), folder, options.tasks)
        groups = [("shipped", shipped_rows(larder))] + ([("unquantized", unquantized_rows(larder, options.f32))] if options.f32 else [])
        if options.check:
            rows = groups[0][1]
            larder.measure(rows)
            same = compare(data["shipped"], rows)
            names = outdated(data)
            if names:
                sys.exit(f"not what --page makes of docs/quality.json: {', '.join(names)}")
            sys.exit(0 if same else 1)
        for group, rows in groups:
            if options.rates:
                for row, old in zip(rows, data[group]):
                    row.update({key: old[key] for key in old if key != "rate"})
            else:
                larder.measure(rows)
            larder.measure_rates(rows)
            data[group] = [{key: row[key] for key in row if key not in ("model", "options")} for row in rows]
    if not options.rates:
        data.update(n_tokens=larder.n_tokens, tasks=options.tasks)
    data["machine"] = machine()
    with open(DATA, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
    return publish(data)


if __name__ == "__main__":
    main()
