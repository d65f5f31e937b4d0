"""JPEGs of kinds that the engine does not read. They are sound, so it must say `DECODE_UNSUPPORTED`; it
must never call them damaged."""

import io
import subprocess

from PIL import Image

import pictures
from jpeg_writer import Shape, segment, write
from sample import Expect, Sample

SIZES = [(1, 1), (8, 8), (17, 9), (33, 40)]


def refused(label: str, data: bytes) -> Sample:
    return Sample("jpeg kinds not read", label, data, Expect.UNSUPPORTED)


def with_frame(data: bytes, marker: int, precision: int = 8, height: int | None = None) -> bytes:
    """`data` with another frame marker, precision or height."""
    at = data.index(b"\xff\xc0")
    changed = bytearray(data)
    changed[at + 1] = marker
    changed[at + 4] = precision
    if height is not None:
        changed[at + 5 : at + 7] = height.to_bytes(2, "big")
    return bytes(changed)


def samples():
    for size in SIZES:
        picture = pictures.rgb(*size)
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "PPM")
        for options in ([], ["-progressive"], ["-grayscale"], ["-restart", "1B"]):
            command = ["cjpeg", "-arithmetic", *options]
            data = subprocess.run(command, input=out.getvalue(), capture_output=True, check=True).stdout
            yield refused(f"arithmetic {options} {size}", data)
        for count in (1, 3, 4):
            data = write(pictures.planes(picture, count), Shape([(1, 1)] * count))
            for precision, marker in ((12, 0xC1), (12, 0xC2)):
                label = f"{precision} bit {marker:x} {count} components {size}"
                yield refused(label, with_frame(data, marker, precision))
            for marker in (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7):
                yield refused(f"process {marker:x} {count} components {size}", with_frame(data, marker))
            scan_end = data[:-2] + segment(0xDC, size[1].to_bytes(2, "big")) + data[-2:]
            label = f"height after the scan {count} components {size}"
            yield refused(label, with_frame(scan_end, 0xC0, height=0))
            hierarchical = data[:2] + segment(0xDE, bytes(data[data.index(b"\xff\xc0") + 4 :][:6 + 3 * count])) + data[2:]
            yield refused(f"hierarchical {count} components {size}", hierarchical)
        two = write(pictures.planes(picture, 2), Shape([(1, 1)] * 2))
        yield refused(f"two components {size}", two)
