"""Photos held out, degraded step by step, and what the scores make of them."""

import os
import zlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from tqdm import tqdm

from degrade import AXES, NAMES, SEVERITIES, SIDE, degrade, draw_recipe, jpeg, opened
from flota_training import metrics
from net import LABELS
from pairs import draw_severities, is_pristine, truth_of

# Raised when other pictures are made, so that those of before are not taken for them.
VERSION = 2
MIXED = 12
PER_ORIGIN = 12
MODERATE = NAMES.index("moderate")


def is_measurable(photo):
    """Whether strengths can be stated: pristine, and not smaller than the picture they are of."""
    return is_pristine(photo) and max(photo.pixels().shape[:2]) >= 0.9 * SIDE


def joined(results):
    """The results of several rounds as one."""
    return Result(
        np.concatenate([r.scores for r in results]), np.concatenate([r.truth for r in results])
    )


def chosen(photos):
    """The photos that are measured: at most a dozen of one origin, as near series say the same."""
    found = []
    for photo in sorted(photos, key=lambda photo: zlib.crc32(photo.name.encode())):
        if (
            is_measurable(photo)
            and sum(photo.origin == other.origin for other in found) < PER_ORIGIN
        ):
            found.append(photo)
    return found


def severities_of(photo, variant=0):
    """What is made of a photo: as it is, each axis by growing strength, then mixtures."""
    rng = generator(photo, variant)
    none = dict.fromkeys(AXES, 0.0)
    series = [{**none, axis: severity} for axis in AXES for severity in SEVERITIES[1:]]
    return [none, *series, *[draw_severities(rng)[0] for _ in range(MIXED)]]


def places(axis):
    """Which pictures of a photo show `axis` by growing strength, the photo as it is first."""
    first = 1 + AXES.index(axis) * (len(SEVERITIES) - 1)
    return [0, *range(first, first + len(SEVERITIES) - 1)]


def generator(photo, variant):
    return np.random.default_rng((VERSION, zlib.crc32(photo.name.encode()), variant))


def pictures(photo, work, variant=0):
    """The degraded photo as JPEG files, kept in `work`; a recipe per axis and mixture. Another
    `variant` has other recipes and mixtures."""
    file = work / "evaluation" / str(VERSION) / f"{photo.name}-{variant}.npz"
    if file.is_file():
        with np.load(file) as kept:
            return [kept[name].tobytes() for name in kept.files]
    rng = generator(photo, variant)
    rng.bit_generator.advance(1 << 32)
    resaved = int(rng.integers(85, 98))
    drawn = [
        replace(draw_recipe(rng), grid_scale=1.0, resaved=None) for _ in range(len(AXES) + MIXED)
    ]
    per_axis = [recipe for recipe in drawn[: len(AXES)] for _ in SEVERITIES[1:]]
    recipes = [drawn[0], *per_axis, *drawn[len(AXES) :]]
    pixels = canonical(photo.pixels())
    files = [
        jpeg(degrade(pixels, s, r), resaved, 0)
        for s, r in zip(severities_of(photo, variant), recipes)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part.npz")
    np.savez(beside, *[np.frombuffer(data, np.uint8) for data in files])
    os.replace(beside, file)
    return files


def canonical(pixels):
    """The photo with its longer side at 640 pixels at most."""
    factor = SIDE / max(pixels.shape[:2])
    if factor >= 1:
        return pixels
    image = Image.fromarray(pixels)
    return np.asarray(
        image.resize([max(1, round(n * factor)) for n in image.size], Image.Resampling.LANCZOS)
    )


def score(photos, work, answer, variant=0):
    """[photos, pictures, scores] of `answer(list of pictures as bytes)`."""
    rows = []
    for photo in tqdm(photos, desc="evaluating", leave=False, mininterval=2):
        shown = [opened(data) for data in pictures(photo, work, variant)]
        rows.append(np.concatenate([answer([picture]) for picture in shown]))
    return np.array(rows)


def truths(photos, variant=0):
    """[photos, pictures, labels]; not a number where nobody can tell."""
    return np.array([[truth_of(s) for s in severities_of(photo, variant)] for photo in photos])


@dataclass
class Result:
    """Scores of photos held out: [photos, pictures, labels] of probabilities, and the truth."""

    scores: np.ndarray
    truth: np.ndarray

    def series(self, axis, label):
        """[photos, severities]: the scores of `label` while `axis` gets worse."""
        return self.scores[:, places(axis), LABELS.index(label)]

    def versus(self, axis, label=None, level=MODERATE, others=True):
        """(truth, scores): `axis` at `level` against photos without it: as they are and, with
        `others`, degraded as much on another axis."""
        label = label or axis
        found = self.series(axis, label)[:, level]
        clean = [self.series(axis, label)[:, 0]]
        if others:
            clean += [self.series(other, label)[:, level] for other in AXES if other != axis]
        clean = np.concatenate(clean)
        return np.repeat([1, 0], [len(found), len(clean)]), np.concatenate([found, clean])

    def auc(self, axis, level=MODERATE, others=True):
        return metrics.roc_auc(*self.versus(axis, level=level, others=others))

    def mixture(self, axis, mild=False):
        """(truth, probabilities) of the mixtures; without mild ones, unless asked for."""
        truth = self.truth[:, -MIXED:, LABELS.index(axis)].ravel()
        said = self.scores[:, -MIXED:, LABELS.index(axis)].ravel()
        known = ~np.isnan(truth) if mild else (truth == 0) | (truth == 1)
        return truth[known] > 0.5, said[known]

    def falling(self, axis):
        """The share of photos whose quality falls at every step of `axis`."""
        return metrics.falling_share(self.series(axis, "quality"))

    def figures(self):
        """The numbers of the model card by name."""
        per_axis = {}
        for axis in AXES:
            per_axis[axis] = {
                "auc": self.auc(axis),
                "auc_clean": self.auc(axis, others=False),
                "auc_mild": self.auc(axis, level=1, others=False),
                "ece": metrics.calibration_error(*self.mixture(axis)),
                "ece_mild": metrics.calibration_error(*self.mixture(axis, mild=True)),
                "falling": self.falling(axis),
            }
        return per_axis
