"""The model card: tables, plots and the text around them."""

from collections import Counter
from itertools import zip_longest
from pathlib import Path

import numpy as np

import drawn
from degrade import AXES, NAMES, SEVERITIES, STRENGTHS
from evaluation import Result, share
from flota_training import export, folder, model, plots, pool
from flota_training.metrics import table
from net import LABELS
from pictures import OWN, RESAVED, opened, pictures

TEMPLATE = Path(__file__).parent / "card.md"
NOT_RUN = "Not measured for these weights: `{}` does it."


def judged(run, result):
    """What the model in `--before` makes of the photos as they are, saved again and at their full size,
    and of moderate faults."""
    read = model.read(run.options.before, run.work)
    network = read.network()
    look = lambda pixels: network(read.spec.array(pixels))[: len(AXES)]
    scores = []
    for photo, made, seen in zip(result.photos, result.plans, result.scores):
        rows = np.full(seen.shape, np.nan)
        for k, (how, data) in enumerate(zip(made, pictures(photo, run.work))):
            if how.group in OWN or how.severities.get(how.group) == 0.5:
                rows[k] = look(opened(data))
        if len(seen) > len(made):
            rows[-1] = look(np.asarray(pool.upright(next(run.options.large.glob(f"{photo.name}.*")))))
        scores.append(rows)
    thresholds = read.manifest["output"]["thresholds"]
    return Result(result.photos, scores, np.array([thresholds.get(axis, np.inf) for axis in AXES]))


def write(run, manifest, results, parity, weights, answer):
    """Writes README.md and plots/ into the model folder. `results`: of this version, by heads that saw
    nothing of a photo's origin, and of the version before, or nothing."""
    result, before = results
    draw_plots(run.out / "plots", result, answer, 24 if run.tiny else 48)
    versions = {manifest["version"]: result}
    if before:
        read = model.read(run.options.before, run.work)
        versions = {read.manifest["version"]: before} | versions
    values = {
        "version": manifest["version"],
        "side": manifest["input"]["width"],
        "photo_count": len(result.photos),
        "origin_count": len({photo.origin for photo in result.photos}),
        "picture_count": sum(map(len, result.plans)),
        "strengths": table(
            ["axis", "what is changed", *NAMES],
            [[axis, what, *values] for axis, (what, values) in STRENGTHS.items()],
        ),
        "thresholds": table(
            ["label", "flagged from"],
            [[axis, result.flagged_from().get(axis, "never")] for axis in AXES],
        ),
        "advice": table(
            ["label", "advice"], list(manifest["code"]["parameters"]["advice"].items())
        ),
        "resaved": ", ".join(map(str, RESAVED)),
        "real": real(versions, False),
        "large": real(versions, True) if run.options.large else NOT_RUN.format("--large DIR"),
        "wrong": wrong(result),
        "found": found(versions),
        "moderate": shares(result, 0.5),
        "strong": shares(result, 0.75),
        "areas": areas(result),
        "megabytes": f"{weights.stat().st_size / 1e6:.2f}",
        "parity_count": parity[0],
        "parity": table(export.DIFFERENCES_HEAD, parity[1]),
    }
    folder.write_card(run.out, TEMPLATE, values)


def real(versions, is_large):
    """Flags on real photos, by version."""
    columns = []
    for result in versions.values():
        told, faults = result.verdicts(is_large)
        right = sum(ok for _, _, ok in told)
        column = [share(*result.flagged(axis, is_large)) for axis in (*AXES, None)]
        column += [share(right, len(told)), share(right, faults)]
        columns.append(column if is_large else [*column, share(*result.changed())])
    rows = [f"good photos called {axis}" for axis in AXES]
    rows += ["good photos with any flag", "flags with a sure label that are right"]
    rows += ["faults named by the labels that are flagged", "good photos with other flags when saved again"]
    return table(["", *versions], list(map(list, zip(rows, *columns))))


def wrong(result):
    """Which photos are flagged although their label says no, by axis."""
    told = [(axis, photo.name) for photo, axis, ok in result.verdicts()[0] if not ok]
    counts = Counter(axis for axis, _ in told)
    lines = [
        f"- `{axis}` ({count}): {', '.join(name for other, name in told if other == axis)}"
        for axis, count in counts.items()
    ]
    return "\n".join(lines) or "None."


def found(versions):
    """Moderate faults that are flagged, by version; then all strengths of the last."""
    *_, result = versions.values()
    head = [f"moderate, {version}" for version in versions]
    levels = [(name, severity) for name, severity in zip(NAMES, SEVERITIES) if severity not in (0, 0.5)]
    rows = [
        [
            axis,
            *[share(*one.found(axis)) for one in versions.values()],
            *["{}/{}".format(*result.found(axis, severity)) for _, severity in levels],
        ]
        for axis in AXES
    ]
    return table(["axis", *head, *[name for name, _ in levels]], rows)


def shares(result, severity):
    """Of faults so severe that are flagged, axis by axis, as cells of a table."""
    counts = [(*result.found(axis, severity), result.thresholds[k]) for k, axis in enumerate(AXES)]
    return " | ".join(
        f"{found / max(count, 1):.0%}".replace("%", " %") if np.isfinite(threshold) else "never flagged"
        for found, count, threshold in counts
    )


def areas(result):
    rows = [
        [axis, *[f"{result.auc(axis, others=others):.3f}" for others in (False, True)]] for axis in AXES
    ]
    return table(["axis", "AUC against good photos", "AUC against other faults"], rows)


def draw_plots(place, result, answer, scenes):
    plots.roc(place / "roc.png", {axis: result.versus(axis) for axis in AXES})
    ticks = {axis: [f"{value:g}" for value in STRENGTHS[axis][1]] for axis in AXES}
    scores = lambda axis, severity: result.of(axis, axis, severity) if severity else result.good_scores(axis)
    # There are more pictures of some strengths than of others.
    series = lambda axis: list(zip_longest(*[scores(axis, s) for s in SEVERITIES], fillvalue=np.nan))
    plots.against(
        place / "probability.png",
        {axis: (ticks[axis], series(axis)) for axis in AXES},
        "Probability of each axis against its strength",
        "strength",
        "median, middle 80 %",
    )
    plots.contact_sheet(place / "mistakes.png", drawn.worst(answer, scenes))
