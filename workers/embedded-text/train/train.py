"""From photos to the finished model folder.

    python workers/embedded-text/train/train.py --data PHOTOS

draws text on the photos, trains, evaluates on origins and fonts held out, exports and writes
weights, model.yaml, golden examples and the model card. `--folds 4` cross-validates as well.
"""

from pathlib import Path

import numpy as np

import card
import evaluation
import learning
from cache import LABELLED, SCENE, draw_evaluation, draw_training
from drawn import golden_pictures
from flota_training import command, export, folder, pool
from fonts import built_in, load_fonts
from net import INPUT, LABELS

FOLDER = Path(__file__).parent.parent
DEFAULT_FOLDS = 3
PARITY_PICTURES = 1000
# Where the worker resizes, pixels may be a level from Pillow's.
GOLDEN_TOLERANCE = 5e-3


def main():
    arguments = command.parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--fonts",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="folders of fonts (default: the system's)",
    )
    run = command.start(arguments, FOLDER, ["text"])
    full, short = (learning.TINY,) * 2 if run.tiny else (learning.FULL, learning.ROUND)
    # Text of a screenshot is neither pasted onto a photo nor part of a scene.
    photos = [photo for photo in run.photos if photo.kind != "screenshot"]
    seen, unseen = (built_in(), built_in()) if run.tiny else load_fonts(run.options.fonts)
    processes = 0 if run.tiny else run.options.threads
    drawn = draw_training(photos, run.labelled, seen, full.drawn, run.seed, run.work, processes)
    shown = draw_evaluation(photos, unseen, run.seed, run.work, processes)
    rounds = []
    for seed in range(run.seed, run.seed + run.seeds):
        folds = pool.folds(photos, run.folds or DEFAULT_FOLDS, seed)
        for number, held in enumerate(folds[: run.folds or 1]):
            plan, title = short if rounds else full, f"fold-{number + 1}-of-{len(folds)}-{seed}"
            net = fit(run, plan, photos, held, drawn, seed, title)
            rows = shown.rows_of({photos.index(photo) for photo in held})
            rounds.append(evaluation.evaluate(evaluation.answers_of(net), photos, shown, rows))
            if len(rounds) == 1:
                shipped = net
    write(
        run,
        shipped,
        rounds,
        shown.pixels[: 64 if run.tiny else PARITY_PICTURES],
        photos,
        (seen, unseen),
        full.drawn,
    )
    print(f"model folder: {run.out}\ncheckpoints and caches: {run.work}")


def fit(run, plan, photos, held, drawn, seed, title):
    """A network that has seen neither `held` nor, but for its calibration, those kept aside."""
    rest = [photo for photo in photos if photo not in held]
    learned, aside = pool.split(rest, plan.kept_for_calibration, seed)
    rows = drawn.rows_of({LABELLED, SCENE, *(photos.index(photo) for photo in learned)})
    net = learning.learn(drawn, rows, seed, plan, run.work / title, run.fresh)
    kept = drawn.rows_of({photos.index(photo) for photo in aside})
    result = evaluation.evaluate(evaluation.answers_of(net), photos, drawn, kept)
    return learning.calibrate(net, result.written, result.text)


def write(run, net, rounds, crops, photos, fonts, counts):
    """Weights, manifest, golden examples and card."""
    manifest = {
        "name": "embedded-text",
        "version": folder.next_version(FOLDER, run.options.bump),
        "description": "Predicts whether text was pasted onto an image, and which part of the image it covers.",
        "weights": {"file": "embedded-text.onnx"},
        "labels": list(LABELS),
        "input": INPUT.manifest(),
        "output": {
            "name": "scores",
            "kind": "regression",
            "thresholds": {"text": evaluation.THRESHOLD},
        },
    }
    weights = run.out / manifest["weights"]["file"]
    export.export(net, weights, INPUT, "scores")
    folder.write_manifest(
        run.out, manifest, "Written by train/train.py. What each score means: README.md."
    )
    session = export.session(weights)
    answer = lambda pictures: export.run(session, INPUT.tensor(pictures))
    said = lambda picture: answer([picture])[0]
    folder.write_golden(run.out, golden_pictures(), manifest, said, GOLDEN_TOLERANCE)
    cost = (export.multiply_adds(weights), weights.stat().st_size)
    compared = parity(run, net, crops, answer)
    card.write(run, manifest, rounds, compared, cost, answer, photos, fonts, counts)


def parity(run, net, crops, answer):
    """How many pictures were compared, and the rows of the table of differences between engines."""
    pytorch = evaluation.answers_of(net)
    found = {
        "PyTorch": np.concatenate([pytorch(crop[None]) for crop in crops]),
        "ONNX Runtime": np.concatenate([answer([crop]) for crop in crops]),
    }
    flota = export.flota_command()
    if flota:
        found["tract"] = export.predict(flota, run.out, crops, LABELS)
    names = list(found)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return len(crops), [export.differences(f"{a}, {b}", found[a], found[b]) for a, b in pairs]


if __name__ == "__main__":
    main()
