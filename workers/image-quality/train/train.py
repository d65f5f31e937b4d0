"""From photos to the finished model folder.

    python workers/image-quality/train/train.py --data PHOTOS [--labels CSV]

gives the photos faults, measures all, learns by groups of origins held out and then from all photos,
exports and writes weights, model.yaml, golden examples and the model card.
"""

from pathlib import Path

import numpy as np
import torch

import card
import learning
from degrade import AXES, SIDE
from drawn import golden_pictures
from evaluation import Result
from flota_training import command, export, folder, pool
from flota_training.preprocess import Input
from net import FILL, LABELS, QualityNet
from pictures import opened, pictures

FOLDER = Path(__file__).parent.parent
DEFAULT_FOLDS = 5
PARITY_PICTURES = 40
# Where the worker resizes, pixels may be a level from Pillow's.
GOLDEN_TOLERANCE = 1e-2
TINY_SIDE, TINY_PHOTOS = 320, 8


def main():
    arguments = command.parser(__doc__.splitlines()[0])
    for name, what in [
        ("--before", "model folder of another version, to compare with"),
        ("--large", "the photos of --data at their full size, by name, to learn from and judge as well"),
    ]:
        arguments.add_argument(name, type=Path, metavar="DIR", help=what)
    run = command.start(arguments, FOLDER, LABELS)
    side = TINY_SIDE if run.tiny else SIDE
    spec = Input(side, side, {"mode": "letterbox", "fill": list(FILL)})
    photos = pool.with_labels(run.photos[: TINY_PHOTOS if run.tiny else None], run.labelled)
    measured = learning.measure(photos, run.work, spec, run.options.large)
    folds = run.folds or DEFAULT_FOLDS
    logits = learning.cross_validate(photos, measured, folds, run.seed)
    head = learning.learn(photos, measured)
    result = learning.calibrate(head, Result(photos, logits, np.full(len(AXES), np.inf)))
    write(run, spec, head, result)
    print(f"model folder: {run.out}\npictures and measures: {run.work}")


def write(run, spec, head, result):
    """Weights, manifest, golden examples and card."""
    net = QualityNet(head, spec.width)
    manifest = {
        "name": "image-quality",
        "version": folder.next_version(FOLDER, run.options.bump),
        "description": "Predicts technical faults of a photo (blurred, noisy, too dark, ...) and its overall quality.",
        **folder.code(FOLDER),
        "weights": {"file": "image-quality.onnx"},
        "labels": list(LABELS),
        "input": spec.manifest(),
        "output": {
            "name": "scores",
            "kind": "regression",
            "thresholds": {**result.flagged_from(), "quality": {"below": 0.5}},
        },
    }
    weights = run.out / manifest["weights"]["file"]
    export.export(net, weights, spec, "scores")
    note = "Written by train/train.py. What each score means: README.md."
    folder.write_manifest(run.out, manifest, note)
    session = export.session(weights)
    answer = lambda shown: export.run(session, spec.tensor(shown))
    said = lambda picture: answer([picture])[0]
    folder.write_golden(run.out, golden_pictures(spec.width), manifest, said, GOLDEN_TOLERANCE)
    compared = parity(run, net, result.photos, spec, answer)
    before = card.judged(run, result) if run.options.before else None
    card.write(run, manifest, (result, before), compared, weights, answer)


def parity(run, net, photos, spec, answer):
    """How many pictures were compared, and the rows of the table of differences between engines."""
    count = 32 if run.tiny else PARITY_PICTURES
    each = max(1, -(-count // len(photos)))
    shown = [
        spec.pixels(opened(data)) for photo in photos for data in pictures(photo, run.work)[-each:]
    ][:count]
    with torch.no_grad():
        found = {
            "PyTorch": np.concatenate([net(spec.tensor([one])).numpy() for one in shown]),
            "ONNX Runtime": np.concatenate([answer([one]) for one in shown]),
        }
    flota = export.flota_command()
    if flota:
        found["tract"] = export.predict(flota, run.out, shown, LABELS)
    names = list(found)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return len(shown), [export.differences(f"{a}, {b}", found[a], found[b]) for a, b in pairs]


if __name__ == "__main__":
    main()
