"""Scenes on land and on a table."""

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from canvas import Canvas


def street(width, height):
    """A row of houses with a lamp, wet cobbles before them."""
    c = Canvas(width, height, 2)
    c.gradient(0, 0.7, [(120, 140, 176), (214, 190, 170), (244, 214, 170)])
    c.blend((236, 236, 240), np.clip(c.clouds(6, 2.0) - 0.5, 0, 1) * 1.6)
    c.gradient(0.72, 1, [(120, 112, 108), (76, 72, 74)])
    x, walls = (
        -0.03,
        [
            (196, 120, 88),
            (226, 196, 140),
            (150, 160, 150),
            (206, 154, 132),
            (178, 186, 196),
            (214, 170, 96),
            (168, 96, 84),
        ],
    )
    for wall in walls:
        wide, top = c.random.uniform(0.14, 0.18), c.random.uniform(0.16, 0.3)
        house(c, x, x + wide, top, wall)
        x += wide
    c.shade(0, 0.74, 0.22, octaves=8)
    row, y = 0, 0.745
    while y < 1:
        tall = 0.008 + 0.05 * (y - 0.72)
        wide = 1.9 * tall
        for column in range(-1, int(1 / wide) + 2):
            left = (column + 0.5 * (row % 2)) * wide
            tone = int(c.random.uniform(-24, 26))
            color = (104 + tone, 98 + tone, 98 + tone)
            c.draw.rounded_rectangle(
                c.at((left, y), (left + 0.93 * wide, y + 0.88 * tall)),
                radius=c.width(0.1 * tall + 0.002),
                fill=color,
            )
        y, row = y + tall, row + 1
    for lamp in (0.24, 0.8):
        c.draw.line(c.at((lamp, 0.3), (lamp, 0.84)), fill=(34, 38, 40), width=c.width(0.008))
        c.draw.rectangle(c.at((lamp - 0.014, 0.82), (lamp + 0.014, 0.85)), fill=(34, 38, 40))
        c.draw.polygon(
            c.at(
                (lamp - 0.024, 0.22), (lamp + 0.024, 0.22), (lamp + 0.014, 0.3), (lamp - 0.014, 0.3)
            ),
            fill=(255, 236, 170),
        )
        c.draw.polygon(
            c.at((lamp - 0.028, 0.22), (lamp, 0.18), (lamp + 0.028, 0.22)), fill=(34, 38, 40)
        )
        c.glow(lamp, 0.26, 0.09, (255, 226, 150), 0.55)
    return c.finish()


def house(c, left, right, top, wall):
    wide = right - left
    dark = tuple(int(v * 0.72) for v in wall)
    c.draw.rectangle(c.at((left, top), (right, 0.74)), fill=wall)
    c.draw.polygon(
        c.at((left, top), ((left + right) / 2, top - 0.12), (right, top)), fill=(116, 62, 52)
    )
    for line in range(9):
        y = top - 0.12 * line / 9
        half = wide / 2 * (1 - line / 9)
        middle = (left + right) / 2
        c.draw.line(
            c.at((middle - half, y), (middle + half, y)), fill=(88, 46, 40), width=c.width(0.0015)
        )
    c.draw.rectangle(c.at((right - 0.004, top), (right, 0.74)), fill=dark)
    for floor in range(3):
        for column in range(2):
            x = left + wide * (0.16 + 0.42 * column)
            y = top + 0.05 + floor * (0.72 - top) / 3.2
            tall = 0.085
            glass = (54, 66, 84) if c.random.random() < 0.65 else (246, 216, 140)
            c.draw.rectangle(
                c.at((x - 0.006, y - 0.006), (x + 0.27 * wide + 0.006, y + tall + 0.008)),
                fill=(240, 236, 226),
            )
            c.draw.rectangle(c.at((x, y), (x + 0.27 * wide, y + tall)), fill=glass)
    door = left + wide * 0.38
    c.draw.rectangle(c.at((door, 0.62), (door + 0.24 * wide, 0.74)), fill=(70, 48, 38))
    c.draw.ellipse(
        c.at((door + 0.19 * wide, 0.68), (door + 0.215 * wide, 0.688)), fill=(220, 190, 90)
    )


def still_life(width, height):
    """Fruit in a bowl on a table before a wall."""
    c = Canvas(width, height, 3)
    c.gradient(0, 0.62, [(88, 96, 92), (122, 126, 112)])
    c.gradient(0.62, 1, [(142, 92, 54), (104, 62, 36)])
    c.shade(0.62, 1, 0.35, octaves=6, stretch=9)
    for y in (0.7, 0.8, 0.92):
        c.draw.line(c.at((0, y), (1, y)), fill=(70, 40, 24), width=c.width(0.003))
    shadow = Image.new("L", c.image.size)
    ImageDraw.Draw(shadow).ellipse(c.at((0.16, 0.78), (0.96, 0.94)), fill=150)
    shadow = shadow.filter(ImageFilter.GaussianBlur(c.w * 0.02))
    c.image = ImageChops.multiply(c.image, Image.merge("RGB", [ImageChops.invert(shadow)] * 3))
    fruit = [
        (0.36, 0.5, 0.085, (206, 50, 36)),
        (0.64, 0.51, 0.08, (232, 150, 34)),
        (0.5, 0.44, 0.095, (158, 186, 52)),
        (0.43, 0.58, 0.08, (238, 196, 60)),
        (0.57, 0.58, 0.082, (190, 34, 44)),
    ]
    for x, y, radius, color in fruit:
        c.ball(x, y, radius, color)
        c.draw.line(
            c.at((x, y - 0.9 * radius), (x + 0.012, y - 1.5 * radius)),
            fill=(64, 44, 26),
            width=c.width(0.006),
        )
    c.draw.chord([*c.at((0.26, 0.34)), *c.at((0.74, 0.9))], 0, 180, fill=(60, 94, 136))
    c.draw.ellipse(c.at((0.26, 0.605), (0.74, 0.635)), fill=(104, 140, 178))
    for band in range(5):
        drop = 0.05 * band
        half = 0.225 * math.sqrt(1 - ((0.04 + drop) / 0.28) ** 2)
        c.draw.line(
            c.at((0.5 - half, 0.66 + drop), (0.5 + half, 0.66 + drop)),
            fill=(206, 216, 222),
            width=c.width(0.003),
        )
    c.draw.rectangle(c.at((0.43, 0.885), (0.57, 0.905)), fill=(44, 70, 104))
    c.ball(0.84, 0.78, 0.075, (226, 140, 30))
    for grape in range(16):
        c.ball(
            0.1 + 0.03 * (grape % 5) + 0.012 * (grape // 5 % 2),
            0.76 + 0.034 * (grape // 5),
            0.021,
            (92, 54, 120),
        )
    return c.finish()


def mountains(width, height):
    """Ranges behind ranges at sunset."""
    c = Canvas(width, height, 4)
    c.gradient(0, 0.7, [(46, 50, 104), (160, 86, 120), (244, 150, 90), (252, 214, 140)])
    c.glow(0.68, 0.46, 0.3, (255, 240, 190), 0.9)
    c.draw.ellipse(c.at((0.645, 0.42), (0.715, 0.513)), fill=(255, 246, 210))
    ranges = [
        (0.66, 0.3, (150, 96, 122)),
        (0.74, 0.26, (112, 72, 108)),
        (0.82, 0.2, (76, 52, 86)),
        (0.92, 0.17, (44, 34, 60)),
    ]
    for index, (base, high, color) in enumerate(ranges):
        outline = c.ridge(base, high, color, 1 + 0.45 * index)
        if index == 0:
            for x, y in outline[::3]:
                if y < base - 0.6 * high:
                    c.draw.polygon(
                        c.at((x - 0.012, y + 0.03), (x, y), (x + 0.012, y + 0.035), (x, y + 0.022)),
                        fill=(226, 190, 190),
                    )
    for _ in range(130):
        x, foot, tall = (
            c.random.uniform(0, 1),
            c.random.uniform(0.94, 1.06),
            c.random.uniform(0.1, 0.22),
        )
        for step in range(5):
            top, half = foot - tall + tall * step / 6, tall * (0.07 + 0.045 * step)
            c.draw.polygon(
                c.at((x, top), (x - half, top + tall * 0.3), (x + half, top + tall * 0.3)),
                fill=(18, 18, 32),
            )
    return c.finish()
