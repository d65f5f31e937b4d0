"""What is made of each photo: itself in several encodings and sizes, and with known faults."""

import io
import os
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from degrade import AXES, NAMES, SEVERITIES, SIDE, degrade, draw_recipe

# Raised when other pictures are made, so that those of before are not taken for them.
VERSION = 3
# JPEG qualities at which a photo is merely saved again, and sides to which it is reduced.
RESAVED, REDUCED = (88, 92, 96), (480, 560)
# Pictures of each fault and strength, and with up to three faults at random strengths.
REPEATED, MIXED = 2, 8
# Groups of pictures that nothing was done to.
OWN = ("as it is", "saved again", "reduced")
# Of two faults that hide each other the weaker is not asked for; nor is a mild one at all.
HIDING = [("blurred", "low_resolution"), ("noisy", "blocky")]
MILD = 0.375


@dataclass(frozen=True)
class Made:
    """How a picture is made of a photo, and what it is made for."""

    group: str
    """`as it is`, `saved again`, `reduced`, the axis of its one fault, or `mixed`."""
    severities: dict
    encoding: tuple
    """(format, quality, chroma subsampling)."""
    side: int = SIDE


def is_sound(photo):
    """Whether a photo may be given faults: good by its label or, without one, by its manifest, and
    not smaller than the size that strengths are stated for."""
    if max(photo.pixels().shape[:2]) < 0.9 * SIDE or photo.kind not in ("photo", "product-cutout"):
        return False
    if "quality" in photo.labels:
        return photo.labels["quality"] == 1
    is_soft = photo.laplacian_var is not None and photo.laplacian_var < 100
    is_squeezed = (photo.jpeg_quality or 100) < 88 and photo.downscale < 1.3
    return not is_soft and not is_squeezed


def plan(photo):
    """The pictures of a photo, in order."""
    none = dict.fromkeys(AXES, 0.0)
    rng = generator(photo)
    made = [Made("as it is", none, ("PNG",))]
    made += [Made("saved again", none, ("JPEG", quality, 2)) for quality in RESAVED]
    made += [Made("saved again", none, ("WEBP", 85))]
    if photo.labels.get("low_resolution", 0) == 0:
        made += [Made("reduced", none, draw_encoding(rng), side) for side in REDUCED]
    if is_sound(photo):
        for axis in AXES:
            for severity in [s for s in SEVERITIES[1:] for _ in range(REPEATED if s == 0.5 else 1)]:
                made.append(Made(axis, {**none, axis: severity}, draw_encoding(rng)))
        made += [Made("mixed", draw_severities(rng), draw_encoding(rng)) for _ in range(MIXED)]
    return made


def draw_encoding(rng):
    kind = rng.choice(4, p=[0.4, 0.35, 0.15, 0.1])
    quality = int(rng.integers(82, 97))
    return [("JPEG", quality, 0), ("JPEG", quality, 2), ("WEBP", quality), ("PNG",)][kind]


def draw_severities(rng):
    chosen = [AXES[k] for k in rng.choice(len(AXES), rng.integers(1, 4), replace=False)]
    if {"too_dark", "overexposed"} <= set(chosen):
        chosen.remove("overexposed")
    return dict.fromkeys(AXES, 0.0) | {axis: float(rng.uniform(0.1, 1)) for axis in chosen}


def truth_of(photo, made):
    """By axis 1, 0, or not a number where nobody can tell."""
    truth = []
    for axis in AXES:
        severity = made.severities[axis]
        own = photo.labels.get(axis, np.nan if photo.labels else 0.0)
        hidden = any(
            axis in pair and 0 < severity <= max(made.severities[other] for other in pair if other != axis)
            for pair in HIDING
        )
        if severity == 0:
            truth.append(own)
        else:
            truth.append(np.nan if severity < MILD or hidden else 1.0)
    return truth


def generator(photo):
    return np.random.default_rng((VERSION, zlib.crc32(photo.name.encode())))


def pictures(photo, work):
    """The files of `plan`, kept in `work`."""
    file = work / "pictures" / str(VERSION) / f"{photo.name}.npz"
    if not file.is_file():
        rng = generator(photo)
        rng.bit_generator.advance(1 << 32)
        files = [make(photo, made, draw_recipe(rng)) for made in plan(photo)]
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".part.npz")
        np.savez(beside, *[np.frombuffer(data, np.uint8) for data in files])
        os.replace(beside, file)
    with np.load(file) as kept:
        return [kept[name].tobytes() for name in kept.files]


def make(photo, made, recipe):
    pixels = degrade(fitted(photo.pixels(), SIDE, Image.Resampling.LANCZOS), made.severities, recipe)
    file = io.BytesIO()
    options = dict(zip(("quality", "subsampling"), made.encoding[1:])) or {"compress_level": 1}
    small = fitted(pixels, made.side, Image.Resampling.BILINEAR)
    Image.fromarray(small).save(file, made.encoding[0], **options)
    return file.getvalue()


def fitted(pixels, side, filter):
    """The picture with its longer side at `side` pixels at most."""
    factor = side / max(pixels.shape[:2])
    if factor >= 1:
        return pixels
    image = Image.fromarray(pixels)
    return np.asarray(image.resize([max(1, round(n * factor)) for n in image.size], filter))


def opened(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))
