"""Lossless WebPs put together bit by bit, which no encoder writes: libwebp reads them all, and the engine's
decoder would read some of them in another way, which must be refused by name. And flags of the container that
announce what is missing, as programs leave them that strip metadata."""

import io
import itertools
import struct

import numpy
from PIL import Image

import pictures
from sample import EXACT, Expect, Sample, Tolerance

SIZE = (40, 24)
#: Flags of a VP8X chunk: a profile, alpha, EXIF, XMP.
FLAGS = (0x20, 0x10, 0x08, 0x04)
#: RFC 9649, 3.7.2.1.2: the order in which the lengths of the codes of lengths are written.
LENGTH_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8)
#: The multiplier of the hash of a colour.
HASH = 0x1E35A7BD


class Bits:
    """A stream, from the lowest bit of each byte on."""

    def __init__(self):
        self.bits = []

    def put(self, value: int, count: int):
        self.bits += [value >> bit & 1 for bit in range(count)]

    def code(self, *symbols: int):
        """A prefix code of one symbol or two, in the simple form."""
        self.put(1, 1)
        self.put(len(symbols) - 1, 1)
        self.put(1, 1)
        for symbol in symbols:
            self.put(symbol, 8)

    def literals(self, alphabet: int):
        """A code of eight bits for each of the first 256 symbols: the values with their bits turned round."""
        self.put(0, 1)
        self.put(len(LENGTH_ORDER) - 4, 4)
        for symbol in LENGTH_ORDER:
            self.put(1 if symbol in (0, 8) else 0, 3)
        self.put(0, 1)
        for symbol in range(alphabet):
            self.put(1 if symbol < 256 else 0, 1)

    def bytes(self) -> bytes:
        bits = numpy.array(self.bits, numpy.uint8)
        return numpy.packbits(bits, bitorder="little").tobytes()


def chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def lossless(bits: Bits, size=SIZE) -> bytes:
    header = struct.pack("<BI", 0x2F, size[0] - 1 | size[1] - 1 << 14)
    return chunk(b"RIFF", b"WEBP" + chunk(b"VP8L", header + bits.bytes()))


def residuals(picture: numpy.ndarray) -> numpy.ndarray:
    """What is left of each pixel when the one to its left is taken off, or the one above in the first column."""
    left = picture.copy()
    left[:, 1:] -= picture[:, :-1]
    left[1:, 0] -= picture[:-1, 0]
    return left


def predicted(picture: numpy.ndarray, predictor: int) -> bytes:
    """`picture` less the pixels to the left, and a number that says how they were predicted."""
    bits = Bits()
    for value, count in ((1, 1), (0, 2), (7, 3), (0, 1)):
        bits.put(value, count)
    for symbol in (predictor, 0, 0, 0, 0):
        bits.code(symbol)
    bits.put(0, 3)
    for alphabet in (280, 256, 256):
        bits.literals(alphabet)
    bits.code(0)
    bits.code(0)
    turned = [int(f"{value:08b}"[::-1], 2) for value in range(256)]
    for red, green, blue in residuals(picture).reshape(-1, 3).tolist():
        for value in (green, red, blue):
            bits.put(turned[value], 8)
    return lossless(bits, picture.shape[1::-1])


def two_symbols(first: int, second: int) -> bytes:
    bits = Bits()
    bits.put(0, 3)
    bits.code(first, second)
    for symbol in (40, 90, 255, 0):
        bits.code(symbol)
    drawn = numpy.random.default_rng(first).integers(0, 2, SIZE[0] * SIZE[1])
    bits.bits += drawn.tolist()
    return lossless(bits)


def cached(red: int) -> bytes:
    """Pixels of one colour, and of the second place of a cache of two colours."""
    bits = Bits()
    for value, count in ((0, 1), (1, 1), (1, 4), (0, 1)):
        bits.put(value, count)
    # A code of lengths of two symbols: 1, and a run of zeros.
    bits.put(0, 5)
    for length in (0, 1, 0, 1):
        bits.put(length, 3)
    bits.put(0, 1)
    for run in (11, None, 138, 131, None):
        bits.put(run is not None, 1)
        if run is not None:
            bits.put(run - 11, 7)
    for symbol in (red, 0, 255, 0):
        bits.code(symbol)
    drawn = numpy.random.default_rng(red).integers(0, 2, SIZE[0] * SIZE[1])
    drawn[0] = 0
    bits.bits += drawn.tolist()
    return lossless(bits)


def written():
    kind = "webp written bit by bit"
    for seed, predictor in itertools.product(range(3), (1, *range(14, 256, 5))):
        data = predicted(pictures.rgb(*SIZE, seed), predictor)
        expect = Expect.SAME if predictor == 1 else Expect.UNSUPPORTED
        yield Sample(kind, f"predictor {predictor} {seed}", data, expect, EXACT)
    for first, second in itertools.product((0, 3, 200, 255), repeat=2):
        expect = Expect.SAME if first < second else Expect.UNSUPPORTED
        yield Sample(kind, f"symbols {first} {second}", two_symbols(first, second), expect, EXACT)
    for red in range(0, 256, 9):
        place = (0xFF000B00 | red << 16) * HASH % 2**32 >> 31
        expect = Expect.SAME if place == 1 else Expect.UNSUPPORTED
        yield Sample(kind, f"cache {red}", cached(red), expect, EXACT)


def flagged():
    for mode, is_lossless in itertools.product(("RGB", "RGBA"), (False, True)):
        image = Image.fromarray(pictures.rgb(*SIZE))
        if mode == "RGBA":
            image.putalpha(Image.fromarray(pictures.rgb(*SIZE, 9)[:, :, 0]))
        out = io.BytesIO()
        image.save(out, "WEBP", lossless=is_lossless, quality=90, exact=True)
        chunks = out.getvalue()[12:]
        if chunks.startswith(b"VP8X"):
            chunks = chunks[18:]
        tolerance = Tolerance(1, 1) if is_lossless else Tolerance(12, 1.5)
        sides = b"".join(struct.pack("<I", side - 1)[:3] for side in SIZE)
        for flags in range(1 << len(FLAGS)):
            flags = sum(flag for bit, flag in enumerate(FLAGS) if flags >> bit & 1)
            data = chunk(b"RIFF", b"WEBP" + chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides) + chunks)
            name = f"{mode} lossless {is_lossless} flags {flags:x}"
            yield Sample("webp with flags for what is missing", name, data, tolerance=tolerance)


def samples():
    yield from written()
    yield from flagged()
