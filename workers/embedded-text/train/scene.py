"""Text that belongs to the scene: on a sign, printed on a thing, on a page. The hard negative.

It has the same words and fonts as what `write` pastes; what differs is how it got there. It lies
on a surface in perspective, takes the light and the texture of that surface, and goes through the
same lens: blur and noise are laid on the text and its surface together.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from fonts import FontSet
from texts import compose_lines, pick_script
from write import Stencil, block_stencil, random_color

# Em of the text as a share of the picture's height.
EM_SHARES = (0.03, 0.25)


def inscribe(
    picture: Image.Image, fonts: FontSet, rng: np.random.Generator
) -> tuple[Image.Image, np.ndarray]:
    """The picture with text in its scene: signs, prints on what is there, or a whole page; and
    where that is (0..1 per pixel)."""
    kind = rng.random()
    if kind < 0.12:
        picture, mask = _page(picture, fonts, rng)
        return _seen_by_a_lens(picture, None, rng), np.asarray(mask, np.float32) / 255.0
    place = _sign if kind < 0.7 else _print
    mask = Image.new("L", picture.size)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))):
        picture, touched = place(picture, fonts, rng)
        mask.paste(255, (0, 0), touched)
    return _seen_by_a_lens(picture, mask, rng), np.asarray(mask, np.float32) / 255.0


def _sign(picture: Image.Image, fonts: FontSet, rng: np.random.Generator):
    """A board, plate or label with its own colour, border and text, set into the picture."""
    stencil = _block(picture, fonts, rng, rng.choice(["plain", "outline"]))
    margin = round(stencil.glyphs.height * rng.uniform(0.1, 0.6))
    size = (stencil.glyphs.width + 2 * margin, stencil.glyphs.height + 2 * margin)
    board, ink = random_color(rng), random_color(rng)
    if np.abs(board - ink).mean() < 60:
        ink = np.full(3, 0.0 if board.mean() > 127 else 255.0, np.float32)
    face = Image.new("RGB", size, tuple(int(v) for v in board))
    if rng.random() < 0.5:
        ring = max(1, margin // 4)
        color = tuple(int(v) for v in (ink if rng.random() < 0.7 else random_color(rng)))
        ImageDraw.Draw(face).rectangle(
            (ring, ring, size[0] - ring, size[1] - ring), outline=color, width=ring
        )
    face.paste(tuple(int(v) for v in ink), (margin, margin), stencil.glyphs)
    face = _lit(face, rng)
    shape = Image.new("L", size, 255)
    if rng.random() < 0.3:
        shape = Image.new("L", size)
        ImageDraw.Draw(shape).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), margin, fill=255)
    quad = _quad(size, picture.size, rng)
    picture = picture.copy()
    mask = _warped(shape, quad, picture.size)
    picture.paste(_warped(face, quad, picture.size), (0, 0), mask)
    return picture, mask


def _print(picture: Image.Image, fonts: FontSet, rng: np.random.Generator):
    """Ink on what is already there: it bends with the surface and keeps its light and texture."""
    stencil = _block(picture, fonts, rng, "plain")
    quad = _quad(stencil.glyphs.size, picture.size, rng)
    mask = _bent(_warped(stencil.glyphs, quad, picture.size), rng)
    box = mask.getbbox()
    if box is None:
        return picture, mask
    pixels = np.asarray(picture.crop(box), np.float32)
    grey = pixels.mean(2, keepdims=True)
    light = grey / max(float(grey.mean()), 8.0)
    alpha = np.asarray(mask.crop(box), np.float32)[..., None] / 255.0 * rng.uniform(0.5, 0.9)
    ink = 0.7 * random_color(rng) + 0.3 * pixels.mean((0, 1))
    if np.abs(ink - pixels.mean((0, 1))).mean() < 50:
        ink = np.full(3, 35.0 if grey.mean() > 127 else 205.0, np.float32)
    inked = pixels + (np.clip(ink * light ** rng.uniform(0.6, 1.1), 0, 255) - pixels) * alpha
    picture = picture.copy()
    picture.paste(Image.fromarray(np.clip(inked, 0, 255).astype(np.uint8)), box)
    return picture, _warped(stencil.region, quad, picture.size)


def _page(picture: Image.Image, fonts: FontSet, rng: np.random.Generator):
    """A printed page, label or receipt that fills most of the picture."""
    width, height = picture.size
    paper = Image.new("RGB", picture.size, tuple(int(v) for v in 255 - rng.uniform(0, 45, 3)))
    em = max(9, round(height * rng.uniform(0.025, 0.08)))
    script = pick_script(list(fonts.by_script), rng)
    face = fonts.pick(script, rng)
    font, heading = face.at(em), face.at(round(em * 1.7))
    draw, ink = ImageDraw.Draw(paper), tuple(int(v) for v in rng.uniform(0, 90, 3))
    left, top = round(width * rng.uniform(0.02, 0.2)), round(height * rng.uniform(0.0, 0.15))
    while top < height:
        line = "  ".join(
            word for _ in range(2) for word in compose_lines(script, rng, face.has_digits)
        )
        used = heading if rng.random() < 0.12 else font
        draw.text((left, top), line, font=used, fill=ink)
        top += round(used.size * rng.uniform(1.15, 1.9))
    quad = _quad(paper.size, picture.size, rng, fill=rng.uniform(0.75, 1.25))
    mask = _warped(Image.new("L", paper.size, 255), quad, picture.size)
    page = picture.copy()
    page.paste(_warped(_lit(paper, rng), quad, picture.size), (0, 0), mask)
    return page, mask


def _block(picture: Image.Image, fonts: FontSet, rng: np.random.Generator, style: str) -> Stencil:
    script = pick_script(list(fonts.by_script), rng)
    em = max(10, round(picture.height * np.exp(rng.uniform(*np.log(EM_SHARES)))))
    face = fonts.pick(script, rng)
    for _ in range(6):
        stencil = block_stencil(
            compose_lines(script, rng, face.has_digits), face.at(em), str(style), "center"
        )
        if (
            stencil.glyphs.width < 0.9 * picture.width
            and stencil.glyphs.height < 0.9 * picture.height
        ):
            break
        em = max(10, int(em * 0.75))
    return stencil


def _quad(size, canvas, rng: np.random.Generator, fill: float | None = None) -> np.ndarray:
    """Four corners on the canvas: a turned rectangle of `size` under perspective."""
    half = np.array(size, float) / 2 * (fill or 1.0)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    turn = np.radians(rng.normal(0, 7))
    corners = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    slant = np.clip(rng.normal(0, 0.12, 2), -0.3, 0.3)
    depth = 1 + (corners / np.abs(corners).max(0)) @ slant
    corners = corners / depth[:, None] * np.array([rng.uniform(0.65, 1.0), rng.uniform(0.8, 1.0)])
    reach = np.abs(corners).max(0)
    room = np.maximum(np.array(canvas) / 2 - reach, 0)
    return corners + np.array(canvas) / 2 + rng.uniform(-1, 1, 2) * room


def _warped(flat: Image.Image, quad: np.ndarray, canvas: tuple[int, int]) -> Image.Image:
    """`flat` with its corners on `quad`, black around it."""
    width, height = flat.size
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, source):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    map_back = np.linalg.solve(np.array(rows), np.array(values))
    return flat.transform(
        canvas, Image.Transform.PERSPECTIVE, tuple(map_back), Image.Resampling.BICUBIC
    )


def _bent(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Rows and columns shifted along slow waves, as cloth or a bottle does."""
    pixels = np.asarray(mask)
    height, width = pixels.shape
    swing, length, phase = (
        rng.uniform(0.005, 0.03) * height,
        rng.uniform(0.3, 1.0) * width,
        rng.uniform(0, 6.3),
    )
    shift = np.rint(swing * np.sin(np.arange(width) / length * 6.3 + phase)).astype(int)
    rows = np.clip(np.arange(height)[:, None] + shift[None], 0, height - 1)
    return Image.fromarray(pixels[rows, np.arange(width)[None]])


def _lit(face: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light that falls off over the surface, a grain of its own, and never full contrast."""
    pixels = np.asarray(face, np.float32)
    height, width = pixels.shape[:2]
    across, down = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    slope = rng.uniform(-0.3, 0.3, 2)
    light = rng.uniform(0.5, 1.0) * (1 + slope[0] * across + slope[1] * down)
    coarse = rng.normal(0, rng.uniform(5, 40), (height // 3 + 1, width // 3 + 1))
    grain = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((width, height)))
    lit = (pixels * rng.uniform(0.75, 0.95) + rng.uniform(5, 30)) * light[..., None] + grain[
        ..., None
    ] * rng.uniform(0, 0.25)
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def _seen_by_a_lens(
    picture: Image.Image, mask: Image.Image | None, rng: np.random.Generator
) -> Image.Image:
    """Blur and noise over the text and its surroundings together; edges of the mask are softened."""
    sigma = rng.uniform(0.4, 1.6) * max(picture.size) / 640
    soft = np.array(picture.filter(ImageFilter.GaussianBlur(sigma)), np.float32)
    soft += rng.standard_normal(soft.shape, np.float32) * np.float32(rng.uniform(0.0, 5.0))
    seen = Image.fromarray(np.clip(soft, 0, 255).astype(np.uint8))
    if mask is None or rng.random() < 0.4:
        return seen
    around = mask.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.GaussianBlur(4))
    return Image.composite(seen, picture, around)
