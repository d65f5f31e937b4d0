"""Flota beside what people use today, on this machine, with the same network and the same images.

    python3 tests/bench/peers/run.py [--rounds 5] [--images 100] [--model mobilenet-v2] [--parts] [--json]

Installs the pinned packages into target/peers, once. All contestants are started, then take turns in each
round, so that a noisy machine is noisy to all of them; the first round is not counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
TARGET = ROOT / "target/peers"
EMULATOR = "ministack==1.5.33"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--images", type=int, default=100, help="images of each round")
    arguments.add_argument("--model", default="mobilenet-v2", help="mobilenet-v2 or resnet50")
    arguments.add_argument("--megapixels", type=float, default=2.0)
    arguments.add_argument("--parts", action="store_true", help="decoding and inference alone")
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    python = installed("packages", *(HERE / "requirements.txt").read_text().split())
    if Path(sys.executable).resolve() != python.resolve() or sys.prefix != str(TARGET / "packages"):
        os.execv(python, [str(python), *sys.argv])
    measure(options, installed("emulator", EMULATOR))


def installed(name, *packages):
    """A Python with these packages; they do not fit into one environment."""
    folder = TARGET / name
    python, whole = folder / "bin/python", folder / "whole"
    wanted = "\n".join(packages)
    if not whole.exists() or whole.read_text() != wanted:
        print(f"installing {' '.join(packages)} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *packages], check=True)
        whole.write_text(wanted)
    return python


def measure(options, emulator_python):
    import networks
    import parts
    import pictures
    from contestants import Boto3, Celery, Flota, FlotaOnAws, Served
    from emulator import Emulator

    build = ["cargo", "build", "--release", "--locked", "-p", "flota", "--features", "turbojpeg"]
    subprocess.run(build, cwd=ROOT, check=True)
    flota = ROOT / "target/release/flota"
    install = [flota, "engine", "install", "--dir", TARGET / "onnxruntime"]
    library = subprocess.run(install, check=True, capture_output=True, text=True).stdout.strip()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="flota-peers-") as place:
        work = Path(place)
        networks.write(work / "models")
        model = work / "models" / options.model
        if options.parts:
            show_parts(options, parts.measure(options, ROOT, library, model, work))
            return
        emulator = Emulator(emulator_python, work)
        started = {}
        try:
            for name, start in {
                "Flota": lambda at: Flota(flota, library, at, model, cores),
                "Flota on tract": lambda at: Flota(flota, None, at, model, cores),
                "Flota on the emulator": lambda at: FlotaOnAws(
                    emulator.url, flota, library, at, model, cores
                ),
                "Celery, as first written": lambda at: Celery("plain", at, model, cores),
                "Celery, tuned": lambda at: Celery("tuned", at, model, cores),
                "boto3, as first written": lambda at: Boto3(
                    "plain", emulator.url, at, model, cores
                ),
                "boto3, tuned": lambda at: Boto3("tuned", emulator.url, at, model, cores),
                "Mosec behind boto3": lambda at: Served("served", emulator.url, at, model, cores),
            }.items():
                started[name] = start(work / name.replace(" ", "-").replace(",", ""))
            figures = take_turns(options, started, pictures, work)
        finally:
            for contestant in [*started.values(), emulator]:
                contestant.stop()
    show(options, figures)


def take_turns(options, started, pictures, work):
    from cpu import cpu_seconds, resident_mb

    figures = {name: {"cpu_ms": [], "images_per_s": [], "mb": []} for name in started}
    for number in range(options.rounds + 1):
        files = pictures.draw(work / f"round-{number}", options.images, options.megapixels, number)
        for name, contestant in started.items():
            images = contestant.hold(files)
            before = cpu_seconds(contestant.pids())
            wall_s = timed(lambda: contestant.run(images))
            cpu_s = cpu_seconds(contestant.pids()) - before
            # The first round warms caches and allocators, and waits for those that start slowly.
            if number:
                figures[name]["cpu_ms"].append(1000 * cpu_s / len(images))
                figures[name]["images_per_s"].append(len(images) / wall_s)
                figures[name]["mb"].append(resident_mb(contestant.pids()))
    return figures


def timed(work):
    from time import monotonic

    began = monotonic()
    work()
    return monotonic() - began


def show_parts(options, measured):
    rows = [
        {
            "part": name,
            "cpu_ms_per_image": round(statistics.median(values), 2),
            "lowest": round(min(values), 2),
            "highest": round(max(values), 2),
        }
        for name, values in measured.items()
    ]
    if options.json:
        print(
            json.dumps({"model": options.model, "rounds": options.rounds, "parts": rows}, indent=2)
        )
        return
    print(f"{options.model}, {options.rounds} rounds:")
    table(rows)


def show(options, figures):
    base = statistics.median(figures["Flota"]["cpu_ms"])
    rows = []
    for name, measured in figures.items():
        cpu = measured["cpu_ms"]
        rows.append(
            {
                "contestant": name,
                "cpu_ms_per_image": round(statistics.median(cpu), 2),
                "lowest": round(min(cpu), 2),
                "highest": round(max(cpu), 2),
                "times_flota": round(statistics.median(cpu) / base, 2),
                "images_per_s": round(statistics.median(measured["images_per_s"]), 1),
                "memory_mb": round(max(measured["mb"])),
            }
        )
    if options.json:
        what = {"model": options.model, "megapixels": options.megapixels, "rounds": options.rounds}
        print(json.dumps({**what, "contestants": rows}, indent=2))
        return
    print(f"{options.model}, {options.megapixels:g} megapixels, {options.rounds} rounds:")
    table(rows)


def table(rows):
    head = list(rows[0])
    print("| " + " | ".join(name.replace("_", " ") for name in head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(row[name]) for name in head) + " |")


if __name__ == "__main__":
    main()
