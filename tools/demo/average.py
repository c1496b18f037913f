"""The mean of several runs' weights: python average.py A.pt B.pt [...] OUT.pt. The ends of two falls of the learning
rate from one state lie in one valley, and their mean errs less than either.
"""
import sys

import torch


def main():
    saved = [torch.load(path, map_location="cpu") for path in sys.argv[1:-1]]
    model = {k: sum(s["model"][k].float() for s in saved) / len(saved) for k in saved[0]["model"]}
    torch.save(dict(model=model, tokens=max(s["tokens"] for s in saved)), sys.argv[-1])


if __name__ == "__main__":
    main()
