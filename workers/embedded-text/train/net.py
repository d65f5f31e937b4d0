"""The network: a map of where text lies, and from it whether, how much and in which box."""

from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

from flota_training.preprocess import Input

SIDE = 320
INPUT = Input(SIDE, SIDE, {"mode": "exact"})
# The map has a cell for every 8 x 8 pixels of the input.
STEP = 8
# Edges are measured per so many pixels.
EDGE_STEP = 4
CELLS = SIDE // STEP
LABELS = ("text", "covered", "left", "top", "right", "bottom")
# Keeps logarithms finite.
EPSILON = 1e-6


def convolution(inputs, outputs, size=3, stride=1):
    """Convolution, norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2 if size % 2 else 0, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Adds to the maps what a convolution makes of them."""

    def __init__(self, channels):
        super().__init__()
        self.change = convolution(channels, channels)

    def forward(self, maps):
        return maps + self.change(maps)


class Double(nn.Module):
    """Doubles width and height, bilinearly, as two matrix products: every engine has those."""

    def forward(self, maps):
        weights = doubling(int(maps.shape[-1])).to(maps)
        return weights @ maps @ weights.T


class Edges(nn.Module):
    """What is known to tell text apart, measured per 4 x 4 pixels: nothing here is learned.

    Eight directions of edges (text has opposite ones side by side), the strongest edge and the
    lightest and darkest tone (their ratio tells a crisp edge from a blurred one), how much is flat
    (pasted ink has no texture), edges of colour alone, and the mean colour.
    """

    CHANNELS = 16

    def __init__(self):
        super().__init__()
        luma_and_colour = [[0.299, 0.587, 0.114], [0.5, -0.419, -0.081], [-0.169, -0.331, 0.5]]
        self.register_buffer(
            "planes", torch.tensor(luma_and_colour)[..., None, None], persistent=False
        )
        across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
        slanted = torch.tensor([[-2.0, -1, 0], [-1, 0, 1], [0, 1, 2]]) / 4
        four = torch.stack([across, across.T, slanted, slanted.flip(1)])
        self.register_buffer("directions", four[:, None], persistent=False)
        self.register_buffer(
            "of_colour",
            torch.stack([across, across.T])[:, None].repeat(2, 1, 1, 1),
            persistent=False,
        )

    def forward(self, images):
        planes = functional.conv2d(images, self.planes)
        luma, colour = planes[:, :1], planes[:, 1:]
        edges = both_ways(functional.conv2d(luma, self.directions, padding=1))
        strongest = edges.amax(1, keepdim=True)
        flat = functional.relu(1 - strongest * 40)
        tint = both_ways(functional.conv2d(colour, self.of_colour, padding=1, groups=2)).mean(
            1, keepdim=True
        )
        mean = functional.avg_pool2d(torch.cat([edges * 4, flat, tint * 16, images], 1), EDGE_STEP)
        most = functional.max_pool2d(torch.cat([strongest, luma, 1 - luma], 1), EDGE_STEP)
        return torch.cat([mean, most], 1)


def both_ways(slopes):
    """Slopes up and slopes down, apart."""
    return functional.relu(torch.cat([slopes, -slopes], 1))


@lru_cache
def doubling(cells):
    """The matrix [2 * cells, cells] that interpolates between neighbours."""
    size = (2 * cells, cells)
    return functional.interpolate(
        torch.eye(cells)[None, None], size, mode="bilinear", align_corners=False
    )[0, 0]


@lru_cache
def summing(cells):
    """The matrix that makes of each number the sum of all up to it; transposed, from it on."""
    return torch.ones(cells, cells).triu()


class TextNet(nn.Module):
    """[batch, 3, SIDE, SIDE] of 0..1 -> [batch, 6]: the scores of `LABELS`. Other sizes, multiples
    of 32, work as well: it is taught on parts of pictures first."""

    def __init__(self, widths=(32, 56, 64)):
        super().__init__()
        fine, middle, coarse = widths
        self.edges = Edges()
        self.fine = nn.Sequential(
            nn.BatchNorm2d(Edges.CHANNELS), convolution(Edges.CHANNELS, fine, 3, 2), Residual(fine)
        )
        self.middle = nn.Sequential(convolution(fine, middle, 3, 2), Residual(middle))
        self.coarse = nn.Sequential(convolution(middle, coarse, 3, 2), Residual(coarse))
        self.from_coarse = nn.Sequential(nn.Conv2d(coarse, middle, 1), Double())
        self.from_middle = nn.Sequential(nn.Conv2d(middle, fine, 1), Double())
        self.map = nn.Conv2d(fine, 3, 1)
        nn.init.constant_(self.map.bias, -3.0)
        self.judge = nn.Sequential(
            nn.Linear(2 * middle + coarse + 3, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 1)
        )
        self.register_buffer("slope", torch.ones(1))
        self.register_buffer("shift", torch.zeros(1))

    def parts(self, edges):
        """Of the edges of pictures: the logit of `text` before calibration, and those of the maps: the
        share of a cell that is covered, what the box is made of, text that belongs to the scene."""
        fine = self.fine(edges)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        joined = functional.relu(middle + self.from_coarse(coarse))
        maps = self.map(functional.relu(fine + self.from_middle(joined)))
        highest = maps.amax((2, 3))
        features = [joined.mean((2, 3)), joined.amax((2, 3)), coarse.mean((2, 3)), highest * 0.2]
        return self.judge(torch.cat(features, 1)), maps

    def box(self, logits):
        """Left, top, right, bottom: how far one gets from each edge before text is met. Of the free
        way, each cell counts for the product of (1 - text) up to it, so nothing jumps."""
        columns, rows = (
            torch.log(torch.clamp(torch.sigmoid(-logits.amax(axes)), min=EPSILON))
            for axes in ((1, 2), (1, 3))
        )
        up_to = summing(int(columns.shape[1])).to(columns)
        left, top = ((free @ up_to).exp().mean(1, keepdim=True) for free in (columns, rows))
        right, bottom = (
            1 - (free @ up_to.T).exp().mean(1, keepdim=True) for free in (columns, rows)
        )
        return torch.cat([left, top, right, bottom], 1)

    def forward(self, images):
        logit, maps = self.parts(self.edges(images))
        text = torch.sigmoid(logit * self.slope + self.shift)
        covered = torch.sigmoid(maps[:, :1]).mean((2, 3))
        return torch.cat([text, covered, self.box(maps[:, 1:2])], 1)
