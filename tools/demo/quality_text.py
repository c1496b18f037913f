"""Writes the text of docs/quality.md: python quality_text.py OUT.txt. Unseen conversations with their right answers, in
the demo model's own chat format, about 6,000 tokens."""
import sys

import chat
import generate

PER_SKILL = 6


def main():
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        for i in range(PER_SKILL):
            for skill in generate.EVALUATED:
                item = generate.question(skill, 1000 + i)
                file.write(item["prompt"] + item["answer"] + chat.IM_END + "\n")


if __name__ == "__main__":
    main()
