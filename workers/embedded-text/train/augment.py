"""More pictures out of those that were drawn: turned, in another light, cut into one another.

It works on edges, after which mirroring a picture is to exchange directions.
"""

import numpy as np

# A part of a picture counts as written when a cell of it is covered more than this.
PART_WRITTEN = 0.43
MIXED_SHARE = 0.3
# Side of the piece of another picture that is set into a picture, as shares of the side.
PIECE = (0.25, 0.8)
# Channels of `Edges` after a picture was mirrored left to right, and along its diagonal.
MIRRORED = [4, 1, 3, 2, 0, 5, 7, 6, *range(8, 16)]
TRANSPOSED = [1, 0, 2, 7, 5, 4, 6, 3, *range(8, 16)]


def augment(edges: np.ndarray, targets: dict, rng: np.random.Generator):
    """Edges and targets of a batch, changed: whole batches are turned, single pictures mixed."""
    if rng.random() < 0.5:
        edges, targets = _mirrored(edges, targets)
    if rng.random() < 0.3:
        edges, targets = _transposed(edges, targets)
        if rng.random() < 0.5:
            edges, targets = _mirrored(edges, targets)
    if rng.random() < MIXED_SHARE:
        edges, targets = _mixed(edges, targets, rng)
    count, channels = edges.shape[:2]
    gain = rng.uniform(0.75, 1.3, (count, 1, 1, 1)) * rng.uniform(0.9, 1.1, (count, channels, 1, 1))
    return edges * gain.astype(np.float32), targets


def _mirrored(edges: np.ndarray, targets: dict):
    left, top, right, bottom = targets["box"].T
    turned = {
        "cells": np.ascontiguousarray(targets["cells"][..., ::-1]),
        "box": np.stack([1 - right, top, 1 - left, bottom], 1),
    }
    return np.ascontiguousarray(edges[:, MIRRORED, :, ::-1]), targets | turned


def _transposed(edges: np.ndarray, targets: dict):
    turned = {
        "cells": np.ascontiguousarray(targets["cells"].swapaxes(2, 3)),
        "box": targets["box"][:, [1, 0, 3, 2]],
    }
    return np.ascontiguousarray(edges[:, TRANSPOSED].swapaxes(2, 3)), targets | turned


def _mixed(edges: np.ndarray, targets: dict, rng: np.random.Generator):
    """Into each picture a rectangle of the next one, at the same place; what is written then is
    what of the text is left."""
    cells, side = targets["cells"].copy(), targets["cells"].shape[-1]
    ratio = edges.shape[-1] // side
    other_edges, other_cells, edges = np.roll(edges, 1, 0), np.roll(cells, 1, 0), edges.copy()
    for index in range(len(edges)):
        high, wide = (max(1, round(share * side)) for share in rng.uniform(*PIECE, 2))
        top, left = rng.integers(0, side - high + 1), rng.integers(0, side - wide + 1)
        rows, columns = slice(top, top + high), slice(left, left + wide)
        cells[index, :, rows, columns] = other_cells[index, :, rows, columns]
        rows, columns = slice(top * ratio, (top + high) * ratio), slice(
            left * ratio, (left + wide) * ratio
        )
        edges[index, :, rows, columns] = other_edges[index, :, rows, columns]
    both = {name: targets[name] * np.roll(targets[name], 1) for name in ("known", "scene_known")}
    written = (cells[:, 0].max((1, 2)) > PART_WRITTEN).astype(np.float32)
    return edges, targets | both | {
        "cells": cells,
        "written": written,
        "boxed": np.zeros_like(written),
    }
