"""The finished model folder: manifest, golden examples, model card."""

import json
from pathlib import Path
from string import Template

import numpy as np
import yaml

from .pool import upright

SCORE_DECIMALS = 6
# How many labels are listed where the manifest does not say, but for a regression, which lists all.
TOP_K = 5


def next_version(folder, part):
    """The version after that of `folder`/model.yaml: `part` is `major`, `minor` or `patch`; 1.0.0
    where there is none."""
    file = Path(folder) / "model.yaml"
    if not file.is_file():
        return "1.0.0"
    numbers = [int(n) for n in str(yaml.safe_load(file.read_text())["version"]).split(".")]
    place = ["major", "minor", "patch"].index(part)
    return ".".join(map(str, [*numbers[:place], numbers[place] + 1, *[0] * (2 - place)]))


def write_manifest(folder, manifest, note):
    """Writes model.yaml; `note` is its first line."""
    text = "".join(dumped(key, value) for key, value in manifest.items())
    (Path(folder) / "model.yaml").write_text(f"# {note}\n{text}")


def dumped(key, value):
    """A key of a manifest as YAML: the sentences among the parameters of `code` have a line each."""
    is_nested = isinstance(value, (dict, list)) and key != "code"
    style, width = (None, 100) if is_nested else (False, 200)
    return yaml.safe_dump({key: value}, sort_keys=False, default_flow_style=style, width=width)


def code(folder):
    """What the `code` of `folder`/model.yaml says, which is written by hand: `{}` where there is none."""
    file = Path(folder) / "model.yaml"
    found = yaml.safe_load(file.read_text()).get("code") if file.is_file() else None
    return {"code": found} if found else {}


def write_golden(folder, pictures, manifest, score, tolerance=1e-3, labels=None):
    """Saves `pictures` (name to an RGB picture) and what `score(picture) -> numbers` says of them;
    `labels` are those of the manifest where it does not list them itself. Of a model's own code, only
    the advice for flagged labels is known here."""
    advice = manifest.get("code", {}).get("parameters", {}).get("advice", {})
    place = Path(folder) / "golden"
    place.mkdir(parents=True, exist_ok=True)
    for old in place.glob("*.png"):
        old.unlink()
    examples = []
    for name, picture in pictures.items():
        picture.save(place / f"{name}.png", optimize=True)
        numbers = score(upright(place / f"{name}.png"))
        output = said(numbers, labels or manifest.get("labels"), manifest["output"])
        for entry in output.get("scores", []):
            if entry.get("flagged") and entry["label"] in advice:
                entry["advice"] = advice[entry["label"]]
        examples.append({"image": f"golden/{name}.png", "output": output})
    document = {"tolerance": tolerance, "examples": examples}
    (place / "examples.json").write_text(json.dumps(document, indent=2) + "\n")


def said(numbers, labels, output):
    """What the worker says of `numbers` by the `output` of a manifest."""
    kind, numbers = output["kind"], np.asarray(numbers, float)
    if kind == "embedding":
        return {
            "kind": kind,
            "vector": [round(number, SCORE_DECIMALS) for number in numbers.tolist()],
        }
    return {"kind": kind, "scores": listed(numbers, labels, output)}


def listed(numbers, labels, output):
    """The scores as the worker lists them, with flags where there are thresholds."""
    thresholds = output.get("thresholds", {})
    is_regression = output["kind"] == "regression"
    count = output.get("top_k") or (len(labels) if is_regression else TOP_K)
    scores = []
    for rank, index in enumerate(np.argsort(-numbers, kind="stable").tolist()):
        label, number = labels[index], float(numbers[index])
        score = {"label": label, "index": index, "score": round(number, SCORE_DECIMALS)}
        if label in thresholds:
            score["flagged"] = bool(flags(thresholds[label], number))
        if rank < count or label in thresholds:
            scores.append(score)
    return sorted(scores, key=lambda score: score["index"]) if is_regression else scores


def flags(threshold, number):
    """Whether a score is beyond a threshold of the manifest."""
    if isinstance(threshold, dict):
        return (
            number < threshold["below"] if "below" in threshold else number >= threshold["at_least"]
        )
    return number >= threshold


def write_card(folder, template, values):
    """Fills `template` (a file with $names) in and writes it as README.md; a missing or an unused
    value is an error."""
    text = Path(template).read_text()
    names = set(Template(text).get_identifiers())
    if names != set(values):
        raise ValueError(
            f"card: missing {sorted(names - set(values))}, unused {sorted(set(values) - names)}"
        )
    (Path(folder) / "README.md").write_text(Template(text).substitute(values))
