"""What a Python worker does with one image: decode, resize, crop, normalise, infer.

`Plain` is what people write first. `Tuned` lets the decoder work at a smaller scale and gives each session
one thread, so that processes do not fight for cores.
"""

import numpy as np
import onnxruntime
from PIL import Image

SIDE, SHORTER_SIDE, TOP = 224, 256, 5
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def tensor(file, is_scaled_by_the_decoder):
    return tensor_of(pixels(file, is_scaled_by_the_decoder)[None])


def pixels(file, is_scaled_by_the_decoder):
    with Image.open(file) as image:
        if is_scaled_by_the_decoder:
            image.draft("RGB", (2 * SHORTER_SIDE, 2 * SHORTER_SIDE))
        image = image.convert("RGB")
    scale = SHORTER_SIDE / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    image = image.crop((left, top, left + SIDE, top + SIDE))
    return np.asarray(image)


def tensor_of(pictures):
    """Bytes, the colours of a pixel together, made numbers, a colour's pixels together."""
    return ((pictures.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2)


def best(logits):
    exponentials = np.exp(logits - logits.max())
    probabilities = exponentials / exponentials.sum()
    return [[int(n), float(probabilities[n])] for n in np.argsort(-probabilities)[:TOP]]


class Plain:
    is_tuned = False

    def __init__(self, model):
        self.session = onnxruntime.InferenceSession(model, self.options())
        self.input = self.session.get_inputs()[0].name

    def options(self):
        return None

    def look(self, file):
        return self.infer(tensor(file, self.is_tuned))[0]

    def infer(self, tensors):
        made = np.ascontiguousarray(tensors)
        return [best(logits) for logits in self.session.run(None, {self.input: made})[0]]


class Tuned(Plain):
    is_tuned = True

    def options(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return options


def looker(way, model):
    return {"plain": Plain, "tuned": Tuned}[way](model)
