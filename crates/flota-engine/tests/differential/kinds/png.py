"""PNG: every colour type and depth, filter, interlacing and transparency; where EXIF may stand; what is
complete without its last chunk, and what is not."""

import itertools
import struct
import zlib

import numpy

import pictures
from kinds import exif
from sample import EXACT, Expect, Sample, Tolerance

#: Colour types with their samples and depths.
COLOR_TYPES = {
    0: (1, (1, 2, 4, 8, 16)),
    2: (3, (8, 16)),
    3: (1, (1, 2, 4, 8)),
    4: (2, (8, 16)),
    6: (4, (8, 16)),
}
#: Start and step of the passes of Adam7: x, y, step of x, step of y.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
#: Pillow drops the lower byte of 16 bits, where the engine rounds.
DEEP = Tolerance(max=1, mean=1)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rows(values: numpy.ndarray, depth: int, filters: list[int]) -> bytes:
    """Filtered rows of samples (height, width, samples)."""
    height, width, samples = values.shape
    if not height or not width:
        return b""
    step = max(1, samples * depth // 8)
    before = None
    out = b""
    for y in range(height):
        if depth == 16:
            row = values[y].astype(">u2").tobytes()
        elif depth == 8:
            row = values[y].astype(numpy.uint8).tobytes()
        else:
            bits = (values[y].reshape(-1, 1) >> numpy.arange(depth - 1, -1, -1)) & 1
            row = numpy.packbits(bits.astype(numpy.uint8).reshape(-1)).tobytes()
        before = before or bytes(len(row))
        name = filters[y % len(filters)]
        out += bytes([name]) + filtered(name, row, before, step)
        before = row
    return out


def filtered(name: int, row: bytes, before: bytes, step: int) -> bytes:
    out = bytearray()
    for index, value in enumerate(row):
        left = row[index - step] if index >= step else 0
        corner = before[index - step] if index >= step else 0
        up = before[index]
        estimate = left + up - corner
        paeth = min((left, up, corner), key=lambda other: abs(estimate - other))
        out.append((value - [0, left, up, (left + up) // 2, paeth][name]) % 256)
    return bytes(out)


def png(values, color_type, depth, before=b"", after=b"", end=True, interlaced=False, filters=(0, 1, 2, 3, 4)):
    """A PNG of samples (height, width, samples), with chunks before and after the picture."""
    height, width, _ = values.shape
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, interlaced)
    parts = [values[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [values]
    data = zlib.compress(b"".join(rows(part, depth, list(filters)) for part in parts))
    half = len(data) // 2
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before
    out += chunk(b"IDAT", data[:half]) + chunk(b"IDAT", data[half:]) + after
    return out + (chunk(b"IEND", b"") if end else b"")


def picture(width: int, height: int, samples: int, depth: int) -> numpy.ndarray:
    planes = pictures.planes(pictures.rgb(width, height), samples if samples > 2 else 1)
    if samples == 2:
        planes.append(pictures.rgb(width, height, 5)[:, :, 0])
    values = numpy.stack(planes, axis=2).astype(numpy.uint32)
    return values * 257 if depth == 16 else values >> (8 - depth)


def palette(depth: int) -> bytes:
    return numpy.random.default_rng(depth).integers(0, 256, 3 << depth, numpy.uint8).tobytes()


def every_kind():
    for color_type, (samples, depths) in COLOR_TYPES.items():
        for depth, size, interlaced in itertools.product(depths, ((1, 1), (5, 3), (9, 17), (33, 20)), (0, 1)):
            values = picture(*size, samples, depth)
            before = chunk(b"PLTE", palette(depth)) if color_type == 3 else b""
            name = f"type {color_type} depth {depth} {size[0]}x{size[1]} interlaced {interlaced}"
            tolerance = DEEP if depth == 16 else EXACT
            # A palette of one byte a pixel that is cut may lack nothing that is seen.
            data = png(values, color_type, depth, before, interlaced=bool(interlaced))
            yield Sample("png", name, data, tolerance=tolerance, is_cut=size == (33, 20))
            if color_type in (0, 2, 3):
                key = b"".join(struct.pack(">H", int(value)) for value in values[0, 0])
                if color_type == 3:
                    key = bytes(range(0, 256, 256 >> depth))[: 1 << depth]
                data = png(values, color_type, depth, before + chunk(b"tRNS", key), interlaced=bool(interlaced))
                wanted = clear_grey(values, depth) if color_type == 0 else None
                yield Sample("png with a clear colour", name, data, tolerance=tolerance, reference=wanted)


def clear_grey(values: numpy.ndarray, depth: int) -> numpy.ndarray:
    """Greys of which the first is clear. Pillow compares it with greys that are already scaled to 8 bits."""
    scaled = values // 257 if depth == 16 else values * (255 // ((1 << depth) - 1))
    shown = numpy.where(values == values[0, 0], 255, scaled).astype(numpy.uint8)
    return numpy.repeat(shown, 3, axis=2)


def without_end():
    values = picture(20, 13, 3, 8)
    whole = png(values, 2, 8)
    for missing in range(1, 13):
        yield Sample("png without end", f"{missing} bytes", whole[:-missing], reference=values.astype(numpy.uint8))
    for lost in range(13, len(whole) - 60, 7):
        yield Sample("png cut", f"by {lost}", whole[:-lost], Expect.REFUSED)
        cut = zlib.compress(rows(values, 8, [0]))[: -max(8, lost - 12)]
        header = whole[:33]
        data = header + chunk(b"IDAT", cut) + chunk(b"IEND", b"")
        yield Sample("png cut", f"by {lost}, with an end", data, Expect.REFUSED)


def oriented():
    values = picture(20, 13, 3, 8)
    for name, stored in exif.spellings():
        # EXIF that cannot be read fails no image, though it makes Pillow fail.
        wanted = values.astype(numpy.uint8) if name == "no tiff" else None
        for prefix in (b"", b"Exif\0\0"):
            part = chunk(b"eXIf", prefix + stored)
            where = {"before": (part, b""), "after": (b"", part)}
            for place, (before, after) in where.items():
                data = png(values, 2, 8, before, after)
                yield Sample("png with EXIF", f"{name} {prefix} {place}", data, tolerance=EXACT, reference=wanted)
        for compressed in (False, True):
            stored_hex = (b"Exif\0\0" + stored).hex()
            lines = "\n".join(stored_hex[at : at + 72] for at in range(0, len(stored_hex), 72))
            text = f"\nexif\n{len(stored) + 6:8}\n{lines}\n".encode()
            keyword = b"Raw profile type exif\0"
            part = chunk(b"zTXt", keyword + b"\0" + zlib.compress(text)) if compressed else chunk(b"tEXt", keyword + text)
            data = png(values, 2, 8, part)
            yield Sample("png with EXIF as text", f"{name} {compressed}", data, tolerance=EXACT, reference=wanted)


def described():
    """Colours are taken as stored, whatever is said of them."""
    values = picture(20, 13, 3, 8)
    parts = {
        "gAMA": chunk(b"gAMA", struct.pack(">I", 2000)),
        "cHRM": chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
        "iCCP": chunk(b"iCCP", b"junk\0\0" + zlib.compress(bytes(200))),
        "zTXt": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 20))),
        "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(1 << 20))),
    }
    for name, part in parts.items():
        yield Sample("png with more", name, png(values, 2, 8, part, part), tolerance=EXACT, reference=values.astype(numpy.uint8))


def samples():
    yield from every_kind()
    yield from without_end()
    yield from oriented()
    yield from described()
