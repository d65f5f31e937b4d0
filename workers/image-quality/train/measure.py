"""Degrades real photos step by step and shows what the scores and the flags make of it.

    python measure.py --photos DIR

The tables in README.md come from this command.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, UnidentifiedImageError

from scorer import Scorer, open_photo

NOISE_SEED = 1


def as_image(levels):
    return Image.fromarray(np.clip(levels, 0, 255).round().astype(np.uint8))


def blur(radius):
    return lambda photo: photo.filter(ImageFilter.GaussianBlur(radius))


def gain(factor):
    return lambda photo: as_image(np.asarray(photo, dtype=np.float32) * factor)


def fade(factor):
    return lambda photo: ImageEnhance.Contrast(photo).enhance(factor)


def add_noise(deviation):
    def degrade(photo):
        noise = np.random.default_rng(NOISE_SEED).normal(0, deviation, (*photo.size[::-1], 3))
        return as_image(np.asarray(photo, dtype=np.float32) + noise)

    return degrade


def compress(side, quality):
    """A JPEG of the photo, made when its shorter side was `side` pixels, as a site would."""

    def degrade(photo):
        factor = side / min(photo.size)
        small = photo.resize([round(length * factor) for length in photo.size])
        file = io.BytesIO()
        small.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return degrade


# Each series begins with the photo as it is and gets worse. Blur and noise are in pixels and
# levels of the 512 x 512 picture that the network sees; only JPEG works on the whole photo.
SERIES = [
    ("blur, radius", "sharpness_fine", -1, blur, [1, 2, 4]),
    ("blur, radius", "sharpness_coarse", -1, blur, [1, 2, 4]),
    ("darkened, factor", "exposure", -1, gain, [0.6, 0.4, 0.2]),
    ("darkened, factor", "clipped_dark", 1, gain, [0.4, 0.2, 0.1]),
    ("brightened, factor", "clipped_bright", 1, gain, [1.5, 2.5, 4]),
    ("faded, factor", "contrast", -1, fade, [0.6, 0.3, 0.15]),
    ("noise, deviation", "noise", 1, add_noise, [5, 10, 20]),
]
JPEG_SIDES = [400, 512, 720, 1080]
JPEG_QUALITIES = [60, 40, 25, 12]


def load(folder):
    photos, unread = {}, 0
    for file in sorted(folder.iterdir()):
        try:
            photos[file.name] = open_photo(file)
        except (UnidentifiedImageError, OSError):
            unread += 1
    return photos, unread


def row(scorer, name, label, scores, before, direction):
    values = np.array(scores)[:, scorer.labels.index(label)]
    low, middle, high = np.percentile(values, [5, 50, 95])
    flagged = scorer.flags(label, values).mean()
    moved = ""
    if before is not None:
        previous = np.array(before)[:, scorer.labels.index(label)]
        moved = f"{((values - previous) * direction >= 0).mean():.0%}"
    print(f"| {label} | {name} | {low:.3f} | {middle:.3f} | {high:.3f} | {flagged:.0%} | {moved} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    folder = parser.parse_args().photos
    scorer = Scorer()
    photos, unread = load(folder)
    if not photos:
        raise SystemExit(f"no photos in {folder}")
    sides = [min(photo.size) for photo in photos.values()]
    print(
        f"{len(photos)} photos, shorter sides {min(sides)} to {max(sides)} pixels, median", end=" "
    )
    print(f"{np.median(sides):.0f}; {unread} other files\n")

    print("| score | photos | 5 % | median | 95 % | flagged | moved as it should |")
    print("|---|---|---|---|---|---|---|")
    whole = [scorer.score(photo) for photo in photos.values()]
    fitted = [scorer.fit(photo) for photo in photos.values()]
    for name, label, direction, degrade, strengths in SERIES:
        row(scorer, "as they are", label, whole, None, direction)
        before = whole
        for strength in strengths:
            scores = [scorer.score(degrade(strength)(photo)) for photo in fitted]
            row(scorer, f"{name} {strength}", label, scores, before, direction)
            before = scores
    row(scorer, "as they are", "blockiness", whole, None, 1)
    for side in JPEG_SIDES:
        large = [photo for photo in photos.values() if min(photo.size) >= side]
        if not large:
            continue
        before = None
        for quality in JPEG_QUALITIES:
            scores = [scorer.score(compress(side, quality)(photo)) for photo in large]
            name = f"{len(large)} as JPEG {quality} at {side} pixels"
            row(scorer, name, "blockiness", scores, before, 1)
            before = scores


if __name__ == "__main__":
    main()
