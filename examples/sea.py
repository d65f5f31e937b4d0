"""Scenes by the sea."""

import numpy as np

from canvas import Canvas


def harbour(width, height):
    """Boats before hills at noon."""
    c = Canvas(width, height, 1)
    c.gradient(0, 0.55, [(86, 142, 205), (150, 190, 225), (226, 226, 214)])
    c.blend((250, 250, 250), np.clip(c.clouds(7, 2.2) - 0.55, 0, 1) * 2.2)
    c.ridge(0.55, 0.2, (112, 136, 150), 1.0)
    c.ridge(0.56, 0.12, (74, 104, 92), 1.6)
    for _ in range(60):
        x, y = c.random.uniform(0, 1), c.random.uniform(0.49, 0.54)
        size = c.random.uniform(0.008, 0.02)
        wall = tuple(int(v) for v in c.random.uniform(170, 250, 3))
        c.draw.rectangle(c.at((x, y - size), (x + size, 0.56)), fill=wall)
        roof = c.at(
            (x - 0.003, y - size), (x + size / 2, y - 1.8 * size), (x + size + 0.003, y - size)
        )
        c.draw.polygon(roof, fill=(158, 74, 52))
        c.draw.rectangle(
            c.at((x + size * 0.4, y - 0.6 * size), (x + size * 0.6, y)), fill=(50, 50, 60)
        )
    c.gradient(0.56, 1, [(96, 140, 168), (38, 84, 118), (18, 48, 78)])
    for _ in range(2600):
        y = 0.565 + 0.435 * c.random.random() ** 1.4
        x, near = c.random.uniform(-0.05, 1), (y - 0.55) / 0.45
        length = 0.01 + 0.05 * near * c.random.random()
        light = int(c.random.uniform(-26, 46))
        base = c.image.getpixel((round(min(max(x, 0), 0.99) * c.w), round(min(y, 0.99) * c.h)))
        color = tuple(max(0, min(255, v + light)) for v in base)
        c.draw.line(
            c.at((x, y), (x + length, y + 0.002)), fill=color, width=c.width(0.001 + 0.002 * near)
        )
    for x, y, size, hull in [
        (0.2, 0.66, 0.1, (176, 44, 40)),
        (0.72, 0.62, 0.07, (30, 78, 110)),
        (0.52, 0.82, 0.17, (236, 232, 220)),
    ]:
        sail_boat(c, x, y, size, hull)
    return c.finish()


def sail_boat(c, x, y, size, hull):
    c.draw.ellipse(c.at((x - size, y), (x + size, y + 0.3 * size)), fill=(16, 44, 66))
    mast = y - 2.1 * size
    c.draw.polygon(
        c.at(
            (x + 0.05 * size, mast),
            (x + 0.05 * size, y - 0.2 * size),
            (x + 0.8 * size, y - 0.25 * size),
        ),
        fill=(248, 244, 232),
    )
    c.draw.polygon(
        c.at(
            (x - 0.05 * size, mast + 0.2 * size),
            (x - 0.05 * size, y - 0.2 * size),
            (x - 0.6 * size, y - 0.2 * size),
        ),
        fill=(222, 214, 196),
    )
    c.draw.line(c.at((x, mast), (x, y)), fill=(70, 52, 40), width=c.width(0.004))
    c.draw.polygon(
        c.at(
            (x - size, y - 0.15 * size),
            (x + 1.1 * size, y - 0.2 * size),
            (x + 0.75 * size, y + 0.18 * size),
            (x - 0.75 * size, y + 0.18 * size),
        ),
        fill=hull,
    )
    c.draw.line(
        c.at((x - size, y - 0.13 * size), (x + 1.08 * size, y - 0.18 * size)),
        fill=(250, 250, 246),
        width=c.width(0.004),
    )
    c.draw.line(
        c.at((x, mast), (x + size, y - 0.2 * size)), fill=(90, 80, 70), width=c.width(0.0015)
    )


def lighthouse(width, height):
    """A striped tower on a rock in a rough sea; higher than wide."""
    c = Canvas(width, height, 5)
    c.gradient(0, 0.66, [(70, 96, 140), (140, 162, 186), (220, 214, 200)])
    c.blend((240, 240, 240), np.clip(c.clouds(7, 1.6) - 0.45, 0, 1) * 1.9)
    c.gradient(0.66, 1, [(74, 110, 122), (28, 60, 74)])
    for _ in range(1500):
        x, y = c.random.uniform(-0.05, 1), c.random.uniform(0.67, 1)
        length, tone = 0.02 + 0.07 * c.random.random(), int(c.random.uniform(30, 190))
        c.draw.arc(
            [*c.at((x, y)), *c.at((x + length, y + 0.012))],
            190,
            350,
            fill=(tone, tone + 24, min(255, tone + 34)),
            width=c.width(0.002),
        )
    rock = [
        (0.1, 0.8),
        (0.2, 0.72),
        (0.33, 0.69),
        (0.46, 0.66),
        (0.62, 0.67),
        (0.74, 0.71),
        (0.9, 0.8),
        (0.8, 0.86),
        (0.3, 0.87),
    ]
    c.draw.polygon(c.at(*rock), fill=(78, 70, 64))
    for _ in range(260):
        x, y = c.random.uniform(0.2, 0.8), c.random.uniform(0.7, 0.85)
        tone = int(c.random.uniform(44, 124))
        c.draw.polygon(
            c.at((x, y), (x + 0.04, y - 0.012), (x + 0.05, y + 0.012)),
            fill=(tone, tone - 4, tone - 8),
        )
    bands = 8
    for band in range(bands):
        upper, lower = 0.2 + 0.48 * band / bands, 0.2 + 0.48 * (band + 1) / bands
        half_upper, half_lower = 0.055 + 0.045 * band / bands, 0.055 + 0.045 * (band + 1) / bands
        color = (196, 46, 40) if band % 2 else (244, 240, 232)
        c.draw.polygon(
            c.at(
                (0.52 - half_upper, upper),
                (0.52 + half_upper, upper),
                (0.52 + half_lower, lower),
                (0.52 - half_lower, lower),
            ),
            fill=color,
        )
        shade = tuple(int(v * 0.7) for v in color)
        c.draw.polygon(
            c.at(
                (0.52 + 0.35 * half_upper, upper),
                (0.52 + half_upper, upper),
                (0.52 + half_lower, lower),
                (0.52 + 0.35 * half_lower, lower),
            ),
            fill=shade,
        )
    c.draw.rectangle(c.at((0.43, 0.185), (0.61, 0.2)), fill=(40, 40, 46))
    c.draw.rectangle(c.at((0.475, 0.13), (0.565, 0.185)), fill=(255, 240, 170))
    for x in (0.475, 0.505, 0.535, 0.565):
        c.draw.line(c.at((x, 0.13), (x, 0.185)), fill=(40, 40, 46), width=c.width(0.005))
    c.draw.polygon(c.at((0.465, 0.13), (0.52, 0.085), (0.575, 0.13)), fill=(150, 34, 32))
    c.glow(0.52, 0.155, 0.25, (255, 246, 200), 0.5)
    for y in (0.34, 0.48, 0.6):
        c.draw.rectangle(c.at((0.508, y), (0.532, y + 0.03)), fill=(40, 44, 54))
    return c.finish()
