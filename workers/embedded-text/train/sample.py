"""One sample: a photo, cropped; perhaps written on; saved again; as the network sees it."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from fonts import FontSet
from net import CELLS, INPUT
from scene import inscribe
from shapes import decorate
from write import Writing, write

KINDS = ("written", "plain", "scene", "decorated")
KIND_SHARES = (0.5, 0.2, 0.18, 0.12)
# Shapes and text of the scene under what is written, so that neither speaks against it.
UNDER_SHARE = 0.12
SECOND_TEXT_SHARE = 0.15


@dataclass(frozen=True)
class Sample:
    """Pixels of the network's input, what share of each cell is covered, and the box."""

    pixels: np.ndarray
    cells: np.ndarray
    """`CELLS` x `CELLS` of 0..1."""
    scene: np.ndarray
    """The same for text that was drawn into the scene."""
    box: np.ndarray
    """Left, top, right, bottom as fractions; (1, 1, 0, 0), an empty box, where nothing is written."""
    is_written: bool
    facts: dict
    """Of a written sample: size, opacity, angle, script, style; of any: its kind."""


def make_sample(
    photo: Image.Image, kind: str, fonts: FontSet, rng: np.random.Generator, crop: bool = True
) -> Sample:
    """A sample of `kind`, one of `KINDS`. Whatever the kind, it is cropped and saved alike."""
    picture = _cropped(photo, rng) if crop else photo
    region, facts = np.zeros((picture.height, picture.width), np.float32), {"kind": kind}
    scene = region
    if kind == "scene" or (kind == "written" and rng.random() < UNDER_SHARE):
        picture, scene = inscribe(picture, fonts, rng)
    if kind == "decorated" or (kind == "written" and rng.random() < UNDER_SHARE):
        picture = decorate(picture, rng)
    if kind == "written":
        written = write(picture, fonts, rng)
        picture, region, facts = written.picture, written.region, facts | _facts(written)
        if rng.random() < SECOND_TEXT_SHARE:
            second = write(picture, fonts, rng)
            picture, region = second.picture, np.maximum(region, second.region)
    if crop:
        picture = _saved_again(picture, rng)
    return Sample(
        INPUT.pixels(picture), _cells(region), _cells(scene), _box(region), kind == "written", facts
    )


def _facts(written: Writing) -> dict:
    return {
        "size": written.em_share,
        "opacity": written.opacity,
        "angle": abs(written.angle),
        "script": written.script,
        "style": written.style,
    }


def varied(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The photo mirrored, and with other tones per colour, so that it is not known by heart."""
    if rng.random() < 0.5:
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    levels = np.arange(256) / 255
    gammas = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.1, 3))
    curves = [255 * levels**gamma for gamma in gammas]
    return photo.point([int(level) for level in np.concatenate(curves)])


def _cropped(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A part of 45 to 100 % of each side, or all of it."""
    if rng.random() < 0.35:
        return photo
    wide, high = (round(side * share) for side, share in zip(photo.size, rng.uniform(0.45, 1.0, 2)))
    left, top = (
        int(rng.integers(0, room + 1)) for room in (photo.width - wide, photo.height - high)
    )
    return photo.crop((left, top, left + wide, top + high))


def _saved_again(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Perhaps reduced, then perhaps through JPEG, once or twice: on all kinds alike."""
    if rng.random() < 0.4:
        share = rng.uniform(0.6, 1.0)
        picture = picture.resize(
            [max(32, round(side * share)) for side in picture.size], Image.Resampling.LANCZOS
        )
    for _ in range(int(rng.choice([0, 1, 2], p=[0.15, 0.65, 0.2]))):
        file = BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(75, 98)))
        picture = Image.open(file).convert("RGB")
    return picture


def _cells(region: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(region).resize((CELLS, CELLS), Image.Resampling.BOX))


def _box(region: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(region.max(1) > 0.5)[0], np.nonzero(region.max(0) > 0.5)[0]
    if not len(rows) or not len(columns):
        return np.array([1, 1, 0, 0], np.float32)
    height, width = region.shape
    box = [columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height]
    return np.array(box, np.float32)
