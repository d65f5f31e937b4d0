"""From photos to the finished model folder.

    python workers/image-quality/train/train.py --data PHOTOS

prepares, trains, evaluates on origins held out, exports and writes weights, model.yaml, golden
examples and the model card. `--folds 5 --seeds 2` cross-validates as well.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import card
import evaluation
import learning
from baseline import computed
from flota_training import command, export, folder, loop, pool
from flota_training.preprocess import Input
from net import FILL, LABELS, Probabilities, QualityNet
from drawn import golden_pictures

FOLDER = Path(__file__).parent.parent
HELD_OUT, KEPT_FOR_CALIBRATION = 0.2, 0.15
PARITY_PICTURES = 1000
# Where the worker resizes, pixels may be a level from Pillow's.
GOLDEN_TOLERANCE = 5e-3
THRESHOLDS = {label: {"below": 0.5} if label == "quality" else 0.5 for label in LABELS}


@dataclass(frozen=True)
class Plan:
    """What a configuration costs."""

    side: int
    crop: int
    """Side of the crops that are learned from: the network is convolutional, and small ones are
    cheap."""
    pairs: int
    """Pairs of crops an epoch."""
    variants: int
    """Pairs made of each photo."""
    finish: int
    """Steps of the last part on whole pictures."""
    finish_variants: int
    """How often each photo is degraded for them."""
    finish_photos: int
    """Most photos that are degraded for them."""
    settings: loop.Settings

    def spec(self):
        return Input(self.side, self.side, {"mode": "letterbox", "fill": list(FILL)})

    def steps(self):
        return self.settings.epochs * (self.pairs // self.settings.batch)


FULL = Plan(
    640, 160, 3200, 32, 6000, 3, 1000, loop.Settings(epochs=24, batch=16, rate=4e-3, workers=0)
)
# A round of the cross-validation learns less long, from fewer pictures: there are many.
ROUND_EPOCHS, ROUND_PHOTOS = 8, 60
# Enough for every split, and few: each is degraded 41 times.
TINY_PHOTOS = 16
TINY = Plan(320, 96, 96, 4, 50, 2, 1000, loop.Settings(epochs=2, batch=8, workers=0))


def main():
    arguments = command.parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--sides",
        type=int,
        nargs="*",
        default=[],
        metavar="N",
        help="sides of the input (multiples of 64) of which the card says what they cost and gain",
    )
    run = command.start(arguments, FOLDER, LABELS)
    plan = TINY if run.tiny else FULL
    if run.tiny:
        run.photos = run.photos[:TINY_PHOTOS]
    cross = cross_validate(run, plan) if run.folds else {}
    rest, held = pool.split(run.photos, HELD_OUT, run.seed)
    sides = [compare_side(run, replace(plan, side=side), rest, held) for side in run.options.sides]
    net = fit(run, plan, rest, run.seed, "whole")
    result = learning.probabilities(net, measurable(held), run.work, plan.spec())
    write(run, plan, net, result, held, cross, sides)
    print(f"model folder: {run.out}\ncheckpoints and caches: {run.work}")


def measurable(photos):
    return evaluation.chosen(photos) or sys.exit(
        "no photo held out is fit to be measured: more photos are needed"
    )


def fit(run, plan, photos, seed, title):
    """A calibrated network that has seen `photos`: crops first, then whole pictures."""
    learned, aside = pool.split(photos, KEPT_FOR_CALIBRATION, seed)
    net = learning.learn(learned, run.labelled, seed, plan, run.work, title, run.fresh)
    whole = [photo for photo in learned if evaluation.is_measurable(photo)][: plan.finish_photos]
    seen, truth = [], []
    for variant in range(plan.finish_variants):
        seen.append(learning.see(net, whole, run.work, plan.spec(), variant))
        truth.append(torch.from_numpy(evaluation.truths(whole, variant)).float())
    learning.finish(net, torch.cat(seen), torch.cat(truth), seed, plan.finish)
    aside = measurable(aside)
    return learning.calibrate(net, learning.see(net, aside, run.work, plan.spec()), aside)


def cross_validate(run, plan):
    """By seed, the result of every fold."""
    rounds = {}
    for seed in range(run.seed, run.seed + run.seeds):
        parts = pool.folds(run.photos, run.folds, seed)
        for number, held in enumerate(parts):
            rest = [photo for part in parts if part is not held for photo in part]
            title = f"fold-{number + 1}-of-{run.folds}"
            rounds.setdefault(seed, []).append(short_round(run, plan, rest, held, seed, title))
    return rounds


def compare_side(run, plan, rest, held):
    """(side, multiply-adds, result) of a short training with another side of the input."""
    weights = run.work / "side.onnx"
    export.export(Probabilities(QualityNet()), weights, plan.spec(), "scores")
    return (
        plan.side,
        export.multiply_adds(weights),
        short_round(run, plan, rest, held, run.seed, "side"),
    )


def shortened(plan):
    """The plan of a round."""
    settings = replace(plan.settings, epochs=min(plan.settings.epochs, ROUND_EPOCHS))
    return replace(plan, finish_variants=1, finish_photos=ROUND_PHOTOS, settings=settings)


def short_round(run, plan, rest, held, seed, title):
    """The result of a training of `ROUND_EPOCHS`; kept in the work folder once it is finished."""
    plan = shortened(plan)
    file = run.work / f"{title}-{plan.side}-{seed}.npz"
    if run.fresh or not file.is_file():
        net = fit(run, plan, rest, seed, title)
        result = learning.probabilities(net, measurable(held), run.work, plan.spec())
        np.savez(file, scores=result.scores, truth=result.truth)
    with np.load(file) as kept:
        return evaluation.Result(kept["scores"], kept["truth"])


def write(run, plan, net, result, held, cross, sides):
    """Weights, manifest, golden examples and card."""
    spec, whole = plan.spec(), Probabilities(net)
    manifest = {
        "name": "image-quality",
        "version": folder.next_version(FOLDER, run.options.bump),
        "description": "Says what is wrong with a photo (blurred, noisy, too dark, ...) and how good it is.",
        "weights": {"file": "image-quality.onnx"},
        "labels": list(LABELS),
        "input": spec.manifest(),
        "output": {
            "name": "scores",
            "kind": "regression",
            "thresholds": THRESHOLDS,
        },
    }
    weights = run.out / manifest["weights"]["file"]
    export.export(whole, weights, spec, "scores")
    folder.write_manifest(
        run.out, manifest, "Written by train/train.py. What each score means: README.md."
    )
    session = export.session(weights)
    answer = lambda shown: export.run(session, spec.tensor(shown))
    folder.write_golden(
        run.out,
        golden_pictures(plan.side),
        manifest,
        lambda picture: answer([picture])[0],
        GOLDEN_TOLERANCE,
    )
    findings = card.Findings(
        manifest=manifest,
        result=result,
        baseline=evaluation.score(measurable(held), run.work, computed.scorer()),
        photos=run.photos,
        held=measurable(held),
        cross=cross,
        sides=sides,
        parity=parity(run, whole, measurable(held), spec, answer),
        steps=(plan.steps(), shortened(plan).steps()),
        multiply_adds=export.multiply_adds(weights),
        size_bytes=weights.stat().st_size,
    )
    card.write(run.out, findings, answer, run.options.show, scenes=24 if run.tiny else 240)


def parity(run, whole, photos, spec, answer):
    """The rows of the table of differences between engines, on degraded photos held out."""
    shown = [
        spec.pixels(evaluation.opened(data))
        for photo in photos
        for data in evaluation.pictures(photo, run.work)
    ]
    shown = shown[: 64 if run.tiny else PARITY_PICTURES]
    torch_answers = np.concatenate([learning.answers(whole, [picture], spec) for picture in shown])
    found = {
        "PyTorch": torch_answers,
        "ONNX Runtime": np.concatenate([answer([picture]) for picture in shown]),
    }
    flota = export.flota_command()
    if flota:
        found["tract"] = export.predict(flota, run.out, shown, LABELS)
    names = list(found)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return len(shown), [export.differences(f"{a}, {b}", found[a], found[b]) for a, b in pairs]


if __name__ == "__main__":
    main()
