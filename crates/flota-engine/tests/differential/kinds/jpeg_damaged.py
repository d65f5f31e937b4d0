"""JPEGs with a hole, or with other restart markers than they announce. libjpeg fills what is missing and warns,
and other decoders fill it in other ways, so that the engine must refuse all of them, whatever Pillow shows."""

import itertools
import re

import pictures
from kinds.jpeg_encoded import pnm, run
from sample import Expect, Sample

SIZE = (64, 48)
SAMPLINGS = ("1x1", "2x2")
#: Parts of the data of a scan or of a restart interval that are kept.
KEPT = (0.9, 0.5, 0.1)
#: How jpegtran rearranges a file.
ARRANGED = {
    "progressive": ["-progressive"],
    "in intervals": ["-restart", "3B"],
    "in rows": ["-restart", "1"],
    "progressive in intervals": ["-progressive", "-restart", "3B"],
}
DEFINE_INTERVAL = b"\xff\xdd\0\4"
#: The data between two markers, with the marker before them: a scan's header, or a restart marker.
DATA = re.compile(rb"(\xff\xda\0.|\xff[\xd0-\xd7])((?:[^\xff]|\xff\0)+)(?=\xff[^\0])", re.DOTALL)


def refused(kind: str, name: str, data: bytes) -> Sample:
    return Sample(kind, name, data, Expect.REFUSED)


def holes(name: str, data: bytes):
    """`data` with a hole at the end of each scan and of each restart interval but the last."""
    parts = list(DATA.finditer(data))
    for (index, part), kept in itertools.product(enumerate(parts[:-1]), KEPT):
        header = 0 if part[1][1] != 0xDA else part[1][3] - 2
        start, end = part.start(2) + header, part.end(2)
        cut = start + int((end - start) * kept)
        while data[cut - 1] == 0xFF:
            cut -= 1
        yield refused("jpeg with a hole", f"{name} part {index} keeps {kept}", data[:cut] + data[end:])


def restarts(name: str, data: bytes):
    """`data`, which announce restart markers, with more, fewer or other ones."""
    kind = "jpeg with other restart markers"
    at = data.index(DEFINE_INTERVAL)
    unannounced = data[:at] + data[at + 6 :]
    yield refused(kind, f"{name} unannounced", unannounced)
    yield refused(kind, f"{name} announced as 0", data[: at + 4] + b"\0\0" + data[at + 6 :])
    yield refused(kind, f"{name} announced later", data[: at + 4] + b"\xff\xff" + data[at + 6 :])
    markers = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    yield refused(kind, f"{name} without the last", data[: markers[-1]] + data[markers[-1] + 2 :])
    after = 0xD0 + (data[markers[-1] + 1] - 0xD0 + 1) % 8
    yield refused(kind, f"{name} one more", data[:-2] + bytes([0xFF, after]) + data[-2:])


def stray(name: str, data: bytes):
    """`data`, which announce no restart markers, with one within its last scan."""
    start = data.rindex(b"\xff\xda") + 14
    for part in (0.2, 0.5, 0.8):
        at = start + int((len(data) - 2 - start) * part)
        while data[at - 1] == 0xFF:
            at += 1
        yield refused("jpeg with other restart markers", f"{name} stray at {part}", data[:at] + b"\xff\xd0" + data[at:])


def samples():
    for sampling in SAMPLINGS:
        command = ["cjpeg", "-quality", "90", "-sample", sampling]
        plain = run(command, pnm(pictures.rgb(*SIZE)))
        yield from stray(sampling, plain)
        for name, options in ARRANGED.items():
            arranged = run(["jpegtran", *options], plain)
            yield from holes(f"{sampling} {name}", arranged)
            if name.startswith("in "):
                yield from restarts(f"{sampling} {name}", arranged)
