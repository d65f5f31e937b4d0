"""Measures a finished model folder as its card is measured: on photos that training never saw.

    python workers/image-quality/train/measure.py MODEL_DIR… --data PHOTOS

A fifth of the repositories is held out. Figures are means over the axes. A folder in eight bits is measured so
beside the one that it was made of.
"""

import argparse
import json
import tempfile
from pathlib import Path

import evaluation
import numpy as np
from degrade import AXES

from flota_training import model, pool

HELD_OUT = 0.2
SEED = 1
FIGURES = ("auc", "auc_clean", "auc_mild", "ece", "falling")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folders", metavar="MODEL_DIR", type=Path, nargs="+")
    arguments.add_argument("--data", metavar="PHOTOS", type=Path, required=True)
    options = arguments.parse_args()
    _, held = pool.split(pool.load_pool(options.data), HELD_OUT, SEED)
    held = evaluation.chosen(held)
    with tempfile.TemporaryDirectory() as work:
        for folder in options.folders:
            read = model.read(folder, Path(work))
            network = read.network()
            answer = lambda pictures: np.stack([network(read.spec.array(one)) for one in pictures])
            scores = evaluation.score(held, Path(work) / "pictures", answer)
            figures = evaluation.Result(scores, evaluation.truths(held)).figures()
            means = {
                name: round(float(np.mean([figures[axis][name] for axis in AXES])), 3)
                for name in FIGURES
            }
            print(json.dumps({"folder": str(folder), "photos": len(held), **means}), flush=True)


if __name__ == "__main__":
    main()
