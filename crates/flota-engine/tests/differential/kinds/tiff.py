"""TIFF of every layout that is read: what the pixels are is known by construction, and Pillow's libtiff
says the same wherever it reads the file; what libtiff writes is judged by Pillow; what is not read has
to be refused by name."""

import io
import itertools

import numpy
from PIL import Image

import pictures
from kinds.tiff_writer import DEFLATE, JPEG, LZW, NONE, PACKBITS, YCBCR, tiff
from sample import EXACT, ROUNDING, Expect, Sample, Tolerance

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
SIZE = (37, 21)
NEAR = Tolerance(max=1, mean=1)
#: Opacity that was multiplied in and divided out again loses steps where little is seen.
DIVIDED = Tolerance(max=2, mean=1)


def rgb(size=SIZE) -> numpy.ndarray:
    return pictures.rgb(*size)


def opacity(size=SIZE) -> numpy.ndarray:
    return pictures.rgb(*size, 4)[:, :, :1]


def deep(values: numpy.ndarray, bits: int) -> numpy.ndarray:
    """8 bits as `bits`, rounded."""
    return (values.astype(numpy.uint64) * ((1 << bits) - 1) + 127) // 255


def shown(values: numpy.ndarray, bits: int) -> numpy.ndarray:
    """`bits` as 8 bits, rounded, in three channels."""
    highest = (1 << bits) - 1
    grey = ((values.astype(numpy.uint64) * 255 + highest // 2) // highest).astype(numpy.uint8)
    return numpy.repeat(grey, 3, axis=2) if grey.shape[2] == 1 else grey


def over_white(values: numpy.ndarray, alpha: numpy.ndarray) -> numpy.ndarray:
    mixed = values.astype(float) * alpha + 255.0 * (255 - alpha.astype(float))
    return numpy.rint(mixed / 255).astype(numpy.uint8)


def layouts():
    """Chunks, byte orders, compressions and predictors, each with each."""
    grey, color = rgb()[:, :, :1], rgb()
    chunks = [{}, {"rows_per_strip": 5}, {"tile": (16, 16)}, {"tile": (32, 48)}]
    for order, big, planar, chunk in itertools.product("<>", (False, True), (False, True), chunks):
        for compression, predictor in ((NONE, 1), (LZW, 1), (LZW, 2), (DEFLATE, 1), (DEFLATE, 2), (PACKBITS, 1)):
            options = {"order": order, "big": big, "planar": planar, "compression": compression, "predictor": predictor}
            for bits, values in ((8, grey), (8, color), (16, color)):
                stored = deep(values, bits)
                kind = BLACK_IS_ZERO if values.shape[2] == 1 else RGB
                data = tiff(stored, kind, bits, **options, **chunk)
                name = f"{order} big {big} planar {planar} {chunk} {compression} predictor {predictor} bits {bits} x {values.shape[2]}"
                yield Sample("tiff layouts", name, data, tolerance=EXACT, reference=shown(stored, bits))


def samples_of_every_size():
    for bits, kind, order, reverse in itertools.product(
        (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16), (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB), "<>", (False, True)
    ):
        values = deep(rgb() if kind == RGB else rgb()[:, :, :1], bits)
        wanted = shown(values, bits)
        wanted = 255 - wanted if kind == WHITE_IS_ZERO else wanted
        for compression, tile in itertools.product((NONE, LZW, DEFLATE), (None, (16, 16))):
            data = tiff(values, kind, bits, order=order, compression=compression, tile=tile, reversed_bits=reverse)
            name = f"{bits} bits kind {kind} {order} reversed {reverse} {compression} {tile}"
            yield Sample("tiff depths", name, data, tolerance=NEAR, reference=wanted)


def floats():
    for bits, predictor, order, tile in itertools.product((32, 64), (1, 3), "<>", (None, (16, 16))):
        for values, kind in ((rgb()[:, :, :1], BLACK_IS_ZERO), (rgb(), RGB)):
            stored = values.astype(f"f{bits // 8}") / 255
            data = tiff(stored, kind, bits, order=order, compression=DEFLATE, predictor=predictor, tile=tile)
            name = f"{bits} bits predictor {predictor} {order} {tile} kind {kind}"
            yield Sample("tiff floats", name, data, tolerance=NEAR, reference=shown(values, 8))
    for most in (255.0, 1.01, float("nan"), float("inf"), -0.5):
        stored = rgb().astype("f4") / 255
        stored[3, 4, 1] = most
        yield Sample("tiff floats beyond 0 to 1", f"{most}", tiff(stored, RGB, 32), Expect.UNSUPPORTED, reference=rgb())


def transparent():
    alpha = opacity()
    for bits, order, planar, tile in itertools.product((8, 16), "<>", (False, True), (None, (16, 16))):
        for kind, values in ((BLACK_IS_ZERO, rgb()[:, :, :1]), (RGB, rgb())):
            base = numpy.concatenate([values, alpha], axis=2)
            multiplied = (values.astype(float) * alpha / 255).round().astype(numpy.uint8)
            mixed = numpy.concatenate([multiplied, alpha], axis=2)
            plain = numpy.repeat(values, 3, axis=2) if kind == BLACK_IS_ZERO else values
            options = {"order": order, "planar": planar, "tile": tile, "compression": LZW}
            for extra, stored, wanted, tolerance in (
                (2, base, over_white(plain, alpha), NEAR),
                (1, mixed, over_white(plain, alpha), DIVIDED),
                (0, base, plain, NEAR),
            ):
                data = tiff(deep(stored, bits), kind, bits, fields={338: [extra]}, **options)
                name = f"kind {kind} bits {bits} {order} planar {planar} {tile} extra {extra}"
                yield Sample("tiff opacity", name, data, tolerance=tolerance, reference=wanted)
    rgba = numpy.concatenate([rgb(), alpha], axis=2)
    yield Sample("tiff opacity", "that nothing is said of", tiff(rgba, RGB, 8), tolerance=NEAR)
    for count in (1, 2):
        more = numpy.concatenate([rgba] + [alpha] * count, axis=2)
        for first in (0, 1, 2):
            data = tiff(more, RGB, 8, fields={338: [first] + [0] * count})
            yield Sample("tiff opacity", f"{first} and {count} more", data, tolerance=DIVIDED)


def palettes():
    for bits, order, tile, short in itertools.product((1, 2, 4, 8), "<>", (None, (16, 16)), (False, True)):
        colors = numpy.random.default_rng(bits).integers(0, 256, (1 << bits, 3))
        colors[0, 0] = 200
        stored = rgb()[:, :, :1] >> (8 - bits)
        table = (colors if short else colors * 257).T.reshape(-1).tolist()
        for compression in (NONE, DEFLATE, PACKBITS):
            data = tiff(stored, PALETTE, bits, order=order, tile=tile, compression=compression, fields={320: table})
            wanted = colors[stored[:, :, 0]].astype(numpy.uint8)
            name = f"{bits} bits {order} {tile} {compression} of bytes {short}"
            yield Sample("tiff palette", name, data, tolerance=EXACT, reference=wanted)


def inks():
    stored = numpy.concatenate([rgb(), opacity() // 2], axis=2)
    light = 255 - stored.astype(float)
    wanted = numpy.rint(light[:, :, :3] * light[:, :, 3:] / 255).astype(numpy.uint8)
    for bits, order, planar, compression in itertools.product((8, 16), "<>", (False, True), (NONE, LZW)):
        data = tiff(deep(stored, bits), CMYK, bits, order=order, planar=planar, compression=compression)
        yield Sample("tiff CMYK", f"{bits} {order} {planar} {compression}", data, tolerance=NEAR, reference=wanted)


def oriented():
    for value, order, size in itertools.product(range(0, 10), "<>", (SIZE, (1, 5))):
        for kind, values in ((RGB, rgb(size)), (BLACK_IS_ZERO, rgb(size)[:, :, :1])):
            data = tiff(values, kind, 8, order=order, fields={274: [value]})
            yield Sample("tiff orientation", f"{value} {order} {size} {kind}", data, tolerance=EXACT)


def by_libtiff():
    compressions = ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg", "group3", "group4"]
    for compression, size in itertools.product(compressions, ((1, 1), (16, 16), SIZE, (70, 90))):
        modes = ("1",) if compression.startswith("group") else ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16")
        for mode in modes:
            if compression == "jpeg" and mode not in ("L", "RGB"):
                continue
            image = Image.fromarray(pictures.rgb(*size))
            if mode == "I;16":
                image = Image.fromarray(deep(rgb(size)[:, :, 0], 16).astype(numpy.uint16))
            else:
                image = image.convert(mode)
            out = io.BytesIO()
            image.save(out, "TIFF", compression=compression)
            tolerance = ROUNDING if compression == "jpeg" else NEAR
            yield Sample("tiff by libtiff", f"{mode} {compression} {size}", out.getvalue(), tolerance=tolerance)
    for strip, quality in itertools.product((16, 64, 4096), (50, 95)):
        out = io.BytesIO()
        Image.fromarray(pictures.rgb(90, 70)).save(out, "TIFF", compression="jpeg", quality=quality, strip_size=strip * 90)
        yield Sample("tiff by libtiff", f"jpeg strips {strip} {quality}", out.getvalue(), tolerance=ROUNDING)


def without_an_end():
    """libtiff writes the values of long fields last: without them a file is no file of other fields."""
    for compression, mode in itertools.product(("tiff_lzw", "tiff_adobe_deflate", "packbits"), ("RGB", "RGBA", "CMYK")):
        out = io.BytesIO()
        Image.fromarray(rgb()).convert(mode).save(out, "TIFF", compression=compression)
        for missing in (1, 2, 4, 6, 8, 10):
            data = out.getvalue()[:-missing]
            yield Sample("tiff without its end", f"{compression} {mode} -{missing}", data, Expect.REFUSED)


def jpegs():
    """JPEGs inside, of each photometric interpretation, together and in planes. Where the numbers of
    components are not those of the fields, libtiff refuses, too."""
    color, grey = rgb((48, 32)), rgb((48, 32))[:, :, :1]
    chunks = [{}, {"rows_per_strip": 16}, {"tile": (16, 16)}]
    for order, big, chunk in itertools.product("<>", (False, True), chunks):
        options = {"order": order, "big": big, "compression": JPEG, **chunk}
        for kind, planar in itertools.product((WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR), (False, True)):
            values = color if kind in (RGB, YCBCR) else grey
            fields = {530: [1, 1]} if kind == YCBCR else {}
            data = tiff(values, kind, 8, planar=planar, fields=fields, **options)
            wanted = 255 - values if kind == WHITE_IS_ZERO else values
            wanted = numpy.repeat(wanted, 3, axis=2) if values is grey else wanted
            name = f"kind {kind} planar {planar} {order} big {big} {chunk}"
            if kind == YCBCR and planar:
                yield Sample("tiff of JPEGs", name, data, Expect.UNSUPPORTED)
            else:
                lossy = Tolerance(max=10, mean=2)
                yield Sample("tiff of JPEGs", name, data, tolerance=lossy, reference=wanted)
        for kind, values, samples in ((RGB, grey, 3), (YCBCR, grey, 3), (BLACK_IS_ZERO, color, 1), (WHITE_IS_ZERO, color, 1)):
            data = tiff(values, kind, 8, fields={277: [samples], 258: [8] * samples}, **options)
            yield Sample("tiff of JPEGs", f"kind {kind} of other components {order} {big} {chunk}", data, Expect.UNSUPPORTED)


def refused():
    values, grey = rgb(), rgb()[:, :, :1]
    for name, data in {
        "whole numbers of 32 bits": tiff(deep(grey, 16) << 16, BLACK_IS_ZERO, 32),
        "a sign": tiff(grey, BLACK_IS_ZERO, 8, fields={339: [2]}),
        "complex": tiff(grey, BLACK_IS_ZERO, 8, fields={339: [5]}),
        "Zstandard": tiff(grey, BLACK_IS_ZERO, 8, fields={259: [50000]}),
        "old JPEG": tiff(values, RGB, 8, fields={259: [6]}),
        "Lab": tiff(values, 8, 8),
        "YCbCr": tiff(values, 6, 8),
        "a mask": tiff(grey, 4, 8),
        "sizes that differ": tiff(values, RGB, 8, fields={258: [8, 8, 16]}),
        "raw": tiff(grey, 32803, 16),
    }.items():
        yield Sample("tiff refused", name, data, Expect.UNSUPPORTED)
    whole = tiff(values, RGB, 8, compression=LZW, rows_per_strip=4)
    for length in range(8, len(whole) - 2, len(whole) // 40):
        yield Sample("tiff refused", f"cut to {length}", whole[:length], Expect.REFUSED)


def samples():
    for part in (layouts, samples_of_every_size, floats, transparent, palettes, inks, oriented, by_libtiff, without_an_end, jpegs, refused):
        yield from part()
