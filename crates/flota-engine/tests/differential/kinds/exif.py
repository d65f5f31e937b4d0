"""EXIF with an orientation, in all its spellings."""

import itertools
import struct

#: Types that a whole number may have in TIFF, and how it is then packed into four bytes.
SHORT, LONG, BYTE, RATIONAL = 3, 4, 1, 5


def exif(value: int, order: str = "<", kind: int = SHORT, count: int = 1) -> bytes:
    """A directory with an orientation and a tag before it."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    packed = {SHORT: "HH", LONG: "I", BYTE: "B3x", RATIONAL: "I"}[kind]
    values = (value, 0) if kind == SHORT else (value,)
    entries = struct.pack(order + "HHI", 271, 2, 4) + b"cam\0"
    entries += struct.pack(order + "HHI" + packed, 274, kind, count, *values)
    return head + struct.pack(order + "IH", 8, 2) + entries + struct.pack(order + "I", 0)


def spellings():
    """Names and EXIF of which the orientation is told, with and without the prefix of JPEG."""
    for value, order, kind in itertools.product(range(1, 9), "<>", (SHORT, LONG)):
        yield f"{value} {order} type {kind}", exif(value, order, kind)
    for value in (0, 9):
        yield f"{value}", exif(value)
    yield "two values", exif(6, count=2)
    yield "cut", exif(6)[:20]
    yield "no tiff", b"junk" + exif(6)
