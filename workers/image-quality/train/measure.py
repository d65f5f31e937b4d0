"""Measures finished model folders on photos with made faults, one beside the other.

    python workers/image-quality/train/measure.py MODEL_DIR… --data PHOTOS

The shipped weights have seen the photos of the pool they were trained on: this compares a folder with the
same in eight bits, say, or two versions on photos that neither saw.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from degrade import AXES
from evaluation import Result, share
from flota_training import model, pool
from pictures import opened, pictures


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folders", metavar="MODEL_DIR", type=Path, nargs="+")
    arguments.add_argument("--data", metavar="PHOTOS", type=Path, required=True)
    options = arguments.parse_args()
    photos = pool.load_pool(options.data)
    with tempfile.TemporaryDirectory() as work:
        for place in options.folders:
            read = model.read(place, Path(work))
            network = read.network()
            look = lambda data: network(read.spec.array(opened(data)))[: len(AXES)]
            scores = [np.array([look(d) for d in pictures(photo, Path(work))]) for photo in photos]
            thresholds = read.manifest["output"]["thresholds"]
            result = Result(photos, scores, np.array([thresholds.get(axis, np.inf) for axis in AXES]))
            figures = {
                "folder": str(place),
                "auc": round(float(np.mean([result.auc(axis) for axis in AXES])), 4),
                "good_flagged": share(*result.flagged()),
                "moderate_found": {axis: share(*result.found(axis)) for axis in AXES},
            }
            print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
