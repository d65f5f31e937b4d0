"""Pictures of our own: the pool of the tiny configuration, golden examples, contact sheets."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .pool import MANIFEST

OVERSAMPLING = 2
SIZES = [(640, 480), (480, 640), (640, 427), (640, 640)]


def scene(rng, width, height):
    """A drawn picture full of small sharp things: a landscape, a table or goods on white."""
    draw = [landscape, table, goods][rng.choice(3, p=[0.5, 0.3, 0.2])]
    large = draw(rng, width * OVERSAMPLING, height * OVERSAMPLING)
    pixels = np.asarray(large.resize((width, height), Image.Resampling.BOX), np.float32)
    grain = rng.normal(0, 0.6, pixels.shape)
    return Image.fromarray(np.clip(pixels + grain, 0, 255).round().astype(np.uint8))


def write_pool(folder, count=48, origins=12, seed=0):
    """Writes `count` scenes and their manifest to `folder`, once."""
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        name, (width, height) = f"drawn-{index:03}.png", SIZES[index % len(SIZES)]
        scene(rng, width, height).save(folder / name, compress_level=1)
        rows.append(
            {
                "file": name,
                "origin": f"drawn/{index % origins}",
                "natural_text": "no-seen",
                "kind": "photo",
                "laplacian_var": 500,
                "downscale": 2,
            }
        )
    with (folder / MANIFEST).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def color(rng, low=30, high=225):
    return tuple(int(v) for v in rng.integers(low, high, 3))


def gradient(w, h, top, bottom):
    share = np.linspace(0, 1, h)[:, None, None]
    rows = np.array(top, float) * (1 - share) + np.array(bottom, float) * share
    return Image.fromarray(np.repeat(rows, w, axis=1).round().astype(np.uint8))


def landscape(rng, w, h):
    """Sky, hills, trees, a house, grass."""
    image = gradient(w, h, color(rng, 90, 200), color(rng, 170, 250))
    draw = ImageDraw.Draw(image)
    ground = rng.uniform(0.5, 0.7) * h
    for _ in range(3):
        places = np.linspace(0, w, 60)
        phases = rng.uniform(0, 6, 4)
        ridge = sum(np.sin(places / w * 5 * (k + 1) + phases[k]) / (k + 1) for k in range(4))
        line = ground - (0.06 + 0.1 * rng.random()) * h * (1.5 + ridge)
        draw.polygon([(0, h), *zip(places, line), (w, h)], fill=color(rng, 40, 160))
    draw.rectangle([0, ground, w, h], fill=color(rng, 60, 170))
    for _ in range(rng.integers(20, 70)):
        tree(
            rng,
            draw,
            rng.uniform(0, w),
            ground + rng.uniform(-0.02, 0.08) * h,
            rng.uniform(0.08, 0.3) * h,
        )
    house(rng, draw, rng.uniform(0.1, 0.6) * w, ground, rng.uniform(0.2, 0.35) * w)
    for _ in range(1500):
        x, y = rng.uniform(0, w), rng.uniform(ground / h + 0.03, 1) * h
        tall = 0.12 * (y - 0.8 * ground)
        draw.line(
            [(x, y), (x + rng.uniform(-0.4, 0.4) * tall, y - tall)],
            fill=color(rng, 30, 200),
            width=2,
        )
    return image


def tree(rng, draw, x, foot, tall):
    shade = color(rng, 15, 130)
    for step in range(5):
        top, base = foot - tall * (1 - step / 6), foot - tall * (0.75 - step / 6)
        spread = 0.06 * tall * (step + 2)
        draw.polygon([(x, top), (x - spread, base), (x + spread, base)], fill=shade)


def house(rng, draw, left, foot, wide):
    top, right, wall = foot - 0.6 * wide, left + wide, color(rng, 130, 245)
    draw.rectangle([left, top, right, foot], fill=wall)
    joint = tuple(int(v * 0.8) for v in wall)
    for row in range(14):
        y = top + (foot - top) * row / 14
        draw.line([(left, y), (right, y)], fill=joint, width=2)
    draw.polygon(
        [
            (left - 0.06 * wide, top),
            (left + wide / 2, top - 0.4 * wide),
            (right + 0.06 * wide, top),
        ],
        fill=color(rng, 30, 140),
    )
    for place in (0.15, 0.65):
        x = left + place * wide
        draw.rectangle(
            [x, top + 0.15 * wide, x + 0.2 * wide, top + 0.38 * wide],
            fill=color(rng, 10, 70),
            outline=(240, 240, 235),
            width=6,
        )


def table(rng, w, h):
    """Balls and boxes on a cloth before a papered wall."""
    image = gradient(w, h, color(rng, 60, 220), color(rng, 60, 220))
    draw = ImageDraw.Draw(image)
    stripe = color(rng, 60, 220)
    step = rng.uniform(0.03, 0.08) * w
    for k in range(int(w / step) + 1):
        draw.line([(k * step, 0), (k * step, 0.6 * h)], fill=stripe, width=int(rng.integers(2, 8)))
    edge = rng.uniform(0.5, 0.65) * h
    draw.rectangle([0, edge, w, h], fill=color(rng, 80, 220))
    thread = color(rng, 60, 200)
    for k in range(60):
        y = edge + (h - edge) * (k / 60) ** 1.6
        draw.line([(0, y), (w, y)], fill=thread, width=2)
    for _ in range(rng.integers(4, 9)):
        thing(
            rng,
            image,
            rng.uniform(0.1, 0.9) * w,
            rng.uniform(0.5, 0.85) * h,
            rng.uniform(0.06, 0.16) * w,
        )
    return image


def goods(rng, w, h):
    """One to three things on a white ground."""
    image = Image.new("RGB", (w, h), (255, 255, 255))
    for _ in range(rng.integers(1, 4)):
        thing(
            rng,
            image,
            rng.uniform(0.35, 0.65) * w,
            rng.uniform(0.35, 0.65) * h,
            rng.uniform(0.12, 0.25) * w,
        )
    return image


def thing(rng, image, x, y, radius):
    """A shaded ball or a patterned box."""
    draw, tone = ImageDraw.Draw(image), np.array(color(rng, 40, 240), float)
    if rng.random() < 0.5:
        for k in range(24):
            share = 1 - k / 24
            middle = (x - 0.35 * radius * k / 24, y - 0.4 * radius * k / 24)
            fill = tuple(int(v) for v in np.clip(tone * (0.35 + 0.045 * k), 0, 255))
            draw.ellipse(
                [
                    middle[0] - radius * share,
                    middle[1] - radius * share,
                    middle[0] + radius * share,
                    middle[1] + radius * share,
                ],
                fill=fill,
            )
        return
    draw.rectangle(
        [x - radius, y - radius, x + radius, y + radius],
        fill=tuple(int(v) for v in tone),
        outline=(25, 25, 25),
        width=4,
    )
    for k in range(1, 8):
        offset = -radius + 2 * radius * k / 8
        draw.line(
            [(x - radius, y + offset), (x + radius, y + offset)],
            fill=color(rng),
            width=int(rng.integers(2, 10)),
        )
