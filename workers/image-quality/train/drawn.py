"""Drawn pictures: the golden examples, and the tiles of the contact sheet."""

from dataclasses import replace

import numpy as np
from PIL import Image

from degrade import AXES, SIDE, degrade, draw_recipe
from flota_training.drawings import landscape, scene
from pictures import draw_severities

GOLDEN_SEED, GOLDEN_SEVERITY = 7, 0.75
# The grain of a sensor, in levels: without it a drawing is more even than any photo.
GRAIN = 2.5
SHEET_TILES = 12
# Strengths from which on a fault should be seen.
SEEN = 0.5


def golden_pictures(side):
    """A drawn landscape in grey as it is and with each axis strong, as large as the network sees
    it, and for the true `SIDE` one in colour that has to be reduced; name to picture."""
    size = (side, side * 5 // 8)
    large = landscape(np.random.default_rng(GOLDEN_SEED), *[2 * n for n in size])
    grey = large.convert("L").resize(size, Image.Resampling.BOX)
    noise = np.random.default_rng(GOLDEN_SEED).normal(0, GRAIN, grey.size[::-1])
    grey = Image.fromarray(np.clip(np.rint(np.asarray(grey) + noise), 0, 255).astype(np.uint8))
    pixels = np.asarray(grey.convert("RGB"))
    found = {"sharp": grey}
    if side == SIDE:
        found["large"] = large.resize((900, 562), Image.Resampling.BOX).quantize(128)
    for axis in AXES:
        # As large as the network sees it: resizers differ by a level, and one such picture is enough.
        recipe = replace(draw_recipe(np.random.default_rng(GOLDEN_SEED)), is_left_small=False)
        found[axis.replace("_", "-")] = Image.fromarray(
            degrade(pixels, {axis: GOLDEN_SEVERITY}, recipe)
        ).convert("L")
    return found


def worst(answer, scenes):
    """(picture, caption) of those of so many drawn scenes of which the network is most mistaken, the
    worst first."""
    mistakes = []
    for index in range(scenes):
        rng = np.random.default_rng((GOLDEN_SEED, index))
        severities = draw_severities(rng) if index % 2 else dict.fromkeys(AXES, 0.0)
        pixels = degrade(np.asarray(scene(rng, 640, 480)), severities, draw_recipe(rng))
        strengths = np.array(list(severities.values()))
        told = answer([pixels])[0][:-1]
        gaps = np.where(strengths == 0, told, np.where(strengths >= SEEN, 1 - told, 0))
        axis = int(gaps.argmax())
        made = [f"{name} {severity:.2f}" for name, severity in severities.items() if severity > 0]
        caption = f"{AXES[axis]} {told[axis]:.2f}\n" + (", ".join(made[:2]) or "as drawn")
        mistakes.append((float(gaps[axis]), index, Image.fromarray(pixels), caption))
    mistakes.sort(key=lambda mistake: mistake[:2], reverse=True)
    return [(picture, caption) for _, _, picture, caption in mistakes[:SHEET_TILES]]
