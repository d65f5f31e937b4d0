"""The model card: tables, plots and the text around them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import drawn
from baseline import computed
from degrade import AXES, NAMES, SEVERITIES, STRENGTHS
from evaluation import MIXED, MODERATE, Result, joined, places
from flota_training import export, folder, metrics, plots
from flota_training.metrics import mean_sd, table
from flota_training.pool import load_pool
from net import LABELS

TEMPLATE = Path(__file__).parent / "card.md"


@dataclass
class Findings:
    """All that the card tells."""

    manifest: dict
    result: Result
    baseline: np.ndarray
    """Scores of 1.0.0 for the pictures of `result`."""
    photos: list
    held: list
    cross: dict
    """By seed, the results of the folds."""
    sides: list
    """(side, multiply-adds, result) of short trainings."""
    parity: tuple
    """(pictures compared, rows of the table)."""
    steps: tuple
    """Steps of the shipped training, and of a round of the others."""
    multiply_adds: int
    size_bytes: int


def write(out, found, answer, show, scenes):
    """Writes README.md and plots/ into the model folder `out`. `answer` is the finished model, `show`
    a folder of photos or nothing, `scenes` how many drawn pictures mistakes are looked for in."""
    result = found.result
    draw_plots(out / "plots", result, answer, scenes)
    values = {
        "version": found.manifest["version"],
        "side": found.manifest["input"]["width"],
        "photo_count": len(found.photos),
        "origin_count": len({photo.origin for photo in found.photos}),
        "held_count": len(found.held),
        "held_origin_count": len({photo.origin for photo in found.held}),
        "picture_count": result.scores.shape[0] * result.scores.shape[1],
        "mixed_count": MIXED,
        "strengths": table(
            ["axis", "what is changed", *NAMES],
            [[axis, what, *values] for axis, (what, values) in STRENGTHS.items()],
        ),
        "measured": measured(result),
        "steps": table(
            ["axis", *NAMES[1:]],
            [
                [axis, *[f"{result.auc(axis, k, others=False):.3f}" for k in range(1, 5)]]
                for axis in AXES
            ],
        ),
        "compared": compared(rivals(result, found.baseline)),
        "beaten": beaten(rivals(result, found.baseline)),
        "flagged": flagged(result),
        "crossed": crossed(found.cross, found.steps),
        "missed": missed(result, found.cross),
        "quality_clean": f"{np.median(result.scores[:, 0, -1]):.2f}",
        "megabytes": f"{found.size_bytes / 1e6:.2f}",
        "multiply_adds": f"{found.multiply_adds / 1e6:.0f}",
        "sides": compared_sides(found.sides, found.steps),
        "parity_count": found.parity[0],
        "parity": table(export.DIFFERENCES_HEAD, found.parity[1]),
        "shown": shown(show, answer) if show else "Not run: `--show DIR` lists them.",
    }
    folder.write_card(out, TEMPLATE, values)


def measured(result):
    rows = [
        [
            axis,
            *[f"{figures[key]:.3f}" for key in ("auc", "auc_clean", "ece", "ece_mild")],
            f"{figures['falling']:.0%}",
        ]
        for axis, figures in result.figures().items()
    ]
    whole = np.mean([result.falling(axis) for axis in AXES])
    rows.append(["all series", "", "", "", "", f"{whole:.1%}"])
    return table(
        ["axis", "AUC", "AUC, clean photos only", "ECE", "ECE, mild ones too", "quality falls"],
        rows,
    )


def rivals(result, baseline):
    """By axis, for all pictures and for clean photos only: (learned area, area of the best score of
    1.0.0, its name)."""
    found = {}
    for axis in AXES:
        clean = [places(other)[MODERATE] for other in AXES if other != axis]
        for others in (True, False):
            worse = baseline[:, places(axis)[MODERATE]]
            good = baseline[:, [0, *clean] if others else [0]].reshape(-1, worse.shape[1])
            truth = np.arange(len(worse) + len(good)) < len(worse)
            best = computed.best_auc(truth, np.concatenate([worse, good]))
            found[axis, others] = (result.auc(axis, others=others), *best)
    return found


def compared(found):
    """The learned probability against whichever score of 1.0.0 tells the axis best."""
    rows = []
    for axis in AXES:
        cells = [found[axis, others] for others in (True, False)]
        rows.append(
            [axis, *[text for a, b, name in cells for text in (f"{a:.3f}", f"{b:.3f} ({name})")]]
        )
    head = ["axis", "learned", "computed 1.0.0"]
    return table([*head, *[f"{name}, clean photos only" for name in head[1:]]], rows)


def beaten(found):
    """Which axes are not better told than before."""
    lost = [
        f"{axis}{'' if others else ' among clean photos only'} ({learned:.3f} against {before:.3f})"
        for (axis, others), (learned, before, _) in found.items()
        if learned <= before
    ]
    return f"Not beaten: {', '.join(lost)}." if lost else "Beaten on every axis."


def flagged(result):
    """How many are flagged at 0.5, by strength."""
    rows = []
    for axis in AXES:
        series = result.series(axis, axis)
        rows.append([axis, *[f"{(series[:, k] >= 0.5).mean():.0%}" for k in range(len(NAMES))]])
    return table(["flagged at 0.5", *NAMES], rows)


def crossed(cross, steps):
    """Mean and spread over folds and seeds; then all folds of a seed together."""
    if not cross:
        return (
            "Not run for these weights: `--folds 5 --seeds 2` does it. The figures above are of one split\n"
            "and one seed; how far they vary is not known."
        )
    keys = ("auc", "auc_clean", "ece", "falling")
    figures = [result.figures() for results in cross.values() for result in results]
    together = {seed: joined(results).figures() for seed, results in cross.items()}
    rows = [
        [axis, *[mean_sd([found[axis][key] for found in figures]) for key in keys]] for axis in AXES
    ]
    whole = [
        [
            axis,
            *[" / ".join(f"{found[axis][key]:.3f}" for found in together.values()) for key in keys],
        ]
        for axis in AXES
    ]
    counts = ", ".join(str(len(result.scores)) for results in cross.values() for result in results)
    head = ["axis", "AUC", "AUC, clean photos only", "ECE", "quality falls (share)"]
    return (
        f"Groups of repositories, each held out in turn; {steps[1]} steps in place of {steps[0]}, and the "
        "last part from a sixth of the pictures, so expect less of each than of the weights above. Mean and "
        "standard deviation over folds and seeds:\n\n"
        f"{table(head, rows)}\n\nPhotos measured in each round: {counts}. With so few the ECE of a round is mostly chance "
        "(a perfect scale would show some hundredths), so here are the photos of all folds together, seed by seed:\n\n"
        f"{table(head, whole)}"
    )


def compared_sides(sides, steps):
    if not sides:
        return (
            "What another size gains or loses was not measured for these weights: `--sides 448 640 896`\n"
            "does it."
        )
    rows = []
    for side, multiply_adds, result in sides:
        figures = result.figures()
        areas = [figures[axis]["auc"] for axis in AXES]
        mild, falling = [
            np.mean([figures[axis][key] for axis in AXES]) for key in ("auc_mild", "falling")
        ]
        lowest = f"{min(areas):.3f} ({AXES[int(np.argmin(areas))]})"
        rows.append(
            [
                side,
                f"{multiply_adds / 1e6:.0f} million",
                f"{np.mean(areas):.3f}",
                lowest,
                f"{mild:.3f}",
                f"{falling:.1%}",
            ]
        )
    found = table(
        [
            "side",
            "multiply-adds",
            "AUC, mean of axes",
            "lowest",
            "AUC of mild, clean photos only",
            "quality falls",
        ],
        rows,
    )
    return f"Short trainings, {steps[1]} steps in place of {steps[0]}, the same photos held out:\n\n{found}"


def missed(result, cross):
    """Which of the targets were not reached, in a sentence each."""
    whole = {"photos held out": result}
    if cross:
        whole["cross-validated"] = joined(
            [result for results in cross.values() for result in results]
        )
    lines = []
    for name, found in whole.items():
        figures = found.figures()
        for key, target, reached in [
            ("auc", "AUC of at least 0.95", lambda value: value >= 0.95),
            ("ece", "ECE of at most 0.05", lambda value: value <= 0.05),
            ("falling", "quality falling in 95 % of the series", lambda value: value >= 0.95),
        ]:
            short = [
                f"{axis} {figures[axis][key]:.3f}"
                for axis in AXES
                if not reached(figures[axis][key])
            ]
            lines.append(
                f"- {target}, {name}: "
                + (f"missed by {', '.join(short)}." if short else "reached on every axis.")
            )
        series = np.mean([figures[axis]["falling"] for axis in AXES])
        lines.append(
            f"- All series of photo and axis together, {name}: quality falls in {series:.1%}."
        )
    return "\n".join(lines)


def shown(place, answer):
    """What the finished model says of the photos in `place`, numbers only."""
    rows = []
    for photo in sorted(load_pool(place), key=lambda photo: photo.name):
        said = answer([photo.pixels()])[0]
        wrong = [f"{label} {value:.2f}" for label, value in zip(AXES, said) if value >= 0.5]
        height, width = photo.pixels().shape[:2]
        rows.append([photo.name, f"{width} x {height}", f"{said[-1]:.2f}", ", ".join(wrong) or "-"])
    return table(["photo", "size", "quality", "flagged"], rows)


def draw_plots(place, result, answer, scenes):
    plots.roc(place / "roc.png", {axis: result.versus(axis) for axis in AXES})
    plots.reliability(place / "reliability.png", {axis: result.mixture(axis) for axis in AXES})
    ticks = {axis: [f"{value:g}" for value in STRENGTHS[axis][1]] for axis in AXES}
    plots.against(
        place / "probability.png",
        {axis: (ticks[axis], result.series(axis, axis)) for axis in AXES},
        "Probability of each axis against its strength",
        "strength",
        "median, middle 80 %",
    )
    plots.against(
        place / "quality.png",
        {axis: (ticks[axis], result.series(axis, "quality")) for axis in AXES},
        "Quality against strength",
        "strength",
        "median, middle 80 %",
    )
    plots.contact_sheet(place / "mistakes.png", drawn.worst(answer, scenes))
