"""The worker's way from a picture to a tensor, as `model.yaml` says it."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from PIL import Image

ALIGN_CORNERS = "bilinear_align_corners"
FILTERS = {
    "bilinear_antialias": Image.Resampling.BILINEAR,
    "bicubic_antialias": Image.Resampling.BICUBIC,
    "lanczos_antialias": Image.Resampling.LANCZOS,
    "box_antialias": Image.Resampling.BOX,
    "hamming_antialias": Image.Resampling.HAMMING,
}
CUBIC = -0.75
# What each field may say, of those that are one of a few words.
WORDS = {
    "color": {"rgb", "bgr", "grey"},
    "layout": {"nchw", "nhwc"},
    "dtype": {"f32", "u8"},
}
# How resizing to the shortest edge rounds, where the manifest does not say, by its format.
ROUNDING = {1: "format_1", 2: "torchvision"}
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
    """`{mode: exact}`, `{mode: letterbox, fill: [r, g, b]}` or `{mode: shortest_edge, size: n, rounding: r}`."""
    filter: str = "bilinear_antialias"
    name: str | None = "photo"
    layout: str = "nchw"
    color: str = "rgb"
    dtype: str = "f32"
    scale: float = 1 / 255
    mean: tuple | None = None
    std: tuple | None = None

    @classmethod
    def of(cls, said, format=2):
        """The `input` that a manifest of that format says, as YAML reads it."""
        known = {field.name for field in fields(cls)}
        interpolation = {"interpolation", "antialias", "align_corners"}
        others = set(said) - known - interpolation - IGNORED
        others |= {
            f"{key}: {said[key]}" for key in WORDS if said.get(key) not in {None, *WORDS[key]}
        }
        filter, resize = filter_of(said), resize_of(said.get("resize", {}), format)
        if filter not in {*FILTERS, *NEIGHBOURS, ALIGN_CORNERS}:
            others.add(f"filter: {filter}")
        if resize.get("mode") not in ("exact", "letterbox", "shortest_edge"):
            others.add(f"resize: {said.get('resize')}")
        if others:
            raise SystemExit(f"`input` says what is not known here: {', '.join(sorted(others))}")
        rest = {key: said[key] for key in said if key in known}
        return cls(**{"name": None} | rest | {"filter": filter, "resize": resize})

    def manifest(self):
        """As the `input` of our own networks stands in `model.yaml`."""
        return {
            "name": self.name,
            "layout": self.layout,
            "width": self.width,
            "height": self.height,
            "resize": self.resize,
            "interpolation": self.filter.split("_")[0],
            "antialias": self.filter in FILTERS,
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
        if mode == "shortest_edge":
            return self.cropped(picture)
        factor = min(self.width / picture.width, self.height / picture.height)
        fitted = [min(at_least_one(n * factor), m) for n, m in zip(picture.size, canvas)]
        left, top = [(m - n) // 2 for n, m in zip(fitted, canvas)]
        scaled = self.scaled(picture, fitted)
        whole = np.empty((self.height, self.width, 3), scaled.dtype)
        whole[:] = self.resize.get("fill", [0, 0, 0])
        whole[top : top + fitted[1], left : left + fitted[0]] = scaled
        return whole

    def cropped(self, picture):
        """The middle of the picture whose shortest edge has the wanted size; black beyond it."""
        edge, rounding = self.resize["size"], self.resize["rounding"]
        shortest = min(picture.size)
        if rounding == "format_1":
            size = [at_least_one(n * edge / shortest) for n in picture.size]
        else:
            size = [int(edge * n / shortest) for n in picture.size]
        half = half_to_even if rounding == "torchvision" else floor_half
        canvas = (self.width, self.height)
        left, top = [half(max(0, n - m)) for n, m in zip(size, canvas)]
        free_left, free_top = [max(0, m - n) // 2 for n, m in zip(size, canvas)]
        scaled = self.scaled(picture, size)
        seen = scaled[top : top + self.height, left : left + self.width]
        whole = np.zeros((self.height, self.width, 3), scaled.dtype)
        whole[free_top:, free_left:][: seen.shape[0], : seen.shape[1]] = seen
        return whole

    def scaled(self, picture, size):
        if self.filter == ALIGN_CORNERS:
            return with_aligned_corners(np.asarray(picture, np.float32), size)
        if self.filter in NEIGHBOURS:
            return without_antialias(np.asarray(picture, np.float32), size, NEIGHBOURS[self.filter])
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


def filter_of(said):
    """The name of what `interpolation`, `antialias` and `align_corners` say, or `filter`, as manifests of
    format 1 have it."""
    if "filter" in said:
        return said["filter"]
    interpolation = said.get("interpolation", "bilinear")
    if said.get("align_corners"):
        return f"{interpolation}_align_corners"
    return f"{interpolation}_antialias" if said.get("antialias", True) else interpolation


def resize_of(said, format):
    """`resize` in its canonical spelling."""
    said = dict(said)
    if "shortest_edge" in said:
        said = {"mode": "shortest_edge", "size": said.pop("shortest_edge")} | said
    if said.get("mode") == "shorter_side":
        said["mode"] = "shortest_edge"
    if said.get("mode") == "shortest_edge":
        said.setdefault("rounding", ROUNDING[format])
    return said


def half_to_even(length):
    return int(round(length / 2.0))


def floor_half(length):
    return length // 2


def linear(share):
    return [0 * share, 1 - share, share, 0 * share]


def cubic(share):
    """Keys' cubic convolution, as OpenCV and PyTorch without antialiasing have it."""

    def near(x):
        return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1

    def far(x):
        return ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC

    return [far(1 + share), near(share), near(1 - share), far(2 - share)]


# What the neighbours at -1, 0, 1 and 2 weigh, where the centre is `share` behind 0.
NEIGHBOURS = {"bilinear": linear, "bicubic": cubic}


def without_antialias(pixels, size, weights):
    """A fixed number of neighbours, centres on centres, rounded to bytes."""
    for axis, length in ((0, size[1]), (1, size[0])):
        last = pixels.shape[axis] - 1
        places = (np.arange(length) + 0.5) * (pixels.shape[axis] / length) - 0.5
        first = np.floor(places).astype(int)
        sides = (-1, 1, 1) if axis == 0 else (1, -1, 1)
        pixels = sum(
            np.take(pixels, np.clip(first + tap - 1, 0, last), axis) * weight.reshape(sides)
            for tap, weight in enumerate(map(np.float32, weights(places - first)))
        )
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


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
