"""The command line that every trainer has."""

import argparse
import os
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

from . import drawings, pool


@dataclass
class Run:
    """What was asked for."""

    photos: list
    labelled: list
    seed: int
    out: Path
    work: Path
    tiny: bool
    folds: int
    seeds: int
    fresh: bool
    options: argparse.Namespace


def parser(description):
    """The shared arguments; a trainer may add its own before `start`."""
    arguments = argparse.ArgumentParser(description=description)
    add = arguments.add_argument
    add("--data", type=Path, metavar="DIR", help="folder of photos, with or without MANIFEST.csv")
    add("--labels", type=Path, metavar="CSV", help="labelled photos to learn from as well")
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="model folder to write (default: that of the trainer)",
    )
    add(
        "--work",
        type=Path,
        metavar="DIR",
        help="where checkpoints and caches go (default: ~/.cache/flota)",
    )
    add("--seed", type=int, default=1)
    add(
        "--config",
        choices=["full", "tiny"],
        default="full",
        help="tiny: a minute on drawn pictures, to see that it runs",
    )
    add(
        "--folds",
        type=int,
        default=0,
        metavar="N",
        help="cross-validate over N groups of origins as well",
    )
    add(
        "--seeds", type=int, default=1, metavar="N", help="repeat the cross-validation with N seeds"
    )
    add(
        "--show",
        type=Path,
        metavar="DIR",
        help="photos of which the card lists what the finished model says",
    )
    add(
        "--bump",
        choices=["major", "minor", "patch"],
        default="minor",
        help="which part of the version goes up",
    )
    add("--threads", type=int, default=os.cpu_count(), metavar="N")
    add("--fresh", action="store_true", help="begin anew where a checkpoint is there")
    return arguments


def start(arguments, model_folder, labels):
    """Reads the command line, sets threads and seed, and loads the photos."""
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tiny = options.config == "tiny"
    if options.data is None and not tiny:
        arguments.error("--data DIR is missing: where are the photos?")
    name = Path(model_folder).name
    work = options.work or (scratch(name) if tiny else cache(name, options.data))
    out = options.out or (scratch(name) if tiny else Path(model_folder))
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    data = options.data or drawings.write_pool(work / "drawn")
    labelled = pool.load_labelled(options.labels, labels) if options.labels else []
    return Run(
        pool.load_pool(data),
        labelled,
        options.seed,
        out,
        work,
        tiny,
        options.folds,
        options.seeds,
        options.fresh,
        options,
    )


def scratch(name):
    return Path(tempfile.mkdtemp(prefix=f"flota-{name}-"))


def cache(name, data):
    """Where what is made of the photos in `data` is kept from run to run."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return place / "flota" / "training" / f"{name}-{zlib.crc32(str(data.resolve()).encode()):08x}"
