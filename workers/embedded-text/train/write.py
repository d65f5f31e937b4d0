"""Writes text on a picture the way people do who have an image editor: flat, on top of it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from fonts import FontSet
from texts import compose_lines, pick_script

# Em of the text as a share of the picture's height; drawn evenly on a logarithmic scale.
EM_SHARES = (0.03, 0.25)
# Text is there to be read: its pixels change by so many levels in the mean, and by so many times
# the standard deviation of what they cover. Ink that fails is taken darker, lighter, more opaque.
LEGIBLE_LEVELS, LEGIBLE_DEVIATIONS = 36.0, 0.7
STYLES = ("plain", "outline", "shadow", "box")
STYLE_SHARES = (0.45, 0.18, 0.17, 0.20)


@dataclass(frozen=True)
class Writing:
    """What was written where: the picture, its covered region (0..1 per pixel) and the facts."""

    picture: Image.Image
    region: np.ndarray
    em_share: float
    opacity: float
    angle: float
    script: str
    style: str


@dataclass(frozen=True)
class Stencil:
    """Greyscale masks of one block of lines, all of one size."""

    glyphs: Image.Image
    outline: Image.Image
    shadow: Image.Image
    region: Image.Image

    def map(self, change) -> "Stencil":
        """The same change done to every mask."""
        return Stencil(*(change(m) for m in (self.glyphs, self.outline, self.shadow, self.region)))

    def bounds(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of all that is inked."""
        boxes = [
            box
            for m in (self.glyphs, self.outline, self.shadow, self.region)
            if (box := m.getbbox())
        ]
        lefts, tops, rights, bottoms = zip(*boxes) if boxes else ((0,), (0,), (1,), (1,))
        return min(lefts), min(tops), max(rights), max(bottoms)


def write(picture: Image.Image, fonts: FontSet, rng: np.random.Generator) -> Writing:
    """Writes one block of lines, or tiles the picture with it, always visibly."""
    width, height = picture.size
    script = pick_script(list(fonts.by_script), rng)
    style = str(rng.choice(STYLES, p=STYLE_SHARES))
    em_share = float(np.exp(rng.uniform(*np.log(EM_SHARES))))
    angle = _angle(rng)
    is_tiled = rng.random() < 0.08
    opacity = 1.0 if rng.random() < 0.55 and not is_tiled else float(rng.uniform(0.25, 1.0))
    stencil, em_share = _fitting(picture.size, fonts, script, style, em_share, angle, rng)
    places = (
        _tiles(stencil, width, height, rng) if is_tiled else [_place(stencil, width, height, rng)]
    )
    sheet = _laid_out(stencil, places, (width, height))
    written = np.array(picture)
    left, top, right, bottom = sheet.bounds()
    part = sheet.map(lambda m: m.crop((left, top, right, bottom)))
    under = written[top:bottom, left:right].astype(np.float32)
    written[top:bottom, left:right], opacity = _inked(under, part, style, opacity, rng)
    region = np.asarray(sheet.region, np.float32) / 255.0
    kind = "tiled" if is_tiled else style
    return Writing(Image.fromarray(written), region, em_share, opacity, angle, script, kind)


def block_stencil(lines: list[str], font, style: str, align: str = "left") -> Stencil:
    """The masks of `lines`: the region is the box, or the rectangles of the lines without one."""
    em = font.size
    stroke = max(1, round(em / 16)) if style == "outline" else 0
    boxes = [font.getbbox(line, stroke_width=stroke) for line in lines]
    pad = round(em * (0.35 if style == "box" else 0.15)) + stroke + 2
    step = round(em * 1.25)
    size = (
        int(max(box[2] - box[0] for box in boxes)) + 2 * pad,
        int(boxes[-1][3] - boxes[0][1]) + step * (len(lines) - 1) + 2 * pad,
    )
    masks = [Image.new("L", size) for _ in range(4)]
    glyphs, outline, shadow, region = (ImageDraw.Draw(mask) for mask in masks)
    if style == "box":
        region.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), round(em * 0.2), fill=255)
    for row, (line, box) in enumerate(zip(lines, boxes)):
        slack = size[0] - 2 * pad - (box[2] - box[0])
        left = pad - box[0] + {"left": 0, "center": slack / 2, "right": slack}[align]
        top = pad - boxes[0][1] + row * step
        glyphs.text((left, top), line, font=font, fill=255)
        if style == "outline":
            outline.text((left, top), line, font=font, fill=255, stroke_width=stroke)
        if style == "shadow":
            offset = max(1, round(em * 0.06))
            shadow.text((left + offset, top + offset), line, font=font, fill=255)
        if style != "box":
            region.rectangle((left + box[0], top + box[1], left + box[2], top + box[3]), fill=255)
    if style == "shadow":
        masks[2] = masks[2].filter(ImageFilter.GaussianBlur(em * 0.03))
    return Stencil(*masks)


def random_color(rng: np.random.Generator) -> np.ndarray:
    """White, black or anything, as 0..255."""
    kind = rng.random()
    if kind < 0.4:
        return np.full(3, 255.0 - 15.0 * rng.random(), np.float32)
    if kind < 0.55:
        return np.full(3, 30.0 * rng.random(), np.float32)
    return rng.integers(0, 256, 3).astype(np.float32)


def _angle(rng: np.random.Generator) -> float:
    kind = rng.random()
    if kind < 0.66:
        return 0.0
    if kind < 0.76:
        return float(rng.uniform(-10, 10))
    if kind < 0.93:
        return float(rng.uniform(-50, 50))
    return float(rng.choice([90.0, -90.0]))


def _fitting(size, fonts, script, style, em_share, angle, rng) -> tuple[Stencil, float]:
    """A block that fits into the picture: other words are tried before it is set smaller."""
    width, height = size
    align = str(rng.choice(["left", "center", "right"]))
    face = fonts.pick(script, rng)
    smallest = max(8, round(EM_SHARES[0] * height))
    em = max(smallest, round(em_share * height))
    for attempt in range(8):
        font = face.at(em)
        stencil = block_stencil(compose_lines(script, rng, face.has_digits), font, style, align)
        if angle:
            stencil = stencil.map(lambda m: m.rotate(angle, Image.Resampling.BICUBIC, expand=True))
        over = max(stencil.region.width / (0.98 * width), stencil.region.height / (0.98 * height))
        if over <= 1.0:
            break
        if attempt >= 2:
            em = max(smallest, int(em / min(over, 1.6)))
    return stencil, em / height


def _place(stencil: Stencil, width: int, height: int, rng: np.random.Generator) -> tuple[int, int]:
    """Anywhere, but more often along an edge, in a corner or in the middle."""

    def along(room: int) -> int:
        kind = rng.random()
        share = rng.choice([0.02, 0.5, 0.98]) if kind < 0.35 else rng.random()
        return round(max(0, room) * share)

    return along(width - stencil.region.width), along(height - stencil.region.height)


def _tiles(
    stencil: Stencil, width: int, height: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    step_x = round(stencil.region.width * rng.uniform(1.05, 1.8))
    step_y = round(stencil.region.height * rng.uniform(1.1, 2.5))
    shift = round(step_x * rng.choice([0.0, 0.5]))
    start = (-round(rng.random() * step_x), -round(rng.random() * step_y))
    rows = range(start[1], height, max(step_y, height // 14))
    return [
        (left - shift * (row % 2), top)
        for row, top in enumerate(rows)
        for left in range(start[0], width + shift, max(step_x, width // 10))
    ]


def _laid_out(stencil: Stencil, places: list[tuple[int, int]], size: tuple[int, int]) -> Stencil:
    def lay(mask: Image.Image) -> Image.Image:
        sheet = Image.new("L", size)
        for place in places:
            sheet.paste(255, place, mask)
        return sheet

    return stencil.map(lay)


def _inked(
    pixels: np.ndarray, sheet: Stencil, style: str, opacity: float, rng: np.random.Generator
):
    """The pixels with legible writing on them, and the opacity that this took."""
    ink, second, solidity = random_color(rng), random_color(rng), rng.uniform(0.5, 1.0)
    if np.abs(ink - second).mean() < 70:
        second = np.full(3, 0.0 if ink.mean() > 127 else 255.0, np.float32)
    glyphs = np.asarray(sheet.glyphs, np.float32)[..., None] / 255.0
    back = {"outline": sheet.outline, "shadow": sheet.shadow, "box": sheet.region}.get(style)
    for attempt in range(6):
        ground = pixels
        if back is not None:
            alpha = np.asarray(back, np.float32)[..., None] / 255.0
            ground = pixels + (second - pixels) * alpha * opacity * (
                solidity if style == "box" else 1.0
            )
        written = ground + (ink - ground) * glyphs * opacity
        if _is_legible(ground, written, glyphs):
            break
        ink = np.full(3, 0.0 if _mean(ground, glyphs) > 127 else 255.0, np.float32)
        opacity = opacity if attempt == 0 else min(1.0, opacity * 1.3)
    return np.clip(written + 0.5, 0, 255).astype(np.uint8), opacity


def _is_legible(ground: np.ndarray, written: np.ndarray, glyphs: np.ndarray) -> bool:
    grey = ground.mean(2, keepdims=True)
    deviation = np.sqrt(max(_mean(grey**2, glyphs) - _mean(grey, glyphs) ** 2, 0.0))
    return _mean(np.abs(written - ground), glyphs) >= max(
        LEGIBLE_LEVELS, LEGIBLE_DEVIATIONS * deviation
    )


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / max(weights.sum() * values.shape[2], 1.0))
