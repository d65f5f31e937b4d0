"""JPEGs put together by jpeg_writer.py: all sampling factors, scans, component ids and colour markers,
for none of which an encoder can be asked."""

import dataclasses
import itertools
import random
import subprocess

import pictures
from jpeg_writer import Shape, write
from sample import CHROMA, CHROMA_ALSO, Expect, Sample

FACTORS = list(itertools.product((1, 2, 3, 4), repeat=2))
#: T.81, B.2.3: most blocks of an interleaved unit.
MOST_BLOCKS = 10
COMMON = [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (4, 2), (2, 4), (4, 4), (3, 1), (1, 3), (3, 3)]


def name(shape: Shape, size) -> str:
    """A name that says how to make the file again."""
    text = ",".join(f"{h}x{v}" for h, v in shape.factors)
    scans = "" if shape.scans is None else " scans " + ";".join("".join(map(str, s)) for s in shape.scans)
    restart = f" restart {shape.restart_interval}" if shape.restart_interval else ""
    return f"{text} {size[0]}x{size[1]}{scans}{restart}"


def can_interleave(factors) -> bool:
    return sum(h * v for h, v in factors) <= MOST_BLOCKS


def sample(kind: str, shape: Shape, size, seed: int, label: str = "", is_cut: bool = False) -> Sample:
    picture = pictures.rgb(*size, seed)
    is_ycc = len(shape.factors) == 3 and shape.has_jfif
    planes = pictures.ycc(picture) if is_ycc else pictures.planes(picture, len(shape.factors))
    data = write(planes, shape)
    expect = Expect.SAME if is_common(shape) else Expect.SAME_OR_UNSUPPORTED
    return Sample(kind, label + name(shape, size), data, expect, CHROMA, is_cut=is_cut, also=CHROMA_ALSO)


def is_common(shape: Shape) -> bool:
    """Whether the engine promises to read such frames: docs/IMAGES.md."""
    largest = [max(f[axis] for f in shape.factors) for axis in (0, 1)]
    return all(f[axis] in (1, largest[axis]) for f in shape.factors for axis in (0, 1))


def progressive(made: Sample) -> Sample:
    """The same coefficients, sent bit by bit."""
    command = ["jpegtran", "-progressive", "-copy", "all"]
    data = subprocess.run(command, input=made.data, capture_output=True, check=True).stdout
    return dataclasses.replace(made, kind="jpeg progressive, composed", data=data)


def every_factor(draw: random.Random):
    all_three = list(itertools.product(FACTORS, repeat=3))
    draw.shuffle(all_three)
    together = [factors for factors in all_three if can_interleave(factors)]
    for number, factors in enumerate(together):
        size = (draw.randint(1, 40), draw.randint(1, 40))
        restart = draw.choice([0, 0, 1, 3])
        shape = Shape(list(factors), restart_interval=restart, has_jfif=True)
        made = sample("jpeg interleaved, any factors", shape, size, number, is_cut=number % 40 == 0)
        yield made
        if number % 5 == 0:
            yield progressive(made)
    for number, factors in enumerate(all_three[:400]):
        size = (draw.randint(1, 40), draw.randint(1, 40))
        order = [[0], [1], [2]]
        draw.shuffle(order)
        shape = Shape(list(factors), order, restart_interval=draw.choice([0, 0, 1, 4]), has_jfif=True)
        yield sample("jpeg one scan a component", shape, size, number, is_cut=number % 20 == 0)


def every_scan(draw: random.Random):
    scripts = [[[0], [1], [2]], [[0], [1, 2]], [[0, 1], [2]], [[0, 2], [1]], [[2], [1], [0]], [[1, 2], [0]]]
    chroma = [(1, 1), (2, 1), (1, 2), (2, 2)]
    for scans, luma in itertools.product(scripts, COMMON):
        for other in chroma:
            factors = [luma, other, draw.choice([other, (1, 1)])]
            if not all(len(s) == 1 or can_interleave([factors[c] for c in s]) for s in scans):
                continue
            size = (draw.randint(1, 40), draw.randint(1, 40))
            shape = Shape(factors, scans, restart_interval=draw.choice([0, 0, 2]), has_jfif=True)
            yield sample("jpeg split scans", shape, size, len(scans), is_cut=luma == (2, 2))


def grey_and_four(draw: random.Random):
    for factor, restart in itertools.product(COMMON, (0, 1, 2, 7)):
        size = (draw.randint(1, 40), draw.randint(1, 40))
        made = sample("jpeg grey", Shape([factor], restart_interval=restart), size, restart, is_cut=True)
        yield made
        if can_interleave([factor]):
            yield progressive(made)
    for factor, scans, adobe in itertools.product(COMMON, (None, [[0], [1], [2], [3]], [[0, 3], [1, 2]]), (None, 0, 2)):
        factors = [factor, (1, 1), (1, 1), factor]
        if not all(can_interleave([factors[c] for c in s]) for s in scans or [[0, 1, 2, 3]] if len(s) > 1):
            continue
        size = (draw.randint(1, 40), draw.randint(1, 40))
        shape = Shape(factors, scans, adobe_transform=adobe, restart_interval=draw.choice([0, 3]))
        made = sample("jpeg four components", shape, size, 5, f"adobe {adobe} ", is_cut=factor == (2, 2))
        yield made
        if can_interleave(factors):
            yield progressive(made)


def every_colour_marker():
    ids = [[1, 2, 3], [0, 1, 2], [82, 71, 66], [114, 103, 98], [1, 34, 35], [5, 6, 7]]
    for named, jfif, adobe, luma in itertools.product(ids, (False, True), (None, 0, 1, 2), ((1, 1), (2, 2))):
        shape = Shape([luma, (1, 1), (1, 1)], ids=named, has_jfif=jfif, adobe_transform=adobe)
        label = f"ids {named} jfif {jfif} adobe {adobe} "
        for scans in (None, [[0], [1], [2]]):
            shape.scans = scans
            yield sample("jpeg colour markers", shape, (29, 23), 1, label)
    for jfif, adobe in itertools.product((False, True), (None, 0, 1, 2)):
        shape = Shape([(1, 1)] * 4, has_jfif=jfif, adobe_transform=adobe)
        yield sample("jpeg colour markers", shape, (29, 23), 2, f"four jfif {jfif} adobe {adobe} ")


def without_tables(draw: random.Random):
    tables = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for count in range(1, 5):
        for left_out in itertools.combinations(tables, count):
            for factors in ([(1, 1)], [(2, 2), (1, 1), (1, 1)], [(2, 1), (1, 1), (1, 1)]):
                size = (draw.randint(1, 40), draw.randint(1, 40))
                shape = Shape(factors, left_out_tables=list(left_out), has_jfif=True)
                label = f"without {left_out} "
                yield sample("jpeg without Huffman tables", shape, size, 3, label, is_cut=count == 4)
                shape.scans = [[c] for c in range(len(factors))]
                yield sample("jpeg without Huffman tables", shape, size, 3, label)


def large(draw: random.Random):
    """Beyond 128 x 128 pixels `jpeg-decoder` works in threads."""
    scan_each = [[0], [1], [2]]
    for luma, scans in itertools.product(((1, 1), (2, 1), (2, 2), (4, 2)), (None, scan_each)):
        for chroma in ((1, 1), (2, 2)):
            if scans is None and not can_interleave([luma, chroma, chroma]):
                continue
            size = (draw.randint(129, 210), draw.randint(129, 170))
            shape = Shape([luma, chroma, chroma], scans, has_jfif=True)
            made = sample("jpeg large", shape, size, 4, is_cut=True)
            yield made
            if scans is None:
                yield dataclasses.replace(progressive(made), kind="jpeg large")


def samples():
    draw = random.Random(11)
    yield from every_factor(draw)
    yield from every_scan(draw)
    yield from grey_and_four(draw)
    yield from every_colour_marker()
    yield from without_tables(draw)
    yield from large(draw)
