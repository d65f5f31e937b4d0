"""Draws golden/*.png and writes what ONNX Runtime says of them to golden/examples.json.

python golden.py
"""

import io
import json
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from scorer import FOLDER, Scorer, open_photo

SIDE = 512
OVERSAMPLING = 3
SEED = 7
# Scores of two engines on the same pixels differ by far less; a decoder or resizer that is off by
# one level here and there stays within.
TOLERANCE = 1e-3
SCORE_DECIMALS = 6


def scene(width, height):
    """A garden house between a wood and a field, grey, of many small sharp things."""
    random = np.random.default_rng(SEED)
    w, h = width * OVERSAMPLING, height * OVERSAMPLING
    image = Image.new("L", (w, h))
    draw = ImageDraw.Draw(image)
    for y in range(h):
        draw.line([(0, y), (w, y)], fill=round(225 - 60 * y / h))
    for _ in range(140):
        x, tall = random.uniform(0, w), random.uniform(0.15, 0.4) * h
        shade = int(random.uniform(30, 90))
        foot, half = 0.62 * h, 0.12 * tall
        for step in range(5):
            top, base = foot - tall * (1 - step / 6), foot - tall * (0.75 - step / 6)
            spread = half * (step + 2) / 4
            draw.polygon([(x, top), (x - spread, base), (x + spread, base)], fill=shade)
    draw.rectangle([0, 0.6 * h, w, h], fill=135)
    for _ in range(2600):
        x, y = random.uniform(0, w), random.uniform(0.6, 1) * h
        tall = 0.06 * (y - 0.5 * h)
        lean = math.sin(x / 90) * tall
        shade = int(random.uniform(85, 190))
        draw.line([(x, y), (x + lean, y - 3 * tall)], fill=shade, width=OVERSAMPLING)
    left, right, top, foot = 0.3 * w, 0.7 * w, 0.42 * h, 0.8 * h
    draw.rectangle([left, top, right, foot], fill=205)
    for row in range(16):
        y = top + (foot - top) * row / 16
        draw.line([(left, y), (right, y)], fill=165, width=OVERSAMPLING)
    draw.polygon([(left - 60, top), (w / 2, 0.2 * h), (right + 60, top)], fill=60)
    for x in (0.36 * w, 0.57 * w):
        draw.rectangle([x, 0.5 * h, x + 0.08 * w, 0.62 * h], fill=35, outline=240, width=9)
    draw.rectangle([0.47 * w, 0.56 * h, 0.54 * w, foot], fill=75)
    return image.resize((width, height), Image.Resampling.BOX)


def levels(change):
    """An image of the scene's levels, changed."""
    whole = np.asarray(scene(SIDE, SIDE), dtype=np.float32)
    return Image.fromarray(np.clip(change(whole), 0, 255).round().astype(np.uint8))


def noisy():
    signs = np.random.default_rng(SEED).choice([-14, 14], (SIDE, SIDE))
    return levels(lambda whole: whole * 0.5 + 60 + signs)


def blocky():
    file = io.BytesIO()
    scene(SIDE, SIDE).save(file, "JPEG", quality=8)
    return Image.open(file).convert("L")


def tinted():
    """Wider than high and larger than the network's input, so that it is resized and cropped."""
    wide = scene(720, 540).filter(ImageFilter.GaussianBlur(1))
    ramp = np.linspace(0.6, 1, 256)
    return Image.merge("RGB", [wide, wide.point([round(v * s) for v, s in enumerate(ramp)]), wide])


PICTURES = {
    "sharp": lambda: scene(SIDE, SIDE),
    "blurred": lambda: scene(SIDE, SIDE).filter(ImageFilter.GaussianBlur(4)),
    "dark": lambda: levels(lambda whole: whole * 0.25 - 25),
    "bright": lambda: levels(lambda whole: whole * 2.2),
    "faded": lambda: levels(lambda whole: whole * 0.12 + 110),
    "noisy": noisy,
    "blocky": blocky,
    "wide": tinted,
}


def example(scorer, name):
    image = f"golden/{name}.png"
    scores = scorer.score(open_photo(FOLDER / image))
    listed = [
        {
            "label": label,
            "index": index,
            "score": round(float(score), SCORE_DECIMALS),
            "flagged": bool(scorer.flags(label, score)),
        }
        for index, (label, score) in enumerate(zip(scorer.labels, scores))
    ]
    return {"image": image, "output": {"kind": "regression", "scores": listed}}


def main():
    scorer = Scorer()
    (FOLDER / "golden").mkdir(exist_ok=True)
    examples = []
    for name, draw in PICTURES.items():
        draw().save(FOLDER / "golden" / f"{name}.png", optimize=True)
        examples.append(example(scorer, name))
        scores = examples[-1]["output"]["scores"]
        flagged = [entry["label"] for entry in scores if entry["flagged"]]
        print(f"{name}: {', '.join(flagged) or 'nothing flagged'}")
    document = {"tolerance": TOLERANCE, "examples": examples}
    (FOLDER / "golden" / "examples.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
