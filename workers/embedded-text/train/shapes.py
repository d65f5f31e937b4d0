"""Things that people paste and that are no text: frames, bars, badges, lines, gradients."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from write import random_color


def decorate(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture with one to three of them on top."""
    layer = Image.new("RGBA", picture.size)
    makers = (_frame, _bar, _badge, _lines, _gradient, _dots)
    for _ in range(int(rng.integers(1, 4))):
        makers[rng.integers(len(makers))](layer, rng)
    if rng.random() < 0.15:
        layer = layer.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2)))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def _ink(rng: np.random.Generator) -> tuple[int, int, int, int]:
    opacity = 255 if rng.random() < 0.6 else int(rng.uniform(70, 255))
    return (*(int(v) for v in random_color(rng)), opacity)


def _box(
    layer: Image.Image, rng: np.random.Generator, most: float = 0.5
) -> tuple[float, float, float, float]:
    width, height = layer.size
    wide, high = rng.uniform(0.03, most, 2) * layer.size
    left, top = rng.random() * (width - wide), rng.random() * (height - high)
    return left, top, left + wide, top + high


def _frame(layer: Image.Image, rng: np.random.Generator) -> None:
    inset, line = rng.integers(0, 15), int(rng.integers(1, 26))
    box = (inset, inset, layer.width - 1 - inset, layer.height - 1 - inset)
    ImageDraw.Draw(layer).rectangle(box, outline=_ink(rng), width=line)


def _bar(layer: Image.Image, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(layer)
    if rng.random() < 0.5:
        high = layer.height * rng.uniform(0.03, 0.2)
        top = rng.choice([0.0, layer.height - high])
        draw.rectangle((0, top, layer.width, top + high), fill=_ink(rng))
    else:
        draw.rounded_rectangle(_box(layer, rng), rng.uniform(0, 12), fill=_ink(rng))


def _badge(layer: Image.Image, rng: np.random.Generator) -> None:
    """A disc, star, cross, arrow or bow of shapes, as logos are made of."""
    draw, (left, top, right, bottom) = ImageDraw.Draw(layer), _box(layer, rng, 0.3)
    side = min(right - left, bottom - top)
    middle, reach = np.array([left + side / 2, top + side / 2]), side / 2
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.random()
        if kind < 0.35:
            draw.ellipse(
                (*(middle - reach), *(middle + reach)),
                fill=_ink(rng) if rng.random() < 0.5 else None,
                outline=_ink(rng),
                width=int(rng.integers(1, 6)),
            )
        else:
            count = int(rng.integers(3, 11))
            turns = np.arange(count) / count * 2 * np.pi + rng.random() * 6
            reaches = reach * np.where(np.arange(count) % 2, rng.uniform(0.3, 1), 1)
            points = middle + np.stack([np.cos(turns), np.sin(turns)], 1) * reaches[:, None]
            draw.polygon([tuple(point) for point in points], fill=_ink(rng))
        reach *= rng.uniform(0.4, 0.8)


def _lines(layer: Image.Image, rng: np.random.Generator) -> None:
    draw, ink, line = ImageDraw.Draw(layer), _ink(rng), int(rng.integers(1, 6))
    for _ in range(int(rng.integers(1, 5))):
        ends = rng.random((2, 2)) * layer.size
        if rng.random() < 0.6:
            ends[1, rng.integers(2)] = ends[0, 0]
        draw.line([tuple(end) for end in ends], fill=ink, width=line)


def _gradient(layer: Image.Image, rng: np.random.Generator) -> None:
    high = max(2, int(layer.height * rng.uniform(0.1, 0.5)))
    ramp = np.linspace(0, rng.uniform(80, 230), high)[:, None].repeat(layer.width, 1)
    is_top = rng.random() < 0.4
    alpha = Image.fromarray((ramp[::-1] if is_top else ramp).astype(np.uint8))
    band = Image.new("RGBA", (layer.width, high), (*(int(v) for v in random_color(rng)), 0))
    band.putalpha(alpha)
    layer.alpha_composite(band, (0, 0 if is_top else layer.height - high))


def _dots(layer: Image.Image, rng: np.random.Generator) -> None:
    """A row of small marks: the rhythm of text without its letters."""
    draw, (left, top, right, _), ink = ImageDraw.Draw(layer), _box(layer, rng), _ink(rng)
    side = rng.uniform(3, 18)
    step = side * rng.uniform(1.2, 2.2)
    is_round = rng.random() < 0.5
    for at in np.arange(left, right, step):
        box = (at, top, at + side, top + side)
        draw.ellipse(box, fill=ink) if is_round else draw.rectangle(box, fill=ink)
