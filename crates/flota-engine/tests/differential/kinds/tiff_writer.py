"""A writer of TIFFs of every layout, independent of libtiff."""

import io
import struct
import zlib

import numpy
from PIL import Image

NONE, LZW, JPEG, DEFLATE, PACKBITS = 1, 5, 7, 8, 32773
#: The photometric interpretation whose samples a JPEG keeps as luminance and two colour differences.
YCBCR = 6
SHORT, LONG, LONG8 = 3, 4, 16


def pack_bits(data: bytes) -> bytes:
    """Literals, and runs where three bytes are equal."""
    out, at = b"", 0
    while at < len(data):
        count = 1
        while at + count < len(data) and data[at + count] == data[at] and count < 128:
            count += 1
        if count >= 3:
            out += bytes([257 - count, data[at]])
        else:
            count = min(count, len(data) - at)
            out += bytes([count - 1]) + data[at : at + count]
        at += count
    return out


def lzw(data: bytes) -> bytes:
    """Codes of nine to twelve bits, the highest first, one code earlier than GIF has them."""
    clear, end = 256, 257
    bits = []
    table: dict[bytes, int] = {}
    width = 9

    def emit(code: int):
        bits.append(format(code, f"0{width}b"))

    def reset():
        nonlocal width
        table.clear()
        table.update({bytes([value]): value for value in range(256)})
        width = 9

    reset()
    emit(clear)
    known = b""
    for value in data:
        longer = known + bytes([value])
        if longer in table:
            known = longer
            continue
        emit(table[known])
        table[longer] = len(table) + 2
        if len(table) + 2 in (512, 1024, 2048):
            width += 1
        if len(table) + 2 >= 4094:
            emit(clear)
            reset()
        known = bytes([value])
    if known:
        emit(table[known])
    emit(end)
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 8)
    return int(joined, 2).to_bytes(len(joined) // 8, "big")


COMPRESS = {NONE: bytes, LZW: lzw, DEFLATE: zlib.compress, PACKBITS: pack_bits}


def row_bytes(row: numpy.ndarray, bits: int, order: str, predictor: int) -> bytes:
    """A row of samples (width, samples), as stored before it is compressed."""
    if row.dtype.kind == "f":
        data = row.astype(f"{order}f{bits // 8}")
        if predictor == 3:
            return floating(row, bits // 8)
        if predictor == 2:
            return row_bytes(data.view(f"{order}u{bits // 8}"), bits, order, 2)
        return data.tobytes()
    if predictor == 2:
        row = numpy.concatenate([row[:1], (row[1:].astype(numpy.int64) - row[:-1]) % (1 << bits)])
    if bits in (8, 16, 32):
        return row.astype(f"{order}u{bits // 8}").tobytes()
    spread = (row.reshape(-1, 1).astype(numpy.uint32) >> numpy.arange(bits - 1, -1, -1)) & 1
    return numpy.packbits(spread.astype(numpy.uint8).reshape(-1)).tobytes()


def floating(row: numpy.ndarray, size: int) -> bytes:
    """Adobe's Technical Note 3: bytes by rank, then differences."""
    samples = row.shape[1]
    planes = row.astype(f">f{size}").tobytes()
    planes = numpy.frombuffer(planes, numpy.uint8).reshape(-1, size).T.reshape(-1).astype(int)
    out = planes.copy()
    out[samples:] = (planes[samples:] - planes[:-samples]) % 256
    return out.astype(numpy.uint8).tobytes()


def tiff(
    values: numpy.ndarray,
    photometric: int,
    bits: int,
    *,
    order: str = "<",
    big: bool = False,
    compression: int = NONE,
    predictor: int = 1,
    planar: bool = False,
    tile: tuple[int, int] | None = None,
    rows_per_strip: int | None = None,
    reversed_bits: bool = False,
    fields: dict | None = None,
) -> bytes:
    """A TIFF of samples (height, width, samples); `fields` are added or replaced: tag -> numbers."""
    height, width, samples = values.shape
    parts = [values[:, :, n : n + 1] for n in range(samples)] if planar else [values]
    chunks = []
    for part in parts:
        for chunk in cut(part, tile, rows_per_strip or height):
            if compression == JPEG:
                chunks.append(jpeg(chunk, photometric))
                continue
            data = b"".join(row_bytes(row, bits, order, predictor) for row in chunk)
            data = COMPRESS[compression](data)
            if reversed_bits:
                flipped = numpy.unpackbits(numpy.frombuffer(data, numpy.uint8), bitorder="little")
                data = numpy.packbits(flipped).tobytes()
            chunks.append(data)
    numbers = {
        256: [width],
        257: [height],
        258: [bits] * samples,
        259: [compression],
        262: [photometric],
        277: [samples],
        284: [2 if planar else 1],
    }
    if predictor != 1:
        numbers[317] = [predictor]
    if reversed_bits:
        numbers[266] = [2]
    if values.dtype.kind == "f":
        numbers[339] = [3] * samples
    numbers[325 if tile else 279] = [len(chunk) for chunk in chunks]
    numbers[324 if tile else 273] = [0] * len(chunks)
    if tile:
        numbers |= {322: [tile[0]], 323: [tile[1]]}
    else:
        numbers[278] = [rows_per_strip or height]
    numbers |= fields or {}
    return written(numbers, chunks, order, big, 324 if tile else 273)


def jpeg(chunk: numpy.ndarray, photometric: int) -> bytes:
    """A chunk of one or three samples as a JPEG, each sample as it is unless they are YCbCr."""
    out = io.BytesIO()
    image = Image.fromarray(chunk[:, :, 0] if chunk.shape[2] == 1 else chunk)
    # Of YCbCr the samples are given as the colours that they stand for.
    as_they_are = {} if chunk.shape[2] == 1 else {"keep_rgb": photometric != YCBCR}
    image.save(out, "JPEG", quality=95, subsampling="4:4:4", **as_they_are)
    return out.getvalue()


def cut(part: numpy.ndarray, tile, rows_per_strip: int):
    height, width, _ = part.shape
    if tile is None:
        for top in range(0, height, rows_per_strip):
            yield part[top : top + rows_per_strip]
        return
    for top in range(0, height, tile[1]):
        for left in range(0, width, tile[0]):
            chunk = part[top : top + tile[1], left : left + tile[0]]
            missing = ((0, tile[1] - chunk.shape[0]), (0, tile[0] - chunk.shape[1]), (0, 0))
            yield numpy.pad(chunk, missing, mode="edge")


def written(numbers: dict, chunks: list[bytes], order: str, big: bool, offsets_tag: int) -> bytes:
    """The file: header, chunks, values that do not fit a field, directory."""
    head = b"II" if order == "<" else b"MM"
    body = b""
    start = 16 if big else 8
    offsets = []
    for chunk in chunks:
        offsets.append(start + len(body))
        body += chunk + bytes(len(chunk) % 2)
    numbers[offsets_tag] = offsets
    entries = b""
    inline = 8 if big else 4
    for tag in sorted(numbers):
        given = numbers[tag]
        if isinstance(given, bytes):
            kind, count, data = 7, len(given), given
        else:
            wide = max(given) > 0xFFFF or tag in (273, 279, 324, 325)
            kind, letter = (LONG, "I") if wide else (SHORT, "H")
            count, data = len(given), struct.pack(f"{order}{len(given)}{letter}", *given)
        if len(data) > inline:
            body += bytes((start + len(body)) % 2)
            place, body = start + len(body), body + data
            data = struct.pack(order + ("Q" if big else "I"), place)
        entries += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count) + data.ljust(inline, b"\0")
    directory = start + len(body)
    if big:
        header = head + struct.pack(order + "HHHQ", 43, 8, 0, directory)
        return header + body + struct.pack(order + "Q", len(numbers)) + entries + bytes(8)
    return head + struct.pack(order + "HI", 42, directory) + body + struct.pack(order + "H", len(numbers)) + entries + bytes(4)
