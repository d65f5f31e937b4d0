"""Small readable pictures for the model card."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot
from PIL import Image, ImageDraw, ImageFont

from . import metrics

DPI = 80
COLORS = 64
"""Palette of saved plots, which keeps them small."""


def save(figure, file):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(file, dpi=DPI)
    pyplot.close(figure)
    shrink(file)


def shrink(file):
    with Image.open(file) as image:
        small = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


def panel(title, x, y, size=5):
    figure, axes = pyplot.subplots(figsize=(size * 1.15, size))
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def roc(file, curves, title="ROC on photographs held out"):
    """`curves`: name to (truth, scores)."""
    figure, axes = panel(title, "false alarms", "found")
    for name, (truth, scores) in curves.items():
        axes.plot(*metrics.roc(truth, scores), label=f"{name} {metrics.roc_auc(truth, scores):.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.5)
    axes.legend(loc="lower right", fontsize=9, title="area under the curve")
    save(figure, file)


def reliability(file, curves, title="Calibration on photographs held out"):
    """`curves`: name to (truth, probabilities)."""
    figure, axes = panel(title, "probability said", "share that was so")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.5)
    for name, (truth, said) in curves.items():
        bins = metrics.reliability(truth, said)
        axes.plot(
            bins[0],
            bins[1],
            marker="o",
            markersize=3,
            label=f"{name} {metrics.calibration_error(truth, said):.3f}",
        )
    axes.legend(loc="upper left", fontsize=9, title="expected calibration error")
    save(figure, file)


def against(file, series, title, x, y, columns=4, limits=(0, 1)):
    """Small panels, name to (strengths as text, rows of scores): median and the middle 80 %."""
    rows = -(-len(series) // columns)
    figure, grid = pyplot.subplots(
        rows, columns, figsize=(3 * columns, 2.4 * rows), sharey=True, squeeze=False
    )
    for axes, (name, (strengths, scores)) in zip(grid.flat, series.items()):
        scores = np.asarray(scores)
        low, middle, high = np.nanpercentile(scores, [10, 50, 90], axis=0)
        places = range(len(strengths))
        axes.fill_between(places, low, high, alpha=0.25)
        axes.plot(places, middle, marker="o", markersize=3)
        axes.set_xticks(places, strengths, fontsize=8)
        axes.set(title=name, ylim=limits)
        axes.grid(alpha=0.3)
    for axes in list(grid.flat)[len(series) :]:
        axes.set_visible(False)
    figure.suptitle(title)
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)
    save(figure, file)


def contact_sheet(file, tiles, columns=4, side=150, colors=COLORS):
    """`tiles`: (RGB picture, caption of a line or two) each. Only for pictures of our own."""
    caption, margin = 30, 4
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (side + margin), rows * (side + caption + margin)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, (picture, text) in enumerate(tiles):
        left, top = index % columns * (side + margin), index // columns * (side + caption + margin)
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        sheet.paste(small, (left, top))
        draw.multiline_text((left, top + side + 1), text, fill="black", font=font, spacing=1)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(colors, dither=Image.Dither.NONE).save(file, optimize=True)
