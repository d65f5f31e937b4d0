"""Scores photos the way a worker does: model.yaml's resize, the graph, model.yaml's thresholds."""

from pathlib import Path

import numpy as np
import onnxruntime
import yaml
from PIL import Image, ImageOps

FOLDER = Path(__file__).parent.parent


class Scorer:
    def __init__(self):
        manifest = yaml.safe_load((FOLDER / "model.yaml").read_text())
        self.labels = manifest["labels"]
        self.thresholds = manifest["output"]["thresholds"]
        self.side = manifest["input"]["width"]
        weights = FOLDER / manifest["weights"]["file"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(weights, options)

    def fit(self, photo):
        """The shorter side becomes the network's, the middle is kept."""
        factor = self.side / min(photo.size)
        size = [max(self.side, round(length * factor)) for length in photo.size]
        resized = photo.resize(size, Image.Resampling.BILINEAR)
        left, top = [(length - self.side) // 2 for length in size]
        return resized.crop((left, top, left + self.side, top + self.side))

    def score(self, photo):
        """The scores of an RGB photo, in the order of the labels."""
        pixels = np.asarray(self.fit(photo), dtype=np.float32) / np.float32(255)
        tensor = pixels.transpose(2, 0, 1)[None]
        return self.session.run(None, {"photo": tensor})[0][0]

    def flags(self, label, scores):
        """Whether each score of `label` is beyond its threshold."""
        threshold = self.thresholds[label]
        if "below" in threshold:
            return scores < threshold["below"]
        return scores >= threshold["at_least"]


def open_photo(file):
    """The upright RGB picture in `file`."""
    with Image.open(file) as image:
        return ImageOps.exif_transpose(image).convert("RGB")
