"""Pictures of our own for golden examples and for the sheet of mistakes: no photographs."""

import numpy as np
from PIL import Image

from flota_training import drawings
from fonts import FontSet, built_in
from net import SIDE
from scene import inscribe
from shapes import decorate
from write import block_stencil, write

SEED = 20
COLORS = 48


def golden_pictures():
    """Name to picture, with Pillow's own font, so that they look the same wherever they are made. All
    but the tall one are as large as the network's input, so that nobody has to resize them."""
    fonts, rng = built_in(), np.random.default_rng(SEED)
    scenes = [
        drawings.scene(np.random.default_rng((SEED, index)), SIDE, SIDE) for index in range(6)
    ]
    found = {
        "plain": scenes[0],
        "phone": _stamped(scenes[1], "+49 151 2345678", 0.1, (0.05, 0.85), (255, 255, 255), 1.0),
        "price": _stamped(scenes[2], "1 250 EUR", 0.2, (0.1, 0.1), (220, 30, 30), 1.0),
        "watermark": _stamped(scenes[3], "www.shop.com", 0.14, (0.1, 0.45), (255, 255, 255), 0.45),
        "sign": inscribe(scenes[4], fonts, rng)[0],
        "decorated": decorate(scenes[5], rng),
        "tall": drawings.scene(np.random.default_rng((SEED, 9)), 135, 240),
    }
    # Fewer colours make smaller files.
    return {name: picture.quantize(COLORS).convert("RGB") for name, picture in found.items()}


def mistakes(answer, fonts: FontSet, count: int, listed: int):
    """The `listed` worst of `count` drawn pictures, with what was said of them as caption."""
    found = []
    for index in range(count):
        rng = np.random.default_rng((SEED, index, 1))
        kind = ("written", "scene", "written", "decorated")[index % 4]
        scene = drawings.scene(rng, 640, 480)
        if kind == "written":
            writing = write(scene, fonts, rng)
            picture, fact = (
                writing.picture,
                f"{writing.style}, em {writing.em_share:.2f}, opacity {writing.opacity:.2f}",
            )
        else:
            picture, fact = (
                (inscribe(scene, fonts, rng)[0], "")
                if kind == "scene"
                else (decorate(scene, rng), "")
            )
        text = float(answer([picture])[0, 0])
        fault = 1 - text if kind == "written" else text
        found.append((fault, picture, f"{kind}: {text:.2f}\n{fact}"))
    found.sort(key=lambda one: -one[0])
    return [(picture, caption) for _, picture, caption in found[:listed]]


def _stamped(
    scene: Image.Image, line: str, em_share: float, place, color, opacity: float
) -> Image.Image:
    font = next(iter(built_in().by_script["latin"].values()))[0].at(round(em_share * scene.height))
    glyphs = block_stencil([line], font, "plain").glyphs.point(lambda level: int(level * opacity))
    stamped = scene.copy()
    stamped.paste(color, (round(place[0] * scene.width), round(place[1] * scene.height)), glyphs)
    return stamped
