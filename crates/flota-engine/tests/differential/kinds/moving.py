"""WebP and GIF as Pillow writes them: lossy, lossless, transparent, animated, palettes, frames that
cover a part; EXIF in the container of WebP."""

import io
import itertools
import struct

import numpy
from PIL import Image

import pictures
from kinds import exif
from sample import EXACT, Expect, Sample, Tolerance

SIZES = [(1, 1), (7, 5), (16, 16), (33, 20)]
#: Upsampling of colour differences is free to differ.
LOSSY = Tolerance(max=12, mean=1.5)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def picture(size, mode: str, seed: int = 0) -> Image.Image:
    image = Image.fromarray(pictures.rgb(*size, seed))
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(pictures.rgb(*size, seed + 9)[:, :, 0]))
    return image.convert(mode)


def webps():
    for size, mode, lossless in itertools.product(SIZES, ("RGB", "RGBA"), (False, True)):
        for quality in (30, 90):
            data = saved(picture(size, mode), "WEBP", lossless=lossless, quality=quality, exact=True)
            name = f"{mode} {size[0]}x{size[1]} lossless {lossless} quality {quality}"
            tolerance = EXACT if lossless and mode == "RGB" else Tolerance(1, 1) if lossless else LOSSY
            yield Sample("webp", name, data, tolerance=tolerance, is_cut=size == (33, 20))
    for mode, count in itertools.product(("RGB", "RGBA"), (1, 2, 3)):
        frames = [picture((20, 13), mode, seed) for seed in range(count)]
        options = {"save_all": True, "append_images": frames[1:], "lossless": True, "exact": True}
        data = saved(frames[0], "WEBP", **options)
        yield Sample("webp animated", f"{mode} {count}", data, tolerance=Tolerance(1, 1))


def webps_with_exif():
    for name, stored in exif.spellings():
        # EXIF that cannot be read fails no image, though it makes Pillow fail.
        wanted = pictures.rgb(20, 13) if name == "no tiff" else None
        for prefix in (b"", b"Exif\0\0"):
            data = saved(picture((20, 13), "RGB"), "WEBP", lossless=True, exif=prefix + stored)
            yield Sample("webp with EXIF", f"{name} {prefix}", data, tolerance=EXACT, reference=wanted)
            unset = bytearray(data)
            assert unset[12:16] == b"VP8X"
            unset[20] &= ~0x08
            yield Sample("webp with EXIF that no flag announces", f"{name} {prefix}", bytes(unset), tolerance=EXACT)


def gifs():
    for size, mode, interlace in itertools.product(SIZES, ("1", "L", "P", "RGB"), (0, 1)):
        data = saved(picture(size, mode), "GIF", interlace=interlace)
        yield Sample("gif", f"{mode} {size[0]}x{size[1]} {interlace}", data, tolerance=EXACT, is_cut=size == (33, 20))
    for count, transparency in itertools.product((1, 2, 3), (None, 0, 7)):
        frames = [picture((20, 13), "P", seed) for seed in range(count)]
        options = {} if transparency is None else {"transparency": transparency}
        data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], **options)
        yield Sample("gif animated", f"{count} clear {transparency}", data, tolerance=EXACT)


def gifs_of_a_part():
    """The first frame covers a part of the screen; the rest is clear, for browsers and the engine."""
    for left, top in itertools.product((0, 3), (0, 4)):
        image = picture((10, 8), "P")
        data = bytearray(saved(image, "GIF"))
        data[6:10] = struct.pack("<HH", 16, 14)
        colors_bytes = 3 << ((data[10] & 7) + 1)
        at = data.index(b",", 13 + colors_bytes)
        data[at + 1 : at + 5] = struct.pack("<HH", left, top)
        wanted = numpy.full((14, 16, 3), 255, numpy.uint8)
        wanted[top : top + 8, left : left + 10] = numpy.asarray(image.convert("RGB"))
        yield Sample("gif of a part", f"{left},{top}", bytes(data), tolerance=EXACT, reference=wanted)


def gifs_on_a_small_screen():
    """The first frame is larger than the screen, which is enlarged to it."""
    for mode, (width, height) in itertools.product(("P", "RGB"), ((1, 1), (0, 0), (9, 13), (20, 1))):
        data = bytearray(saved(picture((20, 13), mode), "GIF"))
        data[6:10] = struct.pack("<HH", width, height)
        yield Sample("gif on a small screen", f"{mode} {width}x{height}", bytes(data), tolerance=EXACT)


def samples():
    yield from webps()
    yield from webps_with_exif()
    yield from gifs()
    yield from gifs_of_a_part()
    yield from gifs_on_a_small_screen()
    for data in (b"GIF89a", b"RIFF\x04\0\0\0WEBP"):
        yield Sample("gif", "empty", data, Expect.REFUSED)
