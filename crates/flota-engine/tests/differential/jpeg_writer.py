"""A writer of baseline JPEGs in every shape that ITU-T T.81 allows and few encoders write: any sampling
factors, any split into scans, any component ids and colour markers, tables or none. One row of a
picture is a numpy array; the writer knows nothing of the engine or of libjpeg."""

import functools
import math
import struct
from dataclasses import dataclass, field

import numpy

BLOCK = 8
ZIGZAG = sorted(
    range(64),
    key=lambda at: (
        at // 8 + at % 8,
        at // 8 if (at // 8 + at % 8) % 2 else at % 8,
    ),
)
#: ITU-T T.81, tables K.1 and K.2, row by row.
LUMA = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103
99"""
CHROMA = """17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
""" + "99 " * 32
#: T.81, K.3: how many codes there are of each length, and the values.
HUFFMAN = {
    (0, 0): ("00010501010101010100000000000000", "000102030405060708090a0b"),
    (0, 1): ("00030101010101010101010000000000", "000102030405060708090a0b"),
    (1, 0): (
        "0002010303020403050504040000017d",
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728"
        "292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83848586878889"
        "8a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2"
        "e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
    ),
    (1, 1): (
        "00020102040403040705040400010277",
        "0001020311040521310612415107617113223281081442"
        "91a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758"
        "595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4"
        "b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
    ),
}
COSINES = numpy.array(
    [
        [
            math.sqrt((1 if u == 0 else 2) / 8) * math.cos((2 * x + 1) * u * math.pi / 16)
            for x in range(8)
        ]
        for u in range(8)
    ]
)


@dataclass
class Shape:
    """How a picture is written. `factors` is one pair (horizontal, vertical) a component."""

    factors: list[tuple[int, int]]
    scans: list[list[int]] | None = None
    ids: list[int] | None = None
    restart_interval: int = 0
    has_jfif: bool = False
    adobe_transform: int | None = None
    left_out_tables: list[tuple[int, int]] = field(default_factory=list)
    has_chroma_tables: bool = True
    frame_marker: int = 0xC0


@functools.cache
def codes(table: tuple[int, int]) -> dict[int, str]:
    """The Huffman code of each value, as text of 0 and 1."""
    counts, values = map(bytes.fromhex, HUFFMAN[table])
    found, code, at = {}, 0, 0
    for length, count in enumerate(counts, start=1):
        for value in values[at : at + count]:
            found[value] = format(code, f"0{length}b")
            code += 1
        at += count
        code <<= 1
    return found


def bits_of(value: int) -> tuple[int, str]:
    """The size category of a coefficient and the bits that follow its code (T.81, F.1.2.1.1)."""
    if value == 0:
        return 0, ""
    size = abs(value).bit_length()
    return size, format(value if value > 0 else value + (1 << size) - 1, f"0{size}b")


def block_bits(block: list[int], before: int, table: int) -> str:
    """The bits of one quantised block in zigzag order."""
    size, bits = bits_of(block[0] - before)
    out, run = [codes((0, table))[size], bits], 0
    last = max((at for at in range(1, 64) if block[at]), default=0)
    for at in range(1, last + 1):
        if not block[at]:
            run += 1
            continue
        while run > 15:
            out.append(codes((1, table))[0xF0])
            run -= 16
        size, bits = bits_of(block[at])
        out += [codes((1, table))[run << 4 | size], bits]
        run = 0
    if last < 63:
        out.append(codes((1, table))[0])
    return "".join(out)


def stuffed(bits: str) -> bytes:
    """Bits as entropy-coded bytes: filled up with ones, 0 after each byte of ones."""
    bits += "1" * (-len(bits) % 8)
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:].replace(b"\xff", b"\xff\0")


def segment(marker: int, payload: bytes) -> bytes:
    """A marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def component_blocks(plane, factor, largest, units, quantizer):
    """The quantised blocks of one component, padded to whole interleaved units."""
    height, width = plane.shape
    size = [math.ceil(s * f / m) for s, f, m in zip((width, height), factor, largest)]
    edges = [[s * at // n for at in range(n + 1)] for s, n in zip((width, height), size)]
    down = [[max(a, b - 1) for a, b in zip(e, e[1:])] for e in edges]
    # The mean of the first and the last sample that each stands for.
    rows = (plane[edges[1][:-1]].astype(float) + plane[down[1]]) / 2
    small = (rows[:, edges[0][:-1]] + rows[:, down[0]]) / 2
    across, deep = (u * f * BLOCK for u, f in zip(units, factor))
    small = numpy.pad(small, ((0, deep - size[1]), (0, across - size[0])), mode="edge")
    blocks = small.reshape(deep // 8, 8, across // 8, 8).swapaxes(1, 2) - 128
    coefficients = COSINES @ blocks @ COSINES.T / quantizer
    quantised = numpy.rint(coefficients).astype(int).reshape(deep // 8, across // 8, 64)
    return quantised[:, :, ZIGZAG].tolist(), [math.ceil(s / BLOCK) for s in size]


def units_of_scan(scan, shape, blocks, own_sizes, units):
    """The blocks of each unit of a scan, as pairs (component, block)."""
    if len(scan) == 1:
        (only,) = scan
        width, height = own_sizes[only]
        return [[(only, blocks[only][y][x])] for y in range(height) for x in range(width)]
    return [
        [
            (c, blocks[c][v * shape.factors[c][1] + y][u * shape.factors[c][0] + x])
            for c in scan
            for y in range(shape.factors[c][1])
            for x in range(shape.factors[c][0])
        ]
        for v in range(units[1])
        for u in range(units[0])
    ]


def entropy_coded(scan_units, shape) -> bytes:
    """A scan's data with its restart markers."""
    out, bits, before = [], [], {}
    for at, unit in enumerate(scan_units):
        if shape.restart_interval and at and at % shape.restart_interval == 0:
            marker = 0xD0 + (at // shape.restart_interval - 1) % 8
            out += [stuffed("".join(bits)), bytes([0xFF, marker])]
            bits, before = [], {}
        for component, block in unit:
            table = table_of(component, shape)
            bits.append(block_bits(block, before.get(component, 0), table))
            before[component] = block[0]
    return b"".join([*out, stuffed("".join(bits))])


def table_of(component: int, shape: Shape) -> int:
    """Which of the two pairs of tables a component is coded with."""
    return 1 if shape.has_chroma_tables and component in (1, 2) else 0


def write(planes: list[numpy.ndarray], shape: Shape, quality: int = 6) -> bytes:
    """A JPEG of `planes` (height, width), one a component. `quality`: 1 is the standard's, more is finer."""
    height, width = planes[0].shape
    ids = shape.ids or list(range(1, len(planes) + 1))
    largest = [max(f[axis] for f in shape.factors) for axis in (0, 1)]
    units = [math.ceil(s / (BLOCK * m)) for s, m in zip((width, height), largest)]
    quantizers = [
        numpy.maximum(1, numpy.array(list(map(int, text.split()))).reshape(8, 8) // quality)
        for text in (LUMA, CHROMA)
    ]
    made = [
        component_blocks(plane, factor, largest, units, quantizers[table_of(c, shape)])
        for c, (plane, factor) in enumerate(zip(planes, shape.factors))
    ]
    blocks, own_sizes = [b for b, _ in made], [s for _, s in made]
    out = [b"\xff\xd8"]
    if shape.has_jfif:
        out.append(segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"))
    if shape.adobe_transform is not None:
        out.append(segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([shape.adobe_transform])))
    for table, quantizer in enumerate(quantizers):
        values = bytes(quantizer.reshape(64)[ZIGZAG].tolist())
        out.append(segment(0xDB, bytes([table]) + values))
    described = [
        bytes([i, h << 4 | v, table_of(c, shape)]) for c, (i, (h, v)) in enumerate(zip(ids, shape.factors))
    ]
    frame = struct.pack(">BHHB", 8, height, width, len(planes)) + b"".join(described)
    out.append(segment(shape.frame_marker, frame))
    for (kind, number), texts in HUFFMAN.items():
        if (kind, number) not in shape.left_out_tables:
            out.append(segment(0xC4, bytes([kind << 4 | number]) + b"".join(map(bytes.fromhex, texts))))
    if shape.restart_interval:
        out.append(segment(0xDD, struct.pack(">H", shape.restart_interval)))
    for scan in shape.scans or [list(range(len(planes)))]:
        chosen = b"".join(bytes([ids[c], table_of(c, shape) * 0x11]) for c in scan)
        out.append(segment(0xDA, bytes([len(scan)]) + chosen + b"\0\x3f\0"))
        out.append(entropy_coded(units_of_scan(scan, shape, blocks, own_sizes, units), shape))
    return b"".join([*out, b"\xff\xd9"])
