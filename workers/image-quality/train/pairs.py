"""What is learned from: a crop twice, once with one of its degradations stronger."""

import numpy as np
import torch
from PIL import Image, ImageDraw

from degrade import AXES, REDUCING, SIDE, degrade, draw_recipe
from flota_training.preprocess import unit
from net import FILL, LABELS, Measures

MEASURES = Measures()

# Raised when pairs are made in another way, so that those of before are not taken for them.
VERSION = 2
# Pixels by which a crop is made too large, so that the grid of a JPEG begins anywhere.
SPARE = 8
# Of two degradations that hide each other the weaker is not asked for.
HIDING = [("blurred", "low_resolution"), ("noisy", "blocky")]
# Where a probability begins to rise, and where it is full: mild is neither good nor bad.
SOFT, HARD = 0.125, 0.375
# How often a thing is cut out of a photo.
CUT_OUT = 0.15
# By how much the worst of one axis alone lowers the quality.
WEIGHT = 0.9


def is_pristine(photo):
    """Whether a photo, as it is, shows none of the degradations, as far as the manifest knows."""
    is_soft = photo.laplacian_var is not None and photo.laplacian_var < 100
    is_squeezed = (
        photo.jpeg_quality is not None and photo.jpeg_quality < 88 and photo.downscale < 1.3
    )
    return photo.kind in ("photo", "product-cutout") and not is_soft and not is_squeezed


def truth_of(severities):
    """What the network should say, by label; not a number where nobody can tell."""
    truth = {
        axis: float(np.clip((s - SOFT) / (HARD - SOFT), 0, 1)) for axis, s in severities.items()
    }
    for one, other in HIDING:
        if severities[one] > 0 and severities[other] > 0:
            truth[min(one, other, key=severities.get)] = np.nan
    truth["quality"] = quality_of(severities)
    return [truth[label] for label in LABELS]


def quality_of(severities):
    """1 for a picture that nothing was done to; each axis takes its share of the rest."""
    return float(np.prod([1 - WEIGHT * severity for severity in severities.values()]))


def pair(photo, rng, size, side):
    """Two versions of one crop of `photo` for a network of input `side`, their truths, and the axis
    (its index, or -1) on which the first is worse."""
    crop = source(photo, rng, round((size + SPARE) * SIDE / side))
    if photo.labels:
        worse, axis = dict.fromkeys(AXES, 0.0), -1
        truth = [photo.labels.get(label, np.nan) for label in LABELS]
        truths = [truth, truth]
        better = worse
    else:
        worse, better, axis = draw_severities(rng)
        truths = [truth_of(worse), truth_of(better)]
    recipe = draw_recipe(rng)
    offset = rng.integers(0, SPARE, 2)
    place = rng.random(2)
    pictures = [
        framed(reduced(degrade(crop, s, recipe), side), size, offset, place)
        for s in (worse, better)
    ]
    pictures = np.stack(pictures)
    with torch.no_grad():
        measured = MEASURES(unit(pictures.transpose(0, 3, 1, 2)))
    return pictures, {"truth": np.array(truths, np.float32), "axis": axis, "measured": measured}


def draw_severities(rng):
    worse = dict.fromkeys(AXES, 0.0)
    count = rng.choice(4, p=[0.1, 0.5, 0.25, 0.15])
    chosen = [AXES[k] for k in rng.choice(len(AXES), count, replace=False)]
    if {"too_dark", "overexposed"} <= set(chosen):
        chosen.remove("overexposed")
    for axis in chosen:
        worse[axis] = float(min(1, rng.uniform(0.05, 1.1)))
    if not chosen:
        return worse, dict(worse), -1
    axis = chosen[0]
    better = {
        **worse,
        axis: 0.0 if rng.random() < 0.5 else float(worse[axis] * rng.uniform(0, 0.85)),
    }
    return worse, better, AXES.index(axis)


def source(photo, rng, size):
    """A part of the photo, reduced so far that its own faults are gone, turned and mirrored."""
    pixels = photo.pixels()
    height, width = pixels.shape[:2]
    limit = min(1.0, SIDE / max(height, width))
    low, high = (0.4, 1.0) if is_pristine(photo) or photo.labels else (0.3, 0.55)
    scale = rng.uniform(low, high) * limit
    if photo.labels:
        scale = limit
    elif rng.random() < 0.35:
        scale = min(scale, size / max(height, width))
    wanted = size * np.where(rng.random(2) < 0.3, rng.uniform(0.5, 1, 2), 1) / scale
    w, h = min(width, int(wanted[0])), min(height, int(wanted[1]))
    left, top = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    box = (int(left), int(top), int(left) + w, int(top) + h)
    part = Image.fromarray(pixels[box[1] : box[3], box[0] : box[2]])
    if scale < 1:
        part = part.resize(
            [max(16, round(n * scale)) for n in part.size], REDUCING[rng.integers(len(REDUCING))]
        )
    if not photo.labels and rng.random() < CUT_OUT:
        part = cut_out(part, rng)
    part = np.asarray(part)
    if rng.random() < 0.5:
        part = part[:, ::-1]
    if rng.random() < 0.25:
        part = part.transpose(1, 0, 2)
    return np.ascontiguousarray(part)


def reduced(pixels, side):
    """As the worker brings a picture of `SIDE` to `side`."""
    if side == SIDE:
        return pixels
    image = Image.fromarray(pixels)
    return np.asarray(
        image.resize(
            [max(16, round(n * side / SIDE)) for n in image.size], Image.Resampling.BILINEAR
        )
    )


def cut_out(part, rng):
    """A thing on a plain ground, mostly white, made of any photo: shops' pictures look like that."""
    level = 255 if rng.random() < 0.6 else int(rng.integers(0, 256))
    ground, mask = Image.new("RGB", part.size, (level,) * 3), Image.new("L", part.size)
    low, high = rng.uniform(0.05, 0.35, 2), rng.uniform(0.65, 0.95, 2)
    box = [round(share * n) for share, n in zip((*low, *high), part.size * 2)]
    draw = ImageDraw.Draw(mask)
    shape = draw.ellipse if rng.random() < 0.6 else draw.rectangle
    shape(box, fill=255)
    ground.paste(part, mask=mask)
    return ground


def framed(pixels, size, offset, place):
    """The part of `size` from `offset` on; where there is less, on the ground of a letterbox."""
    part = pixels[offset[0] : offset[0] + size, offset[1] : offset[1] + size]
    height, width = part.shape[:2]
    if (height, width) == (size, size):
        return part
    whole = np.full((size, size, 3), FILL, np.uint8)
    top, left = int((size - height) * place[0]), int((size - width) * place[1])
    whole[top : top + height, left : left + width] = part
    return whole
