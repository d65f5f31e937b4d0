"""Measures a finished model folder as its card is measured: on pictures that training never saw.

    python workers/embedded-text/train/measure.py MODEL_DIR… --data PHOTOS

Of the photos one of three groups of repositories is held out, with the fonts that are held out. A folder in
eight bits is measured so beside the one that it was made of.
"""

import argparse
import json
import tempfile
from pathlib import Path

import evaluation
import numpy as np
from cache import draw_evaluation
from fonts import load_fonts

from flota_training import model, pool

FOLDS = 3
SEED = 1


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folders", metavar="MODEL_DIR", type=Path, nargs="+")
    arguments.add_argument("--data", metavar="PHOTOS", type=Path, required=True)
    options = arguments.parse_args()
    photos = [photo for photo in pool.load_pool(options.data) if photo.kind != "screenshot"]
    held = pool.folds(photos, FOLDS, SEED)[0]
    _, unseen = load_fonts(None)
    with tempfile.TemporaryDirectory() as work:
        drawn = draw_evaluation(held, unseen, SEED, Path(work), 1)
        rows = np.arange(len(drawn.photos))
        for folder in options.folders:
            read = model.read(folder, Path(work))
            network = read.network()
            answer = lambda pictures: np.stack([network(read.spec.array(one)) for one in pictures])
            figures = evaluation.evaluate(answer, held, drawn, rows).figures()
            rounded = {name: round(float(figure), 3) for name, figure in figures.items()}
            print(json.dumps({"folder": str(folder), "pictures": len(rows), **rounded}), flush=True)


if __name__ == "__main__":
    main()
