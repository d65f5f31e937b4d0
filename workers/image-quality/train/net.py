"""The network: what is wrong with a picture, and how good it is."""

import math

import torch
from torch import nn

from degrade import AXES

LABELS = (*AXES, "quality")
# What a letterboxed picture is surrounded with: a colour that photos do not have.
FILL = (0, 255, 0)
# Luma and the two colour differences of JPEG (ITU-R BT.601).
YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
# How much greener than red and blue together a cell of the ground is at least; the ground itself
# is at 1.
GREEN = 0.7
# Brightness at which the tone curve is sampled.
TONES = (0.02, 0.05, 0.1, 0.18, 0.28, 0.4, 0.52, 0.64, 0.76, 0.86, 0.93, 0.97, 0.99)
# Side of a cell in pixels, the finest unit that anything is averaged over.
CELL = 4
# Rhythms are looked for in windows of so many pixels along by ROWS across, at these frequencies in
# cycles per pixel: the grid of a JPEG has 1/8 and its multiples, an enlarged picture one per pixel
# of before.
WINDOW, ROWS = 64, 32
FREQUENCIES = tuple(0.05 + 0.45 * k / 23 for k in range(24))
# About one level of 255: keeps the relative height of steps calm where the picture is flat.
LEVEL = 0.004
# Answers of an axis, as logits, from which on it costs more of the quality.
KNEES = (-9.0, -5.0, -2.0, 1.0)
# Blocks of so many pixels a side are told apart by their mean Laplacian and by their noise, in
# levels of 255. The gain of J. Immerkaer, "Fast Noise Variance Estimation", 1996, makes his mask's
# mean answer the deviation of white noise.
BLOCK = 16
EDGES = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 18.0, 27.0, 40.0)
GRAINS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0)
IMMERKAER = math.sqrt(math.pi / 2) / 6
# Rhythms of first and second differences; tone curves, means and spreads of four planes; contrast;
# detail.
MEASURE_COUNT = 2 * len(FREQUENCIES) + 4 * (len(TONES) + 2) + 1
MEASURE_COUNT += 2 * len(EDGES) + len(GRAINS) + 6
# Keeps quotients, roots and logarithms finite.
FLOOR = 1e-5
# Smallest statistic that is told from nothing.
FAINT = 1e-2


def convolution(inputs, outputs, kernel, stride=1, padding=0, groups=1):
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


def separable(inputs, outputs, stride):
    return nn.Sequential(
        *convolution(inputs, inputs, 3, stride, padding=1, groups=inputs),
        *convolution(inputs, outputs, 1),
    )


class QualityNet(nn.Module):
    """Takes [batch, 3, side, side] of 0 to 1 and gives [batch, labels] as logits.

    Textures are learned from full size on; rhythms and tones are measured; all are averaged over
    the cells that the picture covers, so that neither its shape nor its size matters.
    """

    def __init__(self, luma=16, chroma=8, widths=(48, 64, 96), head=96):
        super().__init__()
        self.measures = Measures()
        self.luma = nn.Sequential(*convolution(1, luma, 6, CELL, padding=1))
        self.chroma = nn.Sequential(*convolution(2, chroma, CELL, CELL))
        fine = luma + chroma
        self.body = nn.Sequential(
            *[separable(a, b, 2) for a, b in zip((fine + 3, *widths), widths)]
        )
        self.depth = 2 ** len(widths)
        features = 2 * (fine + widths[-1]) + MEASURE_COUNT
        self.norm = nn.BatchNorm1d(features)
        self.head = nn.Sequential(nn.Linear(features, head), nn.ReLU(), nn.Linear(head, len(AXES)))
        self.quality = Quality()
        # What makes probabilities of the axes' answers once they are learned.
        self.register_buffer("slope", torch.ones(len(AXES)))
        self.register_buffer("shift", torch.zeros(len(AXES)))

    def forward(self, photo, measured=None):
        return self.answer(self.features(photo, measured))

    def features(self, photo, measured=None):
        """What is known of the whole photo. `measured`: what `measures` says, if it is known."""
        colors, coarse, inside = self.measures.planes(photo)
        fine = torch.cat([self.luma(colors[:, :1]), self.chroma(colors[:, 1:])], 1)
        fine = torch.log(1 + 4 * fine) * inside
        deep = self.body(torch.cat([fine, coarse * inside], 1))
        shown = nn.functional.avg_pool2d(inside, self.depth)
        statistics = torch.cat([*pooled(fine, inside), *pooled(deep, shown)], 1)
        if measured is None:
            measured = self.measures(photo)
        return torch.cat([torch.log(statistics + FAINT), measured], 1)

    def answer(self, features):
        """What follows from the features, as logits."""
        axes = self.head(self.norm(features))
        return torch.cat([axes * self.slope + self.shift, self.quality(axes)], 1)


class Quality(nn.Module):
    """Falls, by its form, with the answer of every axis: a constant less what each axis costs, the
    more steeply the surer the axis is."""

    def __init__(self):
        super().__init__()
        self.register_buffer("knees", torch.tensor(KNEES).view(1, -1, 1))
        self.best = nn.Parameter(torch.tensor(4.0))
        self.slopes = nn.Parameter(torch.full((1, len(KNEES), len(AXES)), -2.0))

    def forward(self, axes):
        costs = nn.functional.softplus(axes[:, None] - self.knees) * torch.exp(self.slopes)
        return self.best - costs.flatten(1).sum(1, keepdim=True)


class Measures(nn.Module):
    """What is computed of a photo without being learned: rhythms and tones."""

    def __init__(self):
        super().__init__()
        self.register_buffer("ycbcr", torch.tensor(YCBCR).view(3, 3, 1, 1))
        self.register_buffer("tones", torch.tensor(TONES).view(1, -1, 1, 1))
        self.rhythm = Rhythm()
        self.detail = Detail()

    def planes(self, photo):
        """Luma and colour differences at full size; the colours by cells; which cells count."""
        coarse = nn.functional.avg_pool2d(photo, CELL)
        return nn.functional.conv2d(photo, self.ycbcr), coarse, covered(coarse)

    def forward(self, photo):
        colors, coarse, inside = self.planes(photo)
        luma = colors[:, :1]
        rhythm = self.rhythm(luma, inside) + self.rhythm(
            luma.transpose(2, 3), inside.transpose(2, 3)
        )
        return torch.cat([rhythm, self.detail(luma, inside), *self.tone(coarse, inside)], 1)

    def tone(self, colors, inside):
        """The tone curves of the luma and of each colour, the means, and how far they vary."""
        luma = nn.functional.conv2d(colors, self.ycbcr[:1])
        planes = torch.cat([luma, colors], 1)
        above = torch.cat([planes[:, k : k + 1] - self.tones for k in range(4)], 1)
        curve = torch.clamp(above * 25 + 0.5, 0, 1)
        average, spread = pooled(planes, inside)
        contrast = nn.functional.max_pool2d(luma, 8) + nn.functional.max_pool2d(-luma, 8)
        local, _ = pooled(contrast, nn.functional.avg_pool2d(inside, 8))
        return [mean(curve, inside), average, spread, local]


class Rhythm(nn.Module):
    """How strongly steps (first and second differences along the rows) return at regular distances,
    as logarithms by frequency: what the grid of a JPEG and an enlargement leave behind."""

    def __init__(self):
        super().__init__()
        places = torch.arange(WINDOW) - (WINDOW - 1) / 2
        waves = 2 * math.pi * torch.tensor(FREQUENCIES)[:, None] * places
        bell = torch.hann_window(WINDOW, periodic=False) * 2 / WINDOW
        both = lambda filters: (filters * bell).view(-1, 1, 1, WINDOW).repeat(2, 1, 1, 1)
        self.register_buffer("cosines", both(torch.cos(waves)))
        self.register_buffer("sines", both(torch.sin(waves)))

    def forward(self, luma, inside):
        first = luma[..., 1:] - luma[..., :-1]
        steps = torch.abs(torch.cat([first[..., 1:], second(luma)], 1))
        low = nn.functional.avg_pool2d(steps, (ROWS // 4, 1))
        around = nn.functional.avg_pool2d(low, (1, 9), 1, (0, 4))
        relative = nn.functional.avg_pool2d(low / (around + LEVEL), (4, 1))
        stride = (1, WINDOW // 4)
        cosine = nn.functional.conv2d(relative, self.cosines, stride=stride, groups=2)
        sine = nn.functional.conv2d(relative, self.sines, stride=stride, groups=2)
        strength = torch.sqrt(cosine * cosine + sine * sine + FLOOR)
        windows = (ROWS // CELL, WINDOW // CELL)
        # The second differences are two pixels short of a last window.
        whole = nn.functional.avg_pool2d(
            inside[..., : -windows[1] // 4], windows, (windows[0], windows[1] // 4)
        )
        return torch.log(mean(strength, torch.clamp(whole * 4 - 3, 0, 1)) + FAINT)


class Detail(nn.Module):
    """How strong the finest detail is, over the whole picture and block by block: a Laplacian, which
    blur takes away, and Immerkaer's mask, which answers to little but noise."""

    def __init__(self):
        super().__init__()
        self.register_buffer("edges", torch.tensor(EDGES).view(1, -1, 1, 1) / 255)
        self.register_buffer("grains", torch.tensor(GRAINS).view(1, -1, 1, 1) / 255)

    def forward(self, luma, inside):
        across, down = second(luma), second(luma.transpose(2, 3)).transpose(2, 3)
        fine = torch.abs(across[:, :, 1:-1] + down[..., 1:-1])
        noise = torch.abs(second(across.transpose(2, 3)).transpose(2, 3)) * IMMERKAER
        half = nn.functional.avg_pool2d(luma, 2)
        across, down = second(half), second(half.transpose(2, 3)).transpose(2, 3)
        coarse = torch.abs(across[:, :, 1:-1] + down[..., 1:-1])
        # The differences are two pixels short of a last block.
        inside = nn.functional.avg_pool2d(
            inside[..., : -BLOCK // CELL, : -BLOCK // CELL], BLOCK // CELL
        )
        found = []
        for plane, size, steps in [
            (fine, BLOCK, self.edges),
            (coarse, BLOCK // 2, self.edges),
            (noise, BLOCK, self.grains),
        ]:
            block = nn.functional.avg_pool2d(plane, size)
            # The share of blocks above each step, the steps soft.
            found.append(mean(torch.clamp(block / steps - 0.5, 0, 1), inside))
            found.append(torch.log(mean(block, inside) + LEVEL / 10))
            energy = nn.functional.avg_pool2d(plane * plane, size)
            found.append(torch.log(mean(energy, inside) + FLOOR))
        return torch.cat(found, 1)


def second(values):
    """Second differences along the rows."""
    first = values[..., 1:] - values[..., :-1]
    return first[..., 1:] - first[..., :-1]


def covered(coarse):
    """1 for cells that the picture covers with all their neighbours, 0 for others."""
    green = coarse[:, 1:2] - coarse[:, 0:1] - coarse[:, 2:3]
    ground = torch.clamp((green - GREEN) * 20, 0, 1)
    return 1 - nn.functional.max_pool2d(ground, 3, 1, 1)


def mean(values, inside):
    return (values * inside).mean((2, 3)) / (inside.mean((2, 3)) + FLOOR)


def pooled(values, inside):
    """Mean and standard deviation per channel."""
    average = mean(values, inside)
    spread = mean((values - average[:, :, None, None]) ** 2, inside)
    return average, torch.sqrt(spread + FLOOR)


class Features(nn.Module):
    """The network without its last part."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, photo):
        return self.net.features(photo)


class Probabilities(nn.Module):
    """The network with its logits as probabilities: what is exported."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, photo):
        return torch.sigmoid(self.net(photo))
