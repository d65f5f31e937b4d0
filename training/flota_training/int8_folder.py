"""The folder of a model's int8 version: all that is in it but the weights and the card."""

import json
import shutil

import numpy as np
from PIL import Image

from . import drawings, folder, pool

# Where the worker resizes, some pixels are a level from Pillow's, and in eight bits each may move a
# score by a step: what so many of them change is measured, and allowed twice.
LEAST_TOLERANCE, MARGIN, SHAKEN = 5e-3, 2, 0.02
DRAWN, DRAWN_SIZE = 6, (640, 480)


def manifest_of(original):
    """The manifest of the other version."""
    before = original.manifest["version"]
    stem, dev = (before.removesuffix("-dev"), "-dev") if before.endswith("-dev") else (before, "")
    weights = {"file": f"{original.manifest['name']}-int8.onnx"}
    return original.manifest | {"version": f"{stem}-int8{dev}", "weights": weights}


def write(original, manifest, out, network):
    """Writes manifest, labels and golden examples to `out`; `network` is the one in eight bits."""
    labels = original.manifest.get("labels")
    if isinstance(labels, dict) and "file" in labels:
        (out / labels["file"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original.folder / labels["file"], out / labels["file"])
    note = f"Written by flota_training.quantize from {original.manifest['version']}."
    folder.write_manifest(out, manifest, note)
    answer = lambda picture: original.scores(network(original.spec.array(picture)))
    said = lambda picture: folder.said(answer(picture), original.labels, manifest["output"])
    names = lambda picture: [score["label"] for score in said(picture).get("scores", [])]
    steady, change = {}, 0.0
    for name, picture in golden_pictures(original.folder).items():
        noisy = shaken(picture)
        # Where the last label that is listed has a near rival, another engine may list that one.
        if set(names(noisy)) == set(names(picture)):
            steady[name] = picture
            change = max(change, np.abs(answer(noisy) - answer(picture)).max())
    tolerance = float(f"{max(LEAST_TOLERANCE, MARGIN * change):.2g}")
    if steady:
        folder.write_golden(out, steady, manifest, answer, tolerance, original.labels)


def golden_pictures(place):
    """The pictures of the model's own golden examples; where there are none, drawn ones."""
    file = place / "golden/examples.json"
    if file.is_file():
        images = [place / example["image"] for example in json.loads(file.read_text())["examples"]]
        return {image.stem: pool.upright(image) for image in images}
    rng = np.random.default_rng(0)
    return {f"drawn-{index}": drawings.scene(rng, *DRAWN_SIZE) for index in range(DRAWN)}


def shaken(picture):
    """The picture with one in fifty of its numbers a level up or down."""
    rng, shape = np.random.default_rng(0), (picture.height, picture.width, 3)
    noise = rng.choice([-1, 1], shape) * (rng.random(shape) < SHAKEN)
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
