"""From a model folder to one in eight bits, and whether that pays.

    python -m flota_training.quantize MODEL_DIR --data PHOTOS

calibrates on some of the photos, measures on others that it did not see, and writes the whole folder.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from . import compare, int8, int8_folder, model, pool

# Fewest photos to calibrate on, and fewest to measure on.
LEAST_PHOTOS = 8
MOST_HELD = 200
# Of the photos as many are held out as are not, where the repositories allow it.
HELD_OUT = 0.5
COST_PHOTOS = 8
CARD = """\
# {name} {version}

{name} {before} in eight bits, by `python -m flota_training.quantize`: calibrated on {calibrated_on} photos by
{method}, measured on {measured_on} others{stay}.

{tables}

{sentence}
"""
UNSEEN = """\

Beware: no photo that was calibrated on is flagged {}. What calibration has not seen may be cut off, and then
no such flag is ever raised: add photos that are flagged.
"""


def main():
    options = arguments()
    original = model.read(options.folder, options.cache)
    if options.out.resolve() == options.folder.resolve():
        raise SystemExit(f"--out {options.out} is the model itself: name another folder")
    manifest = int8_folder.manifest_of(original)
    calibration, held = chosen(options)
    tensors = [original.spec.array(opened(photo)) for photo in calibration]
    fp32 = original.network()
    wanted = np.array([original.scores(fp32(tensor)) for tensor in tensors])
    with tempfile.TemporaryDirectory() as place:
        prepared = Path(place) / "prepared.onnx"
        int8.prepare(original.weights, prepared)
        kept = int8.kept_nodes(prepared, options.keep)
        tried = candidates(original, prepared, tensors, wanted, kept, options)
        options.out.mkdir(parents=True, exist_ok=True)
        weights = options.out / manifest["weights"]["file"]
        shutil.copyfile(candidate(prepared, min(tried, key=tried.get)), weights)
    network = original.network(weights)
    scores, cost = measured(original, (fp32, network), held)
    int8_folder.write(original, manifest, options.out, network)
    found = report(manifest, tried, kept, scores, cost) | {
        "folder": str(options.out),
        "calibrated_on": len(calibration),
        "never_flagged_in_calibration": unseen_flags(original, wanted),
    }
    card = card_of(found, original.manifest["version"], compare.tables(scores, cost))
    (options.out / "README.md").write_text(card)
    told = json.dumps(found, indent=2) if options.json else f"{card}\nmodel folder: {options.out}"
    print(told)


def report(manifest, tried, kept, scores, cost):
    """What was found, for a program."""
    alike = scores.alike()
    pays, sentence = compare.verdict(cost, alike)
    return {
        "name": manifest["name"],
        "version": manifest["version"],
        "method": min(tried, key=tried.get),
        "mean_difference_by_method": tried,
        "kept": kept,
        "measured_on": len(scores.one),
        "scores": scores.rows(),
        "told_alike": None if alike is None else int(alike.sum()),
        "cpu_ms": {"fp32": cost.one, "int8": cost.other},
        "times_as_fast": cost.ratio(),
        "pays": pays,
        "sentence": sentence,
    }


def card_of(found, before, tables):
    """The same for people."""
    kept, unseen = found["kept"], found["never_flagged_in_calibration"]
    count = f"; {len(kept)} nodes stay in floating point" if kept else ""
    card = CARD.format(**found, before=before, stay=count, tables=tables)
    return card + (UNSEEN.format(", ".join(unseen)) if unseen else "")


def arguments():
    parser = argparse.ArgumentParser(
        prog="python -m flota_training.quantize", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="MODEL_DIR")
    add("--data", type=Path, metavar="DIR", required=True, help="photos like those to be seen")
    add(
        "--held",
        type=Path,
        metavar="DIR",
        help="photos to measure on, in place of a part of --data",
    )
    add("--out", type=Path, metavar="DIR", help="folder to write (default: MODEL_DIR-int8)")
    add("--images", type=int, default=64, metavar="N", help="photos to calibrate on (default: 64)")
    add(
        "--keep",
        action="append",
        default=[],
        metavar="NODE_OR_OPERATOR",
        help="what stays in floating point: a node's name, in which * is anything, or an operator",
    )
    add("--method", choices=int8.METHODS, help="how ranges are found (default: the best of all)")
    add("--seven-bits", action="store_true", help="weights for processors without VNNI")
    add(
        "--cache",
        type=Path,
        default=Path("flota-data/weights"),
        metavar="DIR",
        help="where the worker keeps what it fetched (default: flota-data/weights)",
    )
    add("--seed", type=int, default=1)
    add("--json", action="store_true", help="print one object for a program")
    options = parser.parse_args()
    options.out = options.out or options.folder.resolve().with_name(
        f"{options.folder.resolve().name}-int8"
    )
    if options.images < LEAST_PHOTOS:
        parser.error(f"--images {options.images}: at least {LEAST_PHOTOS} are needed")
    return options


def chosen(options):
    """(photos to calibrate on, photos to measure on): parted by origin where that leaves enough."""
    photos = pool.load_pool(options.data)
    rng = np.random.default_rng(options.seed)
    rng.shuffle(photos)
    if options.held:
        learned, held = photos, pool.load_pool(options.held)
    else:
        learned, held = pool.split(photos, HELD_OUT, options.seed)
        if min(len(learned), len(held)) < LEAST_PHOTOS:
            learned, held = photos[::2], photos[1::2]
    if min(len(learned), len(held)) < LEAST_PHOTOS:
        raise SystemExit(
            f"{len(learned)} photos to calibrate on and {len(held)} to measure on are too few: "
            f"at least {LEAST_PHOTOS} of each are needed, and some 50 are better"
        )
    count = min(options.images, len(learned))
    return learned[: count - count % int8.AT_ONCE], held[:MOST_HELD]


def opened(photo):
    try:
        return pool.upright(photo.path)
    except (UnidentifiedImageError, OSError) as error:
        raise SystemExit(f"{photo.path} cannot be read, take it out: {error}") from None


def unseen_flags(original, wanted):
    """The labels with a threshold that none of the photos calibrated on is flagged with."""
    said = compare.Scores(wanted, wanted, original.labels, original.manifest["output"])
    return [label for label, (one, _) in said.flags().items() if not one.any()]


def candidates(original, prepared, tensors, wanted, kept, options):
    """By method, the mean difference from the scores `wanted` on the photos calibrated on; each
    network lies beside `prepared`."""
    differences = {}
    for method in [options.method] if options.method else int8.METHODS:
        file = candidate(prepared, method)
        int8.quantize(prepared, file, tensors, method, kept, options.seven_bits)
        network = original.network(file)
        found = [original.scores(network(tensor)) for tensor in tensors]
        difference = float(np.abs(np.subtract(found, wanted)).mean())
        if np.isfinite(difference):
            differences[method] = difference
    if not differences:
        raise SystemExit("in eight bits the network answers what is no number: --keep more of it")
    return differences


def candidate(prepared, method):
    return prepared.with_name(f"{method}.onnx")


def measured(original, networks, held):
    """What both networks say of the photos held out, and what they cost."""
    said, tensors = [], []
    for photo in held:
        tensor = original.spec.array(opened(photo))
        said.append([original.scores(network(tensor)) for network in networks])
        tensors = tensors if len(tensors) == COST_PHOTOS else [*tensors, tensor]
    one, other = np.array(said).transpose(1, 0, 2)
    scores = compare.Scores(one, other, original.labels, original.manifest["output"])
    return scores, compare.measure_cost(*networks, tensors)


if __name__ == "__main__":
    main()
