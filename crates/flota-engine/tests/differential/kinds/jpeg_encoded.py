"""JPEGs that libjpeg-turbo's `cjpeg` and `jpegtran` and Pillow write: what most files are, at every size up
to 40 pixels, where blocks and units are cut by the picture's edge."""

import io
import itertools
import random
import subprocess
import tempfile

import numpy
from PIL import Image

import pictures
from sample import CHROMA, CHROMA_ALSO, Sample

SAMPLINGS = ["1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "4x2", "2x4", "3x1"]
SIZES = range(1, 41)
#: Scans of a lossless rearrangement by jpegtran.
SCRIPTS = {
    "0;1;2": "0;\n1;\n2;\n",
    "0;1,2": "0;\n1,2;\n",
    "0,1;2": "0,1;\n2;\n",
    "progressive by component": "0: 0-0, 0, 0;\n1,2: 0-0, 0, 0;\n0: 1-63, 0, 0;\n2: 1-63, 0, 0;\n1: 1-63, 0, 0;\n",
    "progressive in bits": (
        "0,1,2: 0-0, 0, 1;\n0: 1-5, 0, 2;\n1: 1-63, 0, 0;\n2: 1-63, 0, 0;\n0: 6-63, 0, 2;\n"
        "0: 1-63, 2, 1;\n0,1,2: 0-0, 1, 0;\n0: 1-63, 1, 0;\n"
    ),
}


def run(command: list[str], data: bytes) -> bytes:
    """What a program of libjpeg-turbo makes of `data`."""
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def pnm(picture: numpy.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PPM")
    return out.getvalue()


def made(kind: str, name: str, data: bytes, is_cut: bool = False) -> Sample:
    return Sample(kind, name, data, tolerance=CHROMA, is_cut=is_cut, also=CHROMA_ALSO)


def every_size(draw: random.Random):
    for size, sampling in itertools.product(SIZES, SAMPLINGS):
        picture = pictures.rgb(size, draw.randint(1, 40), size)
        name = f"{sampling} {size}x{picture.shape[0]}"
        plain = pnm(picture)
        sample = ["-sample", f"{sampling},1x1,1x1", "-quality", "92"]
        restart = ["-restart", draw.choice(["1B", "2B", "1"])]
        yield made("jpeg sequential", name, run(["cjpeg", *sample, "-optimize"], plain), size % 8 == 0)
        data = run(["cjpeg", *sample, "-progressive", *restart], plain)
        yield made("jpeg progressive", name, data, size % 8 == 1)
        yield made("jpeg with restarts", name, run(["cjpeg", *sample, *restart], plain), size % 8 == 2)


def rearranged(draw: random.Random):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as script:
        for (label, text), sampling in itertools.product(SCRIPTS.items(), SAMPLINGS):
            script.seek(0)
            script.truncate()
            script.write(text)
            script.flush()
            for number in range(6):
                picture = pictures.rgb(draw.randint(1, 40), draw.randint(1, 40), number)
                name = f"{label} {sampling} {picture.shape[1]}x{picture.shape[0]}"
                restart = ["-restart", "2B"] if number % 3 == 0 else []
                command = ["jpegtran", "-scans", script.name, *restart]
                data = run(command, run(["cjpeg", "-sample", f"{sampling},1x1,1x1"], pnm(picture)))
                yield made("jpeg rearranged by jpegtran", name, data, number == 0)


def by_pillow(draw: random.Random):
    for mode, progressive, restart in itertools.product(("RGB", "L", "CMYK"), (False, True), (0, 1, 5)):
        for subsampling, number in itertools.product((0, 1, 2), range(4)):
            picture = pictures.rgb(draw.randint(1, 40), draw.randint(1, 40), number)
            out = io.BytesIO()
            Image.fromarray(picture).convert(mode).save(
                out,
                "JPEG",
                quality=92,
                progressive=progressive,
                subsampling=subsampling,
                restart_marker_blocks=restart,
            )
            size = f"{picture.shape[1]}x{picture.shape[0]}"
            name = f"{mode} {size} subsampling {subsampling} progressive {progressive} restart {restart}"
            yield made(f"jpeg by Pillow, {mode}", name, out.getvalue(), number == 0)


def in_red_green_blue(draw: random.Random):
    for number in range(40):
        picture = pictures.rgb(draw.randint(1, 40), draw.randint(1, 40), number)
        progressive = ["-progressive"] if number % 2 else []
        sample = ["-sample", draw.choice(["1x1,1x1,1x1", "2x1,2x1,2x1", "1x1,2x1,1x1"])]
        data = run(["cjpeg", "-rgb", *sample, *progressive], pnm(picture))
        yield made("jpeg in RGB", f"{number} {sample[1]}", data, number % 4 == 0)


def samples():
    draw = random.Random(7)
    yield from every_size(draw)
    yield from rearranged(draw)
    yield from by_pillow(draw)
    yield from in_red_green_blue(draw)
