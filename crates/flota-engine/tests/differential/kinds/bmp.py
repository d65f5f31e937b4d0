"""BMP of every header, depth, compression and direction, put together by hand."""

import itertools
import struct

import numpy

import pictures
from sample import EXACT, Expect, Sample, Tolerance

SIZES = [(1, 1), (5, 3), (16, 9), (33, 20)]
#: Pillow rounds channels of five and six bits down.
FEW_BITS = Tolerance(max=2, mean=2)
OFFSET_AT = 10


def padded(row: bytes) -> bytes:
    return row + bytes(-len(row) % 4)


def file(size, bits, compression, pixels, *, header=40, colors=b"", count=0, masks=(), gap=0, top_down=False):
    """A bitmap file; masks stand within headers that have room for them, else behind."""
    width, height = size
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        stored_height = -height if top_down else height
        head = struct.pack("<IiiHHIIiiII", 40, width, stored_height, 1, bits, compression, len(pixels), 0, 0, count, 0)
        head = struct.pack("<I", header) + head[4:]
        head += struct.pack(f"<{len(masks)}I", *masks)
        head += bytes(max(0, header - len(head)))
    at = 14 + len(head) + len(colors) + gap
    start = b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at)
    return start + head + colors + b"\x55" * gap + pixels


def indexes(size, bits):
    return pictures.rgb(*size)[:, :, 0] >> (8 - bits)


def palette(bits: int, entry: int) -> bytes:
    colors = numpy.random.default_rng(bits).integers(0, 256, (1 << bits, 3), numpy.uint8)
    return b"".join(bytes(color) + bytes(entry - 3) for color in colors)


def packed(row: numpy.ndarray, bits: int) -> bytes:
    spread = (row.reshape(-1, 1) >> numpy.arange(bits - 1, -1, -1)) & 1
    return padded(numpy.packbits(spread.astype(numpy.uint8).reshape(-1)).tobytes())


def directed(stored_rows: list[bytes], top_down: bool) -> bytes:
    return b"".join(stored_rows if top_down else stored_rows[::-1])


def palettes():
    for size, bits, header, gap, top_down in itertools.product(
        SIZES, (1, 4, 8), (12, 40, 52, 56, 64, 108, 124), (0, 4, 31), (False, True)
    ):
        if header == 12 and top_down:
            continue
        pixels = directed([packed(row, bits) for row in indexes(size, bits)], top_down)
        colors = palette(bits, 3 if header == 12 else 4)
        data = file(size, bits, 0, pixels, header=header, colors=colors, gap=gap, top_down=top_down)
        name = f"{bits} bits {size[0]}x{size[1]} header {header} gap {gap} top-down {top_down}"
        yield Sample("bmp palette", name, data, tolerance=EXACT, is_cut=size == (33, 20) and gap == 0)


def few_colors():
    """A palette that is shorter than it could be, with its length said."""
    size = (16, 9)
    values = indexes(size, 8) % 10
    pixels = directed([packed(row, 8) for row in values], False)
    for gap in (0, 8):
        data = file(size, 8, 0, pixels, colors=palette(8, 4)[:40], count=10, gap=gap)
        yield Sample("bmp palette", f"10 colours gap {gap}", data, tolerance=EXACT)


def true_colors():
    for size, bits, header, top_down in itertools.product(SIZES, (16, 24, 32), (12, 40, 64, 108, 124), (False, True)):
        if header == 12 and (top_down or bits != 24):
            continue
        rgb = pictures.rgb(*size)
        pixels = directed([padded(row) for row in stored(rgb, bits)], top_down)
        name = f"{bits} bits {size[0]}x{size[1]} header {header} top-down {top_down}"
        data = file(size, bits, 0, pixels, header=header, top_down=top_down)
        yield Sample("bmp true colour", name, data, tolerance=FEW_BITS if bits == 16 else EXACT, is_cut=size == (33, 20))


def stored(rgb: numpy.ndarray, bits: int) -> list[bytes]:
    red, green, blue = (rgb[:, :, n].astype(numpy.uint16) for n in range(3))
    if bits == 16:
        values = (red >> 3) << 10 | (green >> 3) << 5 | blue >> 3
        return [row.astype("<u2").tobytes() for row in values]
    if bits == 24:
        return [row[:, ::-1].tobytes() for row in rgb]
    empty = numpy.full(rgb.shape[:2] + (1,), 77, numpy.uint8)
    return [row.tobytes() for row in numpy.concatenate([rgb[:, :, ::-1], empty], axis=2)]


MASKS_32 = [
    (0xFF0000, 0xFF00, 0xFF, 0),
    (0xFF000000, 0xFF0000, 0xFF00, 0),
    (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
]
MASKS_16 = [(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)]


def masked():
    for size, header, top_down in itertools.product(SIZES, (40, 56, 108, 124), (False, True)):
        rgb = pictures.rgb(*size)
        opacity = pictures.rgb(*size, 4)[:, :, 0]
        for masks in MASKS_32 + MASKS_16:
            bits = 16 if masks in MASKS_16 else 32
            if header == 40 and masks[3]:
                continue
            values = numpy.zeros(rgb.shape[:2], numpy.uint64)
            for mask, plane in zip(masks, [*numpy.moveaxis(rgb, 2, 0), opacity]):
                if mask:
                    shift = (mask & -mask).bit_length() - 1
                    highest = mask >> shift
                    values |= (plane.astype(numpy.uint64) * highest + 127) // 255 << shift
            rows = [padded(row.astype(f"<u{bits // 8}").tobytes()) for row in values]
            name = f"{size[0]}x{size[1]} header {header} masks {masks} top-down {top_down}"
            given = masks[:3] if header == 40 else masks
            data = file(size, bits, 3, directed(rows, top_down), header=header, masks=given, top_down=top_down)
            yield Sample("bmp masks", name, data, tolerance=FEW_BITS if bits == 16 else Tolerance(1, 1))


def no_opacity_at_all():
    """Browsers show such a picture; Pillow sees nothing of it."""
    size = (16, 9)
    rgb = pictures.rgb(*size)
    clear = numpy.zeros(rgb.shape[:2] + (1,), numpy.uint8)
    rows = [row.tobytes() for row in numpy.concatenate([rgb[:, :, ::-1], clear], axis=2)]
    data = file(size, 32, 3, directed(rows, False), header=108, masks=MASKS_32[4])
    yield Sample("bmp masks", "no opacity at all", data, tolerance=EXACT, reference=rgb)


def runs(values: numpy.ndarray, bits: int, literal: int) -> bytes:
    """Run lengths of rows from the bottom; every `literal`th code is a literal."""
    out = b""
    for row in values[::-1]:
        at, code = 0, 0
        while at < len(row):
            part = row[at : at + 3 + code % 4]
            code += 1
            if literal and code % literal == 0 and len(part) >= 3:
                body = bytes(part) if bits == 8 else nibbles(part)
                out += bytes([0, len(part)]) + body + bytes(len(body) % 2)
                at += len(part)
                continue
            count = 1
            while at + count < len(row) and row[at + count] == row[at] and count < 255:
                count += 1
            value = int(row[at])
            out += bytes([count, value if bits == 8 else value << 4 | value])
            at += count
        out += b"\0\0"
    return out + b"\0\1"


def nibbles(part) -> bytes:
    even = [int(value) for value in part] + [0] * (len(part) % 2)
    return bytes(high << 4 | low for high, low in zip(even[::2], even[1::2]))


def run_lengths():
    for size, bits, literal in itertools.product(SIZES, (4, 8), (0, 2, 3)):
        values = indexes(size, bits)
        data = file(size, bits, 1 if bits == 8 else 2, runs(values, bits, literal), colors=palette(bits, 4))
        name = f"{bits} bits {size[0]}x{size[1]} literal {literal}"
        yield Sample("bmp run lengths", name, data, tolerance=EXACT, is_cut=size == (33, 20))
    wanted = numpy.zeros((9, 16), numpy.uint8)
    wanted[8, :3], wanted[7, 7:9], wanted[6, :4] = 5, 7, 9
    colors = numpy.frombuffer(palette(8, 3), numpy.uint8).reshape(-1, 3)[:, ::-1]
    jump = b"\x03\x05\0\2\x04\1\x02\x07\0\0\x04\x09\0\1"
    data = file((16, 9), 8, 1, jump, colors=palette(8, 4))
    yield Sample("bmp run lengths", "with a jump", data, tolerance=EXACT, reference=colors[wanted])


def refused():
    for bits, compression in ((24, 4), (24, 5), (64, 0), (8, 7), (24, 1), (32, 11)):
        data = file((8, 8), bits, compression, bytes(1000), colors=palette(8, 4))
        yield Sample("bmp refused", f"{bits} {compression}", data, Expect.UNSUPPORTED)
    for size in ((0, 5), (5, 0), (-5, 5)):
        yield Sample("bmp refused", f"{size}", file(size, 24, 0, bytes(1000)), Expect.REFUSED)


def samples():
    for part in (palettes, few_colors, true_colors, masked, no_opacity_at_all, run_lengths, refused):
        yield from part()
