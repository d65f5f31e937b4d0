"""Samples drawn once, kept in files, and served in another order and light each epoch.

Drawing costs more than learning from what was drawn, and folds and seeds of a cross-validation
can share it: a fold takes those samples whose photo is its own.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from augment import PART_WRITTEN, augment
from flota_training import drawings
from fonts import FontSet
from net import CELLS, EDGE_STEP, SIDE, STEP, Edges
from sample import KIND_SHARES, KINDS, Sample, make_sample, varied

# Raised when drawing changes, so that no samples of before are taken for those of now.
DRAWING = 3
# Photos in which text belongs to the scene are few and matter most.
NATURAL_TEXT_WEIGHT = 3.0
# What each evaluated photo is shown as.
EVALUATED = ("written",) * 4 + ("as it is", "plain", "scene", "decorated")
SAVED_EVERY = 250
# The indices of photos that are not of the pool, and of pictures that are no photos.
LABELLED, SCENE = -1, -2
SCENE_SIZE = (640, 480)


class Counts(NamedTuple):
    """How many samples are made of photos, and of drawn scenes."""

    photos: int
    scenes: int


@dataclass(frozen=True)
class Row:
    """A sample and what is known of it."""

    photo: int
    sample: Sample
    is_written: bool
    is_known: bool
    is_scene_known: bool


@dataclass(frozen=True)
class Drawn:
    """Samples in memory-mapped files, row by row."""

    pixels: np.ndarray
    edges: np.ndarray
    """What the part of the network that learns gets to see, per `EDGE_STEP` pixels."""
    cells: np.ndarray
    """Bytes: 255 for a cell that is all covered."""
    scene: np.ndarray
    """The same for text that was drawn into the scene."""
    boxes: np.ndarray
    written: np.ndarray
    known: np.ndarray
    """Whether it is known where text was pasted, which a person's label does not say."""
    scene_known: np.ndarray
    """Whether all text of the scene was drawn, so that its place is known."""
    photos: np.ndarray
    """The index of each sample's photo."""
    facts: list[dict]

    def rows_of(self, indices: set[int]) -> np.ndarray:
        """The rows whose photo is one of `indices`."""
        return np.nonzero(np.isin(self.photos, sorted(indices)))[0]


def draw_training(
    photos, labelled, fonts: FontSet, counts: Counts, seed: int, folder: Path, processes: int
) -> Drawn:
    """Samples of `photos`, those with text in the scene more often; then of drawn scenes; then those
    that a person labelled, as they are."""
    weights = np.array([NATURAL_TEXT_WEIGHT if has_text(photo) else 1.0 for photo in photos])
    shares = weights / weights.sum()

    def one(index: int) -> Row:
        rng = np.random.default_rng((seed, index))
        if index >= sum(counts):
            photo = labelled[index - sum(counts)]
            sample = make_sample(Image.fromarray(photo.pixels()), "plain", fonts, rng, crop=False)
            return Row(LABELLED, sample, photo.labels.get("text", 0.0) >= 0.5, False, False)
        if index >= counts.photos:
            place, has_own_text, photo = SCENE, False, drawings.scene(rng, *SCENE_SIZE)
        else:
            place = int(rng.choice(len(photos), p=shares))
            has_own_text, photo = has_text(photos[place]), None
        kind = str(rng.choice(KINDS, p=KIND_SHARES))
        photo = photo or varied(Image.fromarray(photos[place].pixels()), rng)
        sample = make_sample(photo, kind, fonts, rng)
        return Row(place, sample, sample.is_written, True, not has_own_text)

    said = [[photo.name, photo.labels] for photo in labelled]
    return _drawn(
        one,
        sum(counts) + len(labelled),
        folder,
        ("training", seed, counts, fonts.families(), _names(photos), said),
        processes,
    )


def draw_evaluation(photos, fonts: FontSet, seed: int, folder: Path, processes: int) -> Drawn:
    """Each photo as `EVALUATED` says; `as it is` neither cropped nor saved again."""

    def one(index: int) -> Row:
        rng = np.random.default_rng((seed, index, 1))
        place, kind = index // len(EVALUATED), EVALUATED[index % len(EVALUATED)]
        photo, is_left = Image.fromarray(photos[place].pixels()), kind == "as it is"
        sample = make_sample(photo, "plain" if is_left else kind, fonts, rng, crop=not is_left)
        sample.facts["kind"] = kind
        return Row(place, sample, sample.is_written, True, not has_text(photos[place]))

    count = len(photos) * len(EVALUATED)
    identity = ("evaluation", seed, fonts.families(), _names(photos))
    return _drawn(one, count, folder, identity, processes)


def has_text(photo) -> bool:
    """Whether text belongs to the scene of the photo."""
    return photo.natural_text in ("yes", "maybe")


class Epochs:
    """Batches of `rows`, shuffled and in another light each epoch, as the training loop takes them;
    with `part`, a square of so many cells out of each picture."""

    def __init__(self, drawn: Drawn, rows: np.ndarray, seed: int, part: int | None = None):
        self.drawn, self.rows, self.seed, self.part = drawn, rows, seed, part

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, epoch: int, size: int, workers: int) -> "Batches":
        """The batches of `epoch`; nothing is drawn, so that no `workers` are needed."""
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(self.rows)
        count = max(1, len(order) // size)
        parts = [np.sort(rows) for rows in np.array_split(order[: count * size], count)]
        return Batches(self.drawn, parts, rng, self.part)


@dataclass
class Batches:
    """An iteration over `batches` of rows: (edges, targets)."""

    drawn: Drawn
    batches: list[np.ndarray]
    rng: np.random.Generator
    part: int | None

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        for rows in self.batches:
            drawn = self.drawn
            cells = np.stack([drawn.cells[rows], drawn.scene[rows]], 1)
            if self.part:
                edges, cells = self.parts_of(rows, cells)
                written = cells[:, 0].max((1, 2)) > PART_WRITTEN * 255
            else:
                edges, written = drawn.edges[rows], drawn.written[rows]
            targets = {
                "cells": cells.astype(np.float32) / 255,
                "box": drawn.boxes[rows],
                "boxed": written.astype(np.float32),
                "written": written.astype(np.float32),
                "known": drawn.known[rows].astype(np.float32),
                "scene_known": drawn.scene_known[rows].astype(np.float32),
            }
            edges, targets = augment(edges.astype(np.float32), targets, self.rng)
            yield torch.from_numpy(edges), {
                name: torch.from_numpy(target) for name, target in targets.items()
            }

    def parts_of(self, rows: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A part of each picture, most often with some drawn text where there is any."""
        cut_edges, cut_cells = [], []
        ratio = STEP // EDGE_STEP
        for row, covered in zip(rows, cells):
            corner = self.rng.integers(0, CELLS - self.part + 1, 2)
            if self.rng.random() < 0.8 and covered.any():
                places = np.argwhere(covered.max(0) > PART_WRITTEN * 255)
                if len(places):
                    corner = places[self.rng.integers(len(places))] - self.rng.integers(
                        0, self.part, 2
                    )
            top, left = np.clip(corner, 0, CELLS - self.part)
            bottom, right = top + self.part, left + self.part
            cut_cells.append(covered[:, top:bottom, left:right])
            cut_edges.append(
                self.drawn.edges[row, :, top * ratio : bottom * ratio, left * ratio : right * ratio]
            )
        return np.stack(cut_edges), np.stack(cut_cells)


def edges_of(pixels: np.ndarray) -> np.ndarray:
    """What `Edges` makes of bytes of height x width x 3."""
    with torch.inference_mode():
        return Edges()(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)[0].numpy()


def edges_shape() -> tuple[int, int, int]:
    """Channels, height and width of the edges of a picture."""
    return Edges.CHANNELS, SIDE // EDGE_STEP, SIDE // EDGE_STEP


@dataclass
class Drawing(Dataset):
    """Rows and their edges, as processes of their own make them."""

    one: Callable[[int], Row]

    def __getitem__(self, index: int) -> tuple[Row, np.ndarray]:
        row = self.one(index)
        return row, edges_of(row.sample.pixels)


def _names(photos) -> list[str]:
    return [photo.name for photo in photos]


def _drawn(one, count: int, folder: Path, identity: tuple, processes: int) -> Drawn:
    """The samples of `identity`, drawn where the files of an earlier run do not have them yet."""
    digest = hashlib.sha256(json.dumps([DRAWING, SIDE, count, *identity]).encode()).hexdigest()[:16]
    place = folder / f"{identity[0]}-{digest}"
    place.mkdir(parents=True, exist_ok=True)
    shapes = {
        "pixels": ((SIDE, SIDE, 3), np.uint8),
        "edges": (edges_shape(), np.float16),
        "cells": ((CELLS, CELLS), np.uint8),
        "scene": ((CELLS, CELLS), np.uint8),
        "boxes": ((4,), np.float32),
        "written": ((), bool),
        "known": ((), bool),
        "scene_known": ((), bool),
        "photos": ((), np.int32),
    }
    columns = {
        name: _column(place / f"{name}.bin", count, shape, kind)
        for name, (shape, kind) in shapes.items()
    }
    log = place / "facts.json"
    facts = json.loads(log.read_text()) if log.is_file() else []
    missing = range(len(facts), count)
    rows = DataLoader(Drawing(one), batch_size=None, sampler=missing, num_workers=processes)
    bar = tqdm(rows, desc=f"drawing {identity[0]}", mininterval=2, leave=False)
    for index, (row, edges) in zip(missing, bar):
        sample = row.sample
        values = (
            sample.pixels,
            edges,
            np.rint(sample.cells * 255),
            np.rint(sample.scene * 255),
            sample.box,
            row.is_written,
            row.is_known,
            row.is_scene_known,
            row.photo,
        )
        for column, value in zip(columns.values(), values):
            column[index] = value
        facts.append(sample.facts)
        if len(facts) % SAVED_EVERY == 0 or len(facts) == count:
            log.write_text(json.dumps(facts))
    return Drawn(**columns, facts=facts)


def _column(file: Path, count: int, shape: tuple, kind) -> np.ndarray:
    mode = "r+" if file.is_file() else "w+"
    return np.memmap(file, kind, mode, shape=(count, *shape))
