"""The model card: plots, tables and the text around them."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import drawn
import evaluation
from cache import has_text
from flota_training import export, folder, metrics, plots
from fonts import UNSEEN_FAMILIES

TEMPLATE = Path(__file__).parent / "card.md"
SHEET_TILES, SHEET_DRAWN = 16, 240
FIGURES = {
    "auc": "area under the ROC curve: text with unseen fonts against photographs",
    "auc_scene_text": "... against photographs with text in the scene",
    "auc_drawn_scene": "... against photographs with text drawn into the scene",
    "auc_decorated": "... against photographs with frames, bars, badges, lines",
    "auc_all": "... against all of these",
    "found": "texts found at the threshold",
    "false_plain": "false alarms: photographs without text",
    "false_scene_text": "false alarms: photographs with text in the scene",
    "false_documents": "false alarms: documents (receipts, pages, forms)",
    "false_drawn_scene": "false alarms: text drawn into the scene",
    "false_decorated": "false alarms: frames, bars, badges, lines",
    "calibration_error": "expected calibration error (15 bins, half of the samples written on)",
    "box_overlap": "box: intersection over union, where text was found",
    "box_error": "box: mean error of an edge, as a share of the side",
    "covered_error": "`covered`: mean error",
}
# What the model was asked for: a bound, and whether it is the least or the most.
GOALS = {
    "auc": (0.97, True),
    "false_scene_text": (0.15, False),
    "calibration_error": (0.05, False),
}


def write(run, manifest, rounds, parity, cost, answer, photos, fonts, counts):
    """Writes README.md and its plots into the model's folder."""
    every = evaluation.joined(rounds)
    _plots(run.out / "plots", every, answer, fonts[1], run.tiny)
    compared, differences = parity
    values = {
        "version": manifest["version"],
        "threshold": f"{evaluation.THRESHOLD:g}",
        "size_mb": f"{cost[1] / 1e6:.2f}",
        "mega_multiply_adds": f"{cost[0] / 1e6:.1f}",
        "photos": len(photos),
        "photo_samples": f"{counts.photos:,}",
        "scene_samples": f"{counts.scenes:,}",
        "origins": len({photo.origin for photo in photos}),
        "scene_text_photos": sum(has_text(photo) and photo.kind != "document" for photo in photos),
        "documents": sum(photo.kind == "document" for photo in photos),
        "families": len(fonts[0].families()),
        "unseen_families": len(fonts[1].families()),
        "unseen_names": ", ".join(UNSEEN_FAMILIES),
        "rounds": _rounds(rounds),
        "goals": _goals(rounds[0]),
        "figures": _figures(rounds, every),
        "kinds": _kinds(every),
        "compared": compared,
        "differences": metrics.table(export.DIFFERENCES_HEAD, differences),
        "outside": _outside(run.options.show, answer),
    }
    folder.write_card(run.out, TEMPLATE, values)


def _rounds(rounds):
    held = rounds[0].photo_count
    if len(rounds) == 1:
        return (
            f"The shipped network was measured on the {held} photographs of one group of\n"
            "repositories; it was not cross-validated, so the spread is unknown."
        )
    return (
        f"Cross-validated in {len(rounds)} rounds; the shipped network is that of the first round, which"
        f" held out {held} photographs.\n"
        "The networks of the other rounds trained a tenth as long on whole images and a fifth as long on"
        " parts, so\n"
        "they show how far the groups differ, and perform below the shipped network. The last column"
        " combines the samples\n"
        "of all rounds, each scored by a network that saw neither its photograph nor its font."
    )


def _goals(shipped):
    figures = shipped.figures()
    rows = []
    for key, (bound, is_least) in GOALS.items():
        value = figures[key]
        is_reached = value >= bound if is_least else value <= bound
        wanted = f"at {'least' if is_least else 'most'} {bound:g}"
        rows.append([FIGURES[key], wanted, f"{value:.3f}", "yes" if is_reached else "no"])
    return metrics.table(["goal", "target", "measured", "reached"], rows)


def _figures(rounds, every):
    """The shipped network; where there are more rounds, their spread and their samples as one."""
    figures, together = [one.figures() for one in rounds], every.figures()
    shown = lambda value: "no such photographs" if np.isnan(value) else f"{value:.3f}"
    if len(rounds) == 1:
        rows = [[text, shown(together[key])] for key, text in FIGURES.items()]
        return metrics.table(["measure", "shipped network"], rows)
    spread = lambda key: metrics.mean_sd(
        [one[key] for one in figures if not np.isnan(one[key])] or [np.nan]
    )
    rows = [
        [text, shown(figures[0][key]), spread(key), shown(together[key])]
        for key, text in FIGURES.items()
    ]
    head = ["measure", "shipped network", "mean and deviation over the rounds", "all together"]
    return metrics.table(head, rows)


def _kinds(every):
    tables = (
        ("em, share of the height", "size", evaluation.SIZES),
        ("opacity", "opacity", evaluation.OPACITIES),
        ("angle, degrees", "angle", evaluation.ANGLES),
        ("script", "script", None),
        ("style", "style", None),
    )
    rows = [
        [title, name, count, f"{found:.2f}", f"{auc:.3f}"]
        for title, fact, edges in tables
        for name, count, found, auc in every.found_by(fact, edges)
    ]
    return metrics.table(["by", "class", "samples", "found", "AUC against photographs"], rows)


def _plots(place, every, answer, unseen, tiny):
    real = np.isin(every.kinds, evaluation.REAL)
    against = {
        "photographs": real,
        "with text in the scene": real & every.scene_text,
        "text drawn into the scene": every.kinds == "scene",
        "frames and badges": every.kinds == "decorated",
    }
    curves = {
        name: (every.written[rows | every.written], every.text[rows | every.written])
        for name, rows in against.items()
        if rows.any()
    }
    plots.roc(place / "roc.png", curves)
    plots.reliability(place / "reliability.png", {"text": (every.written, every.text)})
    series = {
        "em, share of the height": ("size", evaluation.SIZES),
        "opacity": ("opacity", evaluation.OPACITIES),
        "angle, degrees": ("angle", evaluation.ANGLES),
    }
    plots.against(
        place / "strength.png",
        {name: _classes(every, *what) for name, what in series.items()},
        "Probability of text that is there, median and middle 80 %",
        "lower edge of the class",
        "`text`",
        columns=3,
    )
    tiles = drawn.mistakes(answer, unseen, 16 if tiny else SHEET_DRAWN, SHEET_TILES)
    plots.contact_sheet(place / "mistakes.png", tiles)


def _classes(every, fact, edges):
    """Per class of a fact a column of probabilities, filled up with nothing."""
    numbers = np.array([one.get(fact, np.nan) for one in every.facts], float)
    columns = [
        every.text[every.written & (numbers >= low) & (numbers < high)]
        for low, high in zip(edges, edges[1:])
    ]
    table = np.full((max(map(len, columns)), len(columns)), np.nan)
    for place, column in enumerate(columns):
        table[: len(column), place] = column
    return [f"{low:g}" for low in edges[:-1]], table


def _outside(show, answer):
    """What the network says of photos that had no part in anything."""
    if show is None:
        return "None were named (`--show DIR`)."
    rows = []
    for file in sorted(show.iterdir()):
        with Image.open(file) as image:
            scores = answer([ImageOps.exif_transpose(image).convert("RGB")])[0]
        rows.append([file.name, *[f"{score:.2f}" for score in scores]])
    return metrics.table(["photo", *evaluation.LABELS], rows)
