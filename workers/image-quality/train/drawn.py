"""Drawn pictures: the golden examples, and the tiles of the contact sheet."""

import numpy as np
from PIL import Image

from degrade import AXES, SIDE, degrade, draw_recipe
from flota_training.drawings import landscape, scene
from net import LABELS
from pairs import draw_severities, truth_of

GOLDEN_SEED, GOLDEN_SEVERITY = 7, 0.75
SHEET_TILES = 12


def golden_pictures(side):
    """A drawn landscape in grey as it is and with each axis strong, as large as the network sees
    it, and for the true `SIDE` one in colour that has to be reduced; name to picture."""
    size = (side, side * 5 // 8)
    large = landscape(np.random.default_rng(GOLDEN_SEED), *[2 * n for n in size])
    grey = large.convert("L").resize(size, Image.Resampling.BOX)
    pixels = np.asarray(grey.convert("RGB"))
    found = {"sharp": grey}
    if side == SIDE:
        found["large"] = large.resize((900, 562), Image.Resampling.BOX).quantize(128)
    for axis in AXES:
        recipe = draw_recipe(np.random.default_rng(GOLDEN_SEED))
        found[axis.replace("_", "-")] = Image.fromarray(
            degrade(pixels, {axis: GOLDEN_SEVERITY}, recipe)
        ).convert("L")
    return found


def worst(answer, scenes):
    """(picture, caption) of those of so many drawn scenes of which the network is most mistaken, the worst first."""
    mistakes = []
    for index in range(scenes):
        rng = np.random.default_rng((GOLDEN_SEED, index))
        severities = draw_severities(rng)[0]
        pixels = degrade(np.asarray(scene(rng, 640, 480)), severities, draw_recipe(rng))
        said, truth = answer([pixels])[0][:-1], np.array(truth_of(severities)[:-1])
        gaps = np.where((truth == 0) | (truth == 1), np.abs(said - truth), 0)
        label = int(gaps.argmax())
        wrong = f"{LABELS[label]} {said[label]:.2f}, is {truth[label]:.0f}"
        made = [f"{axis} {severity:.2f}" for axis, severity in severities.items() if severity > 0]
        mistakes.append(
            (
                float(gaps[label]),
                index,
                Image.fromarray(pixels),
                wrong + "\n" + (", ".join(made[:2]) or "as drawn"),
            )
        )
    mistakes.sort(key=lambda mistake: mistake[:2], reverse=True)
    return [(picture, caption) for _, _, picture, caption in mistakes[:SHEET_TILES]]
