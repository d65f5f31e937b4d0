"""A finished model folder, read as the worker reads it: its network, its way to a tensor, its scores."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from onnxruntime.capi import onnxruntime_pybind11_state as failures
from scipy.special import expit, softmax

from . import export
from .preprocess import Input

# A graph that ONNX Runtime does not take.
REFUSALS = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NotImplemented,
    failures.RuntimeException,
)


@dataclass(frozen=True)
class Model:
    """What `model.yaml` says, with the files that it names."""

    folder: Path
    manifest: dict
    weights: Path
    labels: list | None
    spec: Input

    def network(self, weights=None):
        """A function from a tensor to the network's numbers of its one picture, by ONNX Runtime in
        one thread."""
        weights = weights or self.weights
        try:
            session = export.session(weights)
        except REFUSALS as error:
            raise SystemExit(f"ONNX Runtime cannot run {weights}: {error}") from None
        output = self.manifest["output"].get("name")
        source = self.spec.name or session.get_inputs()[0].name

        def answer(tensor):
            try:
                return session.run(output and [output], {source: tensor})[0].ravel()
            except (ValueError, *REFUSALS) as error:
                raise SystemExit(
                    f"{weights} does not run as its manifest says, which `flota model check "
                    f"{self.folder}` tells more of: {error}"
                ) from None

        return answer

    def scores(self, numbers):
        """What a prediction holds: the numbers, with the softmax or the sigmoid that the manifest
        asks for."""
        output, numbers = self.manifest["output"], np.asarray(numbers, np.float64)
        if not output.get("apply"):
            return numbers
        return softmax(numbers) if output["kind"] == "softmax" else expit(numbers)


def read(folder, cache):
    """The model in `folder`; what its manifest names by address has to lie in `cache`."""
    file = Path(folder) / "model.yaml"
    if not file.is_file():
        raise SystemExit(f"there is no {file}: name a model folder")
    text = file.read_text()
    manifest = yaml.safe_load(text)
    # 1.10 is a version, and no number.
    manifest["version"] = yaml.load(text, yaml.BaseLoader)["version"]
    weights = found("weights", manifest["weights"], folder, cache)
    spec = Input.of(manifest["input"], manifest.get("format", 1))
    return Model(Path(folder), manifest, weights, labels_of(manifest, folder, cache), spec)


def found(field, asset, folder, cache):
    """Where the file of a manifest's `field` lies."""
    if "url" not in asset:
        file = Path(folder) / asset["file"]
        if not file.is_file():
            raise SystemExit(f"`{field}` names {file}, which is not there")
    else:
        file = Path(cache) / asset["sha256"]
        if not file.is_file():
            raise SystemExit(
                f"`{field}` of {folder} is named by address and was not fetched into {cache}: "
                f"`flota model check {folder}` fetches it; `--cache DIR` names another place"
            )
    wanted = asset.get("sha256")
    if wanted and hashlib.sha256(file.read_bytes()).hexdigest() != wanted:
        raise SystemExit(f"{file} does not hash to the `{field}.sha256` of the manifest")
    return file


def labels_of(manifest, folder, cache):
    """The labels, or nothing for an embedding."""
    said = manifest.get("labels")
    if not isinstance(said, dict):
        return said
    lines = found("labels", said, folder, cache).read_text().rstrip().splitlines()
    skipped = said.get("skip_words", 0)
    return [(line.split(None, skipped) + [""] * (skipped + 1))[skipped].rstrip() for line in lines]
