"""Flota beside what people use today, on this machine, with the same network and the same images.

    python3 tests/bench/peers/run.py [--rounds 5] [--images 100] [--model mobilenet-v2] [--json]
                                    [--parts | --no-op]

Installs the pinned packages into target/peers, once. All contestants are started, then take turns in each
round; the first is not counted.
"""

import argparse
import os
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
    arguments.add_argument(
        "--images", type=int, default=100, help="images, or tasks, of each round"
    )
    arguments.add_argument(
        "--model", default="mobilenet-v2", help="mobilenet-v2, resnet50 or efficientnet-b0"
    )
    arguments.add_argument("--megapixels", type=float, default=2.0)
    arguments.add_argument("--parts", action="store_true", help="decoding and inference alone")
    arguments.add_argument("--no-op", action="store_true", help="tasks without work")
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
    import no_op
    import parts
    import show
    import whole

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
            show.parts(options, parts.measure(options, ROOT, library, model, work))
        elif options.no_op:
            figures = no_op.measure(options, flota, library, model, work, cores)
            show.no_op(options, no_op.task_count(options), figures)
        else:
            figures = whole.measure(options, flota, library, model, work, cores, emulator_python)
            show.whole(options, figures)


if __name__ == "__main__":
    main()
