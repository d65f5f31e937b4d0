"""What the scenes are drawn with."""

import math

import numpy as np
from PIL import Image, ImageDraw

OVERSAMPLING = 2


class Canvas:
    """A picture in the making, in coordinates from 0 to 1, `OVERSAMPLING` times too large."""

    def __init__(self, width, height, seed):
        self.final_size = (width, height)
        self.w, self.h = width * OVERSAMPLING, height * OVERSAMPLING
        self.image = Image.new("RGB", (self.w, self.h))
        self.random = np.random.default_rng(seed)

    @property
    def draw(self):
        return ImageDraw.Draw(self.image)

    def at(self, *points):
        return [(x * self.w, y * self.h) for x, y in points]

    def width(self, share):
        return max(1, round(share * self.w))

    def gradient(self, top, bottom, stops):
        """Colours from `top` to `bottom`, evenly spaced."""
        first, last = round(top * self.h), round(bottom * self.h)
        places = np.linspace(0, len(stops) - 1, last - first)
        stops = np.array(stops, dtype=np.float32)
        rows = np.stack([np.interp(places, range(len(stops)), stops[:, c]) for c in range(3)], 1)
        block = np.repeat(rows[:, None], self.w, axis=1).round().astype(np.uint8)
        self.image.paste(Image.fromarray(block), (0, first))

    def clouds(self, octaves, stretch=1.0):
        """Smooth noise from 0 to 1, of several sizes, `stretch` times wider than high."""
        total = np.zeros((self.h, self.w), dtype=np.float32)
        for octave in range(octaves):
            cells = 3 * 2**octave
            coarse = self.random.random((cells, max(2, round(cells * 1.4 / stretch))))
            layer = Image.fromarray((coarse * 255).astype(np.uint8))
            smooth = layer.resize((self.w, self.h), Image.Resampling.BICUBIC)
            total += np.asarray(smooth, dtype=np.float32) / 255 / 1.8**octave
        return (total - total.min()) / (total.max() - total.min())

    def blend(self, color, mask):
        """Lays `color` over the picture, as much as `mask` (0 to 1) says."""
        alpha = Image.fromarray((np.clip(mask, 0, 1) * 255).astype(np.uint8))
        self.image.paste(Image.new("RGB", self.image.size, color), (0, 0), alpha)

    def shade(self, top, bottom, strength, octaves=7, stretch=1.0):
        """Makes a band uneven, as real surfaces are."""
        mask = np.zeros((self.h, self.w), dtype=np.float32)
        band = slice(round(top * self.h), round(bottom * self.h))
        mask[band] = self.clouds(octaves, stretch)[band]
        self.blend((0, 0, 0), mask * strength)

    def glow(self, x, y, radius, color, strength=1.0):
        ys, xs = np.mgrid[0 : self.h, 0 : self.w]
        distance = np.hypot(xs - x * self.w, ys - y * self.h) / (radius * self.w)
        self.blend(color, strength * np.clip(1 - distance, 0, 1) ** 2)

    def ball(self, x, y, radius, color):
        """A sphere lit from the upper left."""
        ys, xs = np.mgrid[0 : self.h, 0 : self.w]
        u, v = (xs / self.w - x) / radius, (ys - y * self.h) / (radius * self.w)
        inside = np.clip((1 - np.hypot(u, v)) * radius * self.w / 2, 0, 1)
        depth = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
        light = np.clip(0.25 + 0.75 * (-0.5 * u - 0.6 * v + 0.62 * depth), 0.08, 1)
        spot = np.clip(1 - np.hypot(u + 0.38, v + 0.42) * 4, 0, 1) ** 2
        surface = np.array(color) * light[..., None] + 200 * spot[..., None]
        picture = Image.fromarray(np.clip(surface, 0, 255).astype(np.uint8))
        self.image.paste(picture, (0, 0), Image.fromarray((inside * 255).astype(np.uint8)))

    def ridge(self, base, height, color, roughness):
        """A line of hills across the picture and all that is below it."""
        steps = 220
        heights = np.zeros(steps)
        for octave in range(1, 7):
            phase = self.random.uniform(0, 7)
            wave = np.sin(np.linspace(0, octave * 2.4 * math.pi, steps) * roughness + phase)
            heights -= np.abs(wave) / octave**1.3
        heights = base - height * (heights - heights.min()) / (heights.max() - heights.min())
        outline = [(i / (steps - 1), y) for i, y in enumerate(heights)]
        self.draw.polygon(self.at((0, 1), *outline, (1, 1)), fill=color)
        return outline

    def finish(self):
        return self.image.resize(self.final_size, Image.Resampling.LANCZOS)
