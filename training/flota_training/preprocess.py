"""The worker's way from a picture to a tensor, as `model.yaml` says it."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

FILTERS = {
    "bilinear_antialias": Image.Resampling.BILINEAR,
    "bicubic_antialias": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Input:
    """The `input` of a manifest; RGB, 0 to 1, a plane per channel."""

    width: int
    height: int
    resize: dict
    """`{mode: exact}`, `{mode: letterbox, fill: [r, g, b]}` or `{mode: shorter_side, size: n}`."""
    filter: str = "bilinear_antialias"
    name: str = "photo"

    def manifest(self):
        """As it stands in `model.yaml`."""
        return {
            "name": self.name,
            "layout": "nchw",
            "width": self.width,
            "height": self.height,
            "resize": self.resize,
            "filter": self.filter,
            "color": "rgb",
        }

    def pixels(self, picture):
        """The network's picture of an RGB `picture` (Pillow's, or bytes), as bytes."""
        if not isinstance(picture, Image.Image):
            picture = Image.fromarray(picture)
        mode, canvas = self.resize["mode"], (self.width, self.height)
        if mode == "exact":
            return np.asarray(self.scaled(picture, canvas))
        if mode == "shorter_side":
            side = self.resize["size"]
            scaled = self.scaled(
                picture, [at_least_one(n * side / min(picture.size)) for n in picture.size]
            )
            left, top = [(n - m) // 2 for n, m in zip(scaled.size, canvas)]
            return np.asarray(scaled.crop((left, top, left + self.width, top + self.height)))
        factor = min(self.width / picture.width, self.height / picture.height)
        fitted = [min(at_least_one(n * factor), m) for n, m in zip(picture.size, canvas)]
        whole = Image.new("RGB", canvas, tuple(self.resize.get("fill", [0, 0, 0])))
        scaled = self.scaled(picture, fitted)
        whole.paste(scaled, tuple((m - n) // 2 for n, m in zip(scaled.size, canvas)))
        return np.asarray(whole)

    def scaled(self, picture, size):
        return picture.resize(tuple(size), FILTERS[self.filter])

    def tensor(self, pictures):
        """[count, 3, height, width] of 0 to 1."""
        return unit(np.stack([self.pixels(picture) for picture in pictures]).transpose(0, 3, 1, 2))


def at_least_one(length):
    return max(1, round(length))


def unit(planes):
    """Bytes as float32 of 0 to 1."""
    return torch.as_tensor(np.ascontiguousarray(planes)).float().mul(1 / 255)
