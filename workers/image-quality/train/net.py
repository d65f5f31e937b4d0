"""The network: measures of a photo by fixed formulas, and a small learned head on them."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from degrade import AXES, SIDE

LABELS = (*AXES, "quality")
BLURRED, LOW_RESOLUTION = AXES.index("blurred"), AXES.index("low_resolution")
LOW = slice(LOW_RESOLUTION, LOW_RESOLUTION + 1)
# What a letterboxed photo is surrounded with: a colour that photos do not have.
FILL = (0, 255, 0)
# Luma and the two colour differences of JPEG (ITU-R BT.601).
YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
# J. Immerkaer, "Fast Noise Variance Estimation", 1996: second differences in both directions answer
# to little but noise; the gain makes their mean the deviation of white noise.
IMMERKAER = math.sqrt(math.pi / 2) / 6
LEVEL = 1 / 255
# Sides in pixels: tones are measured on cells, the white ground on tiles, texture on blocks.
CELL, TILE, BLOCK = 4, 8, 16
# Steps between which quantiles are interpolated.
TONES = (0.01, 0.03, 0.06, 0.1, 0.16, 0.24, 0.34, 0.45, 0.56, 0.67, 0.77, 0.85, 0.91, 0.95, 0.98, 0.995)
GRAINS = tuple(0.2 * 1.35**k for k in range(17))
RATIOS = tuple(0.06 * 1.17**k for k in range(17))
BALANCES = tuple(0.03 * 1.28**k for k in range(17))
# Blocks with a white ground have no darker channel than this, and vary by fewer levels than this.
WHITE, UNIFORM = 0.88, 10
# How many tiles the ground reaches in from the rim.
GROWTH = 40
# Rhythms are looked for in windows of so many pixels along by ROWS across, at these frequencies in
# cycles per pixel: the grid of a JPEG has 1/8 and its multiples, an enlarged photo one per pixel of
# before.
WINDOW, ROWS = 64, 32
FREQUENCIES = tuple(k / 32 for k in range(2, 17))
# Keeps quotients, roots and logarithms finite.
FLOOR = 1e-5
# By how many times the logits that an enlarged photo is beyond its threshold it is less blurred.
HIDES = 3.0
# A fault that reaches its threshold costs nothing, and one of so many logits more half of the quality.
HALVING = 2.0


def fixed(kernel):
    return torch.tensor(kernel, dtype=torch.float32)


def mean(values, weight):
    """[batch, channels]: the mean over the plane, by weight."""
    return (values * weight).mean((2, 3)) / (weight.mean((2, 3)) + FLOOR)


def spread(values, weight):
    average = mean(values, weight)[..., None, None]
    return torch.sqrt(mean((values - average) ** 2, weight) + FLOOR)


class Quantiles(nn.Module):
    """Quantiles of planes by weight, in steps: how many of `steps` lie below, with soft edges."""

    def __init__(self, steps, shares):
        super().__init__()
        steps, shares = fixed(steps), fixed(shares)
        middle = (steps[1:] + steps[:-1]) / 2
        width = torch.diff(torch.cat([steps[:1] - (middle[:1] - steps[:1]), middle, steps[-1:] * 1.1]))
        self.register_buffer("steps", steps.view(1, -1, 1, 1))
        self.register_buffer("slope", 1 / width.view(1, -1, 1, 1))
        self.register_buffer("shares", (1 - shares).view(1, -1, 1))
        # Over what share of the plane a step is passed.
        self.register_buffer("softness", 1 / (0.5 * torch.minimum(shares, 1 - shares)).view(1, -1, 1))

    def forward(self, plane, weight):
        above = torch.clamp((plane - self.steps) * self.slope + 0.5, 0, 1)
        share = mean(above, weight)[:, None]
        return torch.clamp((share - self.shares) * self.softness + 0.5, 0, 1).sum(2)


class Measures(nn.Module):
    """[batch, 3, side, side] of 0 to 1 to [batch, measures]."""

    def __init__(self, side=SIDE):
        super().__init__()
        # Where the photo fills the square, its ground begins at the rim.
        rim = torch.ones(1, 1, side // TILE, side // TILE)
        rim[..., 1:-1, 1:-1] = 0
        self.register_buffer("rim", rim)
        self.register_buffer("ycbcr", fixed(YCBCR)[None])
        self.tone = Quantiles(TONES, (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98))
        self.few_tones = Quantiles(TONES, (0.1, 0.5, 0.75, 0.9, 0.98))
        self.grain = Quantiles([grain * LEVEL for grain in GRAINS], (0.03, 0.1, 0.25, 0.5))
        self.range = Quantiles([4 * grain * LEVEL for grain in GRAINS], (0.1, 0.5, 0.75, 0.9))
        self.steepness = Quantiles(RATIOS, (0.25, 0.5, 0.75, 0.9, 0.97, 0.99))
        self.balance = Quantiles(BALANCES, (0.25, 0.5, 0.75, 0.9, 0.97))
        self.rhythm = Rhythm()

    def forward(self, photo):
        half = F.avg_pool2d(photo, 2)
        cells = F.avg_pool2d(half, 2)
        inside = covered(cells)
        luma = self.colors(photo, 1)
        # Every second row, and every second column turned into a row.
        lines = torch.cat([luma[:, :, ::2], luma.transpose(2, 3)[:, :, ::2]], 1)
        blocks = 1 - F.max_pool2d(1 - inside, BLOCK // CELL)
        span = spans(lines[:, :1], TILE)
        reach = ground(cells, span, inside, self.rim)
        content = inside * (1 - F.interpolate(reach, scale_factor=TILE // CELL))
        tones = self.tones(cells, span, content)
        texture = self.texture(luma, self.colors(half, 3), self.colors(cells, 1), lines, blocks)
        return torch.cat([*tones, *texture, self.rhythm(lines, inside)], 1)

    def colors(self, planes, count):
        """The first `count` of luma and the two colour differences."""
        height, width = map(int, planes.shape[2:])
        mixed = self.ycbcr[:, :count] @ planes.reshape(-1, 3, height * width)
        return mixed.reshape(-1, count, height, width)

    def tones(self, cells, span, content):
        """Tone curves of the content: luma, the largest and the smallest channel; lost highlights."""
        luma = self.colors(cells, 1)
        red, green, blue = cells[:, :1], cells[:, 1:2], cells[:, 2:]
        largest = torch.maximum(torch.maximum(red, green), blue)
        smallest = torch.minimum(torch.minimum(red, green), blue)
        tiles = F.avg_pool2d(content, TILE // CELL)
        detailed = torch.clamp(F.avg_pool2d(span, 3, 1, 1) * (LEVEL**-1 / 16), 0, 1) * tiles
        bright = torch.cat([smallest, largest], 1)
        clipped = torch.clamp((F.max_pool2d(bright, TILE // CELL) - 0.96) * 33, 0, 1)
        lost = torch.cat([mean(clipped, tiles), mean(clipped, detailed)], 1)
        return [
            self.tone(luma, content),
            self.few_tones(largest, content),
            self.few_tones(smallest, content),
            torch.log(lost + 0.003),
            torch.log(spread(luma, content) + 0.01),
            torch.log(mean(largest - smallest, content) + 0.01),
            content.mean((2, 3)),
        ]

    def texture(self, luma, half, smooth, lines, blocks):
        """Noise, sharpness and contrast, block by block."""
        span = spans(lines[:, :1], BLOCK)
        first = torch.abs(lines[..., 1:] - lines[..., :-1])
        steepest = F.max_pool2d(first, (BLOCK // 2, BLOCK - 1), (BLOCK // 2, BLOCK))
        steepest = torch.maximum(steepest[:, :1], steepest[:, 1:].transpose(2, 3))
        brightness = F.avg_pool2d(smooth, BLOCK // CELL)
        fine = grains(luma, BLOCK, 2)
        halves = grains(half, BLOCK // 2)
        half_fine = halves[:, :1]
        coarse = grains(smooth, BLOCK // CELL)
        known = torch.clamp((0.97 - brightness) * 50, 0, 1) * torch.clamp((brightness - 0.02) * 50, 0, 1)
        known = known * torch.clamp(fine * (10 / LEVEL) - 0.5, 0, 1) * blocks
        # The calmest blocks count most: their noise is not texture.
        calm = known / (coarse + span * 0.05 + LEVEL) ** 2
        edges = torch.clamp((span - 0.7 * mean(span, blocks)[..., None, None]) / LEVEL - 5, 0, 1) * blocks
        noise = torch.cat([fine, halves], 1)
        weighed = mean(noise, calm / (calm.amax((2, 3), keepdim=True) + FLOOR))
        found = [self.grain(noise[:, k : k + 1], known) for k in range(4)]
        found += [torch.log(weighed + LEVEL / 10), torch.log(mean(noise, blocks) + LEVEL / 10)]
        found += [
            self.steepness(steepest / (span + LEVEL), edges),
            self.balance(fine / (half_fine + LEVEL / 4), edges),
            self.balance(half_fine / (coarse + LEVEL / 4), edges),
            self.balance(fine / (half_fine + LEVEL / 4), known),
            self.range(span, blocks),
            torch.log(mean(span, blocks) + LEVEL),
            torch.log(edges.mean((2, 3)) + 0.003),
        ]
        return found


def grains(planes, size, stride=1):
    """The noise of each block of `size`; of every row, or of every second."""
    rows = planes[:, :, :-2:stride] + planes[:, :, 2::stride] - 2 * planes[:, :, 1:-1:stride]
    both = torch.abs(rows[..., :-2] + rows[..., 2:] - 2 * rows[..., 1:-1]) * IMMERKAER
    # Two rows and columns shorter, as the last block is.
    return F.avg_pool2d(both, ((size - 2) // stride, size - 2), (size // stride, size))


class Rhythm(nn.Module):
    """How strongly steps (first and second differences along the lines) return at regular distances,
    as logarithms by frequency, and how far one phase of eight stands out: what the grid of a JPEG
    and an enlargement leave behind."""

    def __init__(self):
        super().__init__()
        places = torch.arange(WINDOW) - (WINDOW - 1) / 2
        waves = 2 * math.pi * fixed(FREQUENCIES)[:, None] * places
        bell = torch.hann_window(WINDOW, periodic=False) * 2 / WINDOW
        both = torch.cat([torch.cos(waves) * bell, torch.sin(waves) * bell])
        self.register_buffer("waves", both.view(-1, 1, 1, WINDOW))

    def forward(self, lines, inside):
        shown = torch.cat([inside, inside.transpose(2, 3)], 1)
        first = lines[..., 1:] - lines[..., :-1]
        second = first[..., 1:] - first[..., :-1]
        # Rows of TILE pixels; the first of the steps is that between the first two pixels.
        steps = F.avg_pool2d(torch.abs(torch.cat([first[..., 1:], second], 1)), (TILE // 2, 1))
        around = F.avg_pool2d(steps, (1, 9), 1, (0, 4))
        relative = steps / (around + LEVEL)
        rows = F.avg_pool2d(relative, (ROWS // TILE, 1))
        found = [self.strengths(rows[:, k : k + 2], shown) for k in (0, 2)]
        return torch.cat([*found, phases(relative, 1 - around / (around + 2 * LEVEL), shown)], 1)

    def strengths(self, rows, shown):
        size = (ROWS // CELL, WINDOW // CELL)
        strength = weight = 0.0
        for k in range(2):
            waves = F.conv2d(rows[:, k : k + 1], self.waves, stride=(1, WINDOW // 4))
            cosine, sine = waves[:, : len(FREQUENCIES)], waves[:, len(FREQUENCIES) :]
            # The differences are two pixels short of a last window.
            whole = F.avg_pool2d(shown[:, k : k + 1, :, : -size[1] // 4], size, (size[0], size[1] // 4))
            whole = torch.clamp(whole * 4 - 3, 0, 1)
            strength = strength + (torch.sqrt(cosine * cosine + sine * sine + FLOOR) * whole).mean((2, 3))
            weight = weight + whole.mean((2, 3))
        return torch.log(strength / (weight + FLOOR) + 0.01)


def phases(relative, calm, shown):
    """How much larger steps are at the strongest of eight phases than at the others, where it is calm,
    as logarithms: of the two directions the one where that is more, and the one where it is less."""
    tiles = 1 - F.max_pool2d(1 - shown, TILE // CELL)
    # Of the last tile two steps are missing.
    shape = -1, 2, 2, *map(int, tiles[..., :-1].shape[2:]), TILE
    weight = calm[..., : 2 - TILE].reshape(shape) * tiles[:, None, ..., :-1, None]
    profile = (relative[..., : 2 - TILE].reshape(shape) * weight).mean((3, 4)) / (weight.mean((3, 4)) + FLOOR)
    strongest = profile.amax(3)
    others = (profile.sum(3) - strongest) / (TILE - 1)
    ratio = torch.log((strongest + 0.05) / (others + 0.05))
    # Not by `amin`: tract is not known to compute ReduceMin right.
    return torch.cat([ratio.amax(2), -(-ratio).amax(2)], 1)


def spans(lines, size):
    """By how much each square of `size` varies, of every second row of luma."""
    window = (size // 2, size)
    return F.max_pool2d(lines, window) + F.max_pool2d(-lines, window)


def covered(cells):
    """1 for cells that the photo covers with all their neighbours, 0 for others."""
    green = cells[:, 1:2] - cells[:, 0:1] - cells[:, 2:3]
    return 1 - F.max_pool2d(torch.clamp((green - 0.7) * 20, 0, 1), 3, 1, 1)


def ground(cells, span, inside, rim):
    """1 for tiles of a white ground, which reaches in from the edge, and those beside it."""
    tiles = F.avg_pool2d(cells, TILE // CELL)
    darker = torch.minimum(torch.minimum(tiles[:, :1], tiles[:, 1:2]), tiles[:, 2:])
    white = torch.clamp((darker - WHITE) * 50, 0, 1) * torch.clamp(UNIFORM + 0.5 - span / LEVEL, 0, 1)
    outside = F.max_pool2d(1 - inside, TILE // CELL)
    passable = torch.maximum(white, outside)
    reach = torch.maximum(outside, rim) * passable
    for _ in range(GROWTH):
        reach = F.max_pool2d(reach, 3, 1, 1) * passable
    return F.max_pool2d(reach, 3, 1, 1)


class QualityNet(nn.Module):
    """[batch, 3, side, side] of 0 to 1 to [batch, labels]: the probability of each axis, and the
    quality."""

    def __init__(self, head, side=SIDE):
        """`head`: see `learning.Head`."""
        super().__init__()
        self.measures = Measures(side)
        for name in ("knots", "slopes", "heights", "weight", "bias", "thresholds"):
            self.register_buffer(name, torch.tensor(getattr(head, name), dtype=torch.float32))
        hides = torch.zeros(1, len(AXES))
        hides[0, BLURRED] = HIDES
        self.register_buffer("hides", hides)

    def forward(self, photo):
        return self.answer(self.measures(photo))

    def answer(self, measured):
        passed = torch.clamp((measured[:, :, None] - self.knots) * self.slopes, 0, 1)
        seen = (passed * self.heights).sum(2)
        logits = F.linear(torch.cat([seen, seen * seen / 2], 1), self.weight.T, self.bias)
        # An enlarged photo is not asked whether it is blurred as well.
        enlarged = F.relu(logits[:, LOW] - self.thresholds[LOW])
        logits = logits - enlarged * self.hides
        beyond = F.relu(logits - self.thresholds).sum(1, keepdim=True)
        return torch.cat([torch.sigmoid(logits), torch.exp(beyond * (-math.log(2) / HALVING))], 1)
