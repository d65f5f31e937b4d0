"""The worker's way from a picture to a tensor, as `model.yaml` says it."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from PIL import Image

ALIGN_CORNERS = "bilinear_align_corners"
FILTERS = {
    "bilinear_antialias": Image.Resampling.BILINEAR,
    "bicubic_antialias": Image.Resampling.BICUBIC,
}
# What each field may say, of those that are one of a few words.
WORDS = {
    "filter": {*FILTERS, ALIGN_CORNERS},
    "color": {"rgb", "bgr", "grey"},
    "layout": {"nchw", "nhwc"},
    "dtype": {"f32", "u8"},
}
# What a JPEG may be decoded to: here it is always decoded whole.
IGNORED = {"jpeg"}
# ITU-R 601 in parts of 65,536, as Pillow computes `L`, and as it is.
LUMINANCE, HALF = (19595, 38470, 7471), 0x8000
LUMINANCE_OF_FLOATS = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Input:
    """The `input` of a manifest; that of our own networks is RGB, 0 to 1, a plane per channel."""

    width: int
    height: int
    resize: dict
    """`{mode: exact}`, `{mode: letterbox, fill: [r, g, b]}` or `{mode: shorter_side, size: n}`."""
    filter: str = "bilinear_antialias"
    name: str | None = "photo"
    layout: str = "nchw"
    color: str = "rgb"
    dtype: str = "f32"
    scale: float = 1 / 255
    mean: tuple | None = None
    std: tuple | None = None

    @classmethod
    def of(cls, said):
        """The `input` that a manifest says, as YAML reads it."""
        known = {field.name for field in fields(cls)}
        others = set(said) - known - IGNORED
        others |= {
            f"{key}: {said[key]}" for key in WORDS if said.get(key) not in {None, *WORDS[key]}
        }
        mode = said.get("resize", {}).get("mode")
        if mode not in ("exact", "letterbox", "shorter_side"):
            others.add(f"resize: {{mode: {mode}}}")
        if others:
            raise SystemExit(f"`input` says what is not known here: {', '.join(sorted(others))}")
        return cls(**{"name": None} | {key: said[key] for key in said if key in known})

    def manifest(self):
        """As the `input` of our own networks stands in `model.yaml`."""
        return {
            "name": self.name,
            "layout": self.layout,
            "width": self.width,
            "height": self.height,
            "resize": self.resize,
            "filter": self.filter,
            "color": self.color,
        }

    def pixels(self, picture):
        """The network's picture of an RGB `picture` (Pillow's, or bytes): bytes, or floating-point
        numbers of 0 to 255 where the filter does not round."""
        if not isinstance(picture, Image.Image):
            picture = Image.fromarray(picture)
        mode, canvas = self.resize["mode"], (self.width, self.height)
        if mode == "exact":
            return self.scaled(picture, canvas)
        if mode == "shorter_side":
            side = self.resize["size"]
            size = [at_least_one(n * side / min(picture.size)) for n in picture.size]
            left, top = [(n - m) // 2 for n, m in zip(size, canvas)]
            scaled = self.scaled(picture, size)
            return scaled[top : top + self.height, left : left + self.width]
        factor = min(self.width / picture.width, self.height / picture.height)
        fitted = [min(at_least_one(n * factor), m) for n, m in zip(picture.size, canvas)]
        left, top = [(m - n) // 2 for n, m in zip(fitted, canvas)]
        scaled = self.scaled(picture, fitted)
        whole = np.empty((self.height, self.width, 3), scaled.dtype)
        whole[:] = self.resize.get("fill", [0, 0, 0])
        whole[top : top + fitted[1], left : left + fitted[0]] = scaled
        return whole

    def scaled(self, picture, size):
        if self.filter == ALIGN_CORNERS:
            return with_aligned_corners(np.asarray(picture, np.float32), size)
        return np.asarray(picture.resize(tuple(size), FILTERS[self.filter]))

    def tensor(self, pictures):
        """[count, 3, height, width] of 0 to 1, as our own networks take it."""
        return unit(np.stack([self.pixels(picture) for picture in pictures]).transpose(0, 3, 1, 2))

    def array(self, picture):
        """The tensor of one picture, in the type, the layout and the colours that the manifest says."""
        pixels = self.pixels(picture)
        if self.dtype == "u8":
            pixels = np.rint(pixels).astype(np.uint8)
        if self.color == "bgr":
            pixels = pixels[..., ::-1]
        if self.color == "grey":
            pixels = luminance(pixels)
        if self.dtype == "f32":
            mean, std = np.float32(self.mean or 0), np.float32(self.std or 1)
            pixels = (pixels.astype(np.float32) * np.float32(self.scale) - mean) / std
        if self.layout == "nchw":
            pixels = pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels[None])


def with_aligned_corners(pixels, size):
    """Four neighbours, the corners of the picture on those of the result."""
    for axis, length in ((1, size[0]), (0, size[1])):
        last = pixels.shape[axis] - 1
        places = np.arange(length) * (last / max(1, length - 1))
        first = places.astype(int)
        share = (places - first).astype(np.float32).reshape((-1, 1) if axis else (-1, 1, 1))
        near, far = (np.take(pixels, np.minimum(p, last), axis) for p in (first, first + 1))
        pixels = near + (far - near) * share
    return pixels


def luminance(pixels):
    """One channel of three."""
    if pixels.dtype == np.uint8:
        return ((pixels.astype(np.int64) @ LUMINANCE + HALF) >> 16).astype(np.uint8)[..., None]
    return (pixels @ np.float32(LUMINANCE_OF_FLOATS))[..., None]


def at_least_one(length):
    return max(1, round(length))


def unit(planes):
    """Bytes as float32 of 0 to 1."""
    return torch.as_tensor(np.ascontiguousarray(planes)).float().mul(1 / 255)
