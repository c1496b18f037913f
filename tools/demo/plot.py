"""Loss and accuracy against tokens seen, as one small SVG: python plot.py LOG.jsonl OUT.svg.

Drawn by hand so that it needs nothing installed and the same log gives the same bytes.
"""
import json
import sys

WIDTH, HEIGHT, LEFT, TOP = 420, 240, 48, 28
COLOURS = ["#4363d8", "#e6194b", "#3cb44b", "#f58231", "#911eb4", "#469990", "#9a6324", "#808000", "#f032e6", "#000000"]


def panel(x0, title, series, top, right, unit):
    """One set of axes at x0 with named lines [(name, [(tokens, value)])]; value axis from 0 to `top`."""
    def at(tokens, value):
        return f"{x0 + LEFT + tokens / right * WIDTH:.1f},{TOP + HEIGHT - min(value / top, 1) * HEIGHT:.1f}"

    out = [f'<text x="{x0 + LEFT}" y="16">{title}</text>',
           f'<path d="M{x0 + LEFT},{TOP}v{HEIGHT}h{WIDTH}" fill="none" stroke="#888"/>']
    for i in range(5):
        y = TOP + HEIGHT - i / 4 * HEIGHT
        out.append(f'<text x="{x0 + LEFT - 4}" y="{y + 4:.0f}" text-anchor="end">{top * i / 4:g}{unit}</text>')
        out.append(f'<text x="{x0 + LEFT + i / 4 * WIDTH:.0f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">'
                   f'{right * i / 4 / 1e6:.3g} M</text>')
    for i, (name, points) in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        line = " ".join(at(*p) for p in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        if len(series) > 1:
            out.append(f'<text x="{x0 + LEFT + WIDTH + 8}" y="{TOP + 12 + 17 * i}" fill="{colour}">{name}</text>')
    return out


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        log = [json.loads(line) for line in file]
    right = max(entry["tokens"] for entry in log)
    loss = [(e["tokens"], e["loss"]) for e in log if "loss" in e]
    measured = [e for e in log if "accuracy" in e]
    skills = sorted({k for e in measured for k in e["accuracy"]})
    lines = [(k, [(e["tokens"], 100 * e["accuracy"][k]) for e in measured]) for k in skills]
    parts = panel(0, "loss", [("loss", loss)], 4, right, "") + panel(
        WIDTH + 60, "whole answer right, unseen prompts", lines, 100, right, " %")
    size = f'width="{2 * WIDTH + 220}" height="{HEIGHT + TOP + 40}"'
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
                   '<rect width="100%" height="100%" fill="white"/>' + "\n".join(parts)
                   + f'<text x="{WIDTH}" y="{HEIGHT + TOP + 34}">tokens seen</text></svg>\n')


if __name__ == "__main__":
    main()
