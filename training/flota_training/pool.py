"""The photos to learn from, and how they are kept apart."""

import csv
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MANIFEST = "MANIFEST.csv"
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}
# Decoded photos that stay in memory: a thousand of 640 x 480 are about 1 GB.
CACHED_PHOTOS = 1000
# Columns of a labelled CSV that say a label in other words, and what their words mean.
COLUMNS = {"quality": "good", "text": "pasted_text"}
ANSWERS = {"yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class Photo:
    """A photo and what is known of it; `None` where the manifest says nothing."""

    path: Path
    origin: str
    """The repository it came from: photos of one origin are never parted."""
    natural_text: str | None = None
    """`yes`, `maybe` or `no-seen`: whether text belongs to the scene."""
    kind: str = "photo"
    """`photo`, `product-cutout`, `document` or `screenshot`."""
    laplacian_var: float | None = None
    jpeg_quality: int | None = None
    downscale: float = 1.0
    """By how much the original was reduced; under 1.3 it may carry its own blur or blocks."""
    labels: dict = field(default_factory=dict, hash=False, compare=False)
    """What a person said of it, by label: 0 to 1. Empty for photos of the pool."""

    @property
    def name(self):
        return self.path.name

    def pixels(self):
        """The upright photo as rows of RGB bytes; not to be written to."""
        return decoded(self.path)


@lru_cache(CACHED_PHOTOS)
def decoded(path):
    pixels = np.asarray(upright(path))
    pixels.setflags(write=False)
    return pixels


def upright(path):
    """The picture as RGB, turned as it is meant to be seen."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def load_pool(folder):
    """The photos that `MANIFEST.csv` in `folder` lists; without one, every picture under `folder`,
    each sub-folder an origin of its own."""
    folder = Path(folder)
    manifest = folder / MANIFEST
    if manifest.is_file():
        with manifest.open(newline="") as file:
            photos = [listed(folder, row) for row in csv.DictReader(file)]
    else:
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        photos = [Photo(file, str(file.parent.relative_to(folder))) for file in files]
    if not photos:
        raise SystemExit(
            f"no photos in {folder}: neither {MANIFEST} nor {', '.join(sorted(SUFFIXES))}"
        )
    return photos


def listed(folder, row):
    number = lambda key: float(row[key]) if row.get(key) else None
    quality = number("jpeg_q_est")
    return Photo(
        path=folder / row["file"],
        origin=row["origin"].split("@")[0],
        natural_text=row.get("natural_text") or None,
        kind=row.get("kind") or "photo",
        laplacian_var=number("laplacian_var"),
        jpeg_quality=None if quality is None else int(quality),
        downscale=number("downscale") or 1.0,
    )


def load_labelled(file, labels):
    """Photos that a person labelled: a CSV with `file` (relative to the CSV), perhaps `origin` and
    `kind`, and any of `labels`, or the column that `COLUMNS` names for it, as 0 to 1, yes or no; an empty
    cell and any other word say nothing of that label. Of several rows of a file the first counts."""
    photos = {}
    with Path(file).open(newline="") as lines:
        reader = csv.DictReader(lines)
        columns = {label: COLUMNS.get(label, label) for label in labels}
        named = reader.fieldnames or []
        columns = {label: label if label in named else column for label, column in columns.items()}
        if "file" not in named or not set(columns.values()) & set(named):
            raise SystemExit(f"{file}: wanted columns: file, origin, {', '.join(labels)}")
        for row in reader:
            given = {label: number_of(row.get(column)) for label, column in columns.items()}
            path = Path(file).parent / row["file"]
            photo = Photo(
                path,
                row.get("origin") or f"labelled {path.parent.name}",
                kind={"cutout": "product-cutout"}.get(row.get("kind"), row.get("kind") or "photo"),
                labels={label: value for label, value in given.items() if value is not None},
            )
            photos.setdefault(path, photo)
    return list(photos.values())


def number_of(cell):
    """0 to 1, or nothing where the cell says nothing."""
    if cell in ANSWERS:
        return ANSWERS[cell]
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def with_labels(photos, labelled):
    """The photos, with the labels and the kind of the labelled ones of the same name; then those of no
    such name whose file is there."""
    by_name = {photo.name: photo for photo in labelled}
    found = [
        replace(photo, labels=by_name[photo.name].labels, kind=by_name[photo.name].kind)
        if photo.name in by_name
        else photo
        for photo in photos
    ]
    names = {photo.name for photo in photos}
    others = [photo for photo in labelled if photo.name not in names]
    there = [photo for photo in others if photo.path.is_file()]
    if len(there) < len(others):
        print(f"{len(others) - len(there)} labelled photos are not there, and left out")
    return found + there


def folds(photos, count, seed):
    """`count` lists of photos, about equally long, that share no origin."""
    groups = defaultdict(list)
    for photo in photos:
        groups[photo.origin].append(photo)
    origins = sorted(groups)
    np.random.default_rng(seed).shuffle(origins)
    parts = [[] for _ in range(count)]
    for origin in sorted(origins, key=lambda origin: -len(groups[origin])):
        min(parts, key=len).extend(groups[origin])
    return parts


def split(photos, share, seed):
    """(the rest, about `share` of the photos), which share no origin; the larger origins stay in
    the rest, so that the second part has many."""
    groups = defaultdict(list)
    for photo in photos:
        groups[photo.origin].append(photo)
    origins = sorted(groups)
    np.random.default_rng(seed).shuffle(origins)
    kept, aside = [], []
    for origin in origins:
        fits = len(aside) + len(groups[origin]) <= share * len(photos)
        (aside if fits else kept).extend(groups[origin])
    return kept, aside
