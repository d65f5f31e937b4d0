"""What a finished network is measured by, on photos and fonts that it never saw."""

from dataclasses import dataclass

import numpy as np
import torch

from cache import Drawn, has_text
from flota_training import metrics
from net import LABELS

# At and above this a picture is flagged; one number for every fold and for the shipped model. On 640
# photographs that training never saw it flags at most 2 % of those without text and 5 % of those with
# text in the scene.
THRESHOLD = 0.991
REAL = ("as it is", "plain")
# Edges of the classes in which misses are counted.
SIZES = (0.03, 0.045, 0.07, 0.11, 0.26)
OPACITIES = (0.25, 0.4, 0.6, 0.8, 1.01)
ANGLES = (0, 0.01, 10, 30, 50, 90.1)
BATCH = 32


@dataclass(frozen=True)
class Result:
    """Scores of evaluated samples and the truth about them."""

    scores: np.ndarray
    """[samples, 6], as `LABELS`."""
    written: np.ndarray
    boxes: np.ndarray
    covered: np.ndarray
    kinds: np.ndarray
    scene_text: np.ndarray
    """Whether the photo shows text of its own and is no document."""
    documents: np.ndarray
    facts: list[dict]
    photo_count: int

    @property
    def text(self) -> np.ndarray:
        """The probabilities of pasted text."""
        return self.scores[:, LABELS.index("text")]

    def flagged(self, rows: np.ndarray) -> float:
        """The share of `rows` that the threshold flags; not a number where there are none."""
        return float((self.text[rows] >= THRESHOLD).mean()) if rows.any() else float("nan")

    def figures(self) -> dict[str, float]:
        """All that is summed up over folds and seeds."""
        real = self.written | np.isin(self.kinds, REAL)
        untouched = self.kinds == "as it is"
        found = self.written & (self.text >= THRESHOLD)
        overlap = self.overlaps()
        return {
            "auc": metrics.roc_auc(self.written[real], self.text[real]),
            "auc_scene_text": self._auc_against(np.isin(self.kinds, REAL) & self.scene_text),
            "auc_drawn_scene": self._auc_against(self.kinds == "scene"),
            "auc_decorated": self._auc_against(self.kinds == "decorated"),
            "auc_all": metrics.roc_auc(self.written, self.text),
            "found": self.flagged(self.written),
            "false_plain": self.flagged(untouched & ~self.scene_text & ~self.documents),
            "false_scene_text": self.flagged(untouched & self.scene_text),
            "false_documents": self.flagged(untouched & self.documents),
            "false_drawn_scene": self.flagged(self.kinds == "scene"),
            "false_decorated": self.flagged(self.kinds == "decorated"),
            "calibration_error": metrics.calibration_error(self.written, self.text),
            "box_overlap": float(overlap[found].mean()),
            "box_error": float(np.abs(self.scores[found, 2:] - self.boxes[found]).mean()),
            "covered_error": float(
                np.abs(self.scores[self.written, 1] - self.covered[self.written]).mean()
            ),
        }

    def overlaps(self) -> np.ndarray:
        """Intersection over union of the box said and the true one, per sample."""
        said, true = self.scores[:, 2:], self.boxes
        low, high = np.maximum(said[:, :2], true[:, :2]), np.minimum(said[:, 2:], true[:, 2:])
        shared = _area(low, high)
        return shared / (
            _area(said[:, :2], said[:, 2:]) + _area(true[:, :2], true[:, 2:]) - shared + 1e-9
        )

    def found_by(
        self, fact: str, edges: tuple | None = None
    ) -> list[tuple[str, int, float, float]]:
        """Per class of a fact: name, count, share found, AUC against untouched photographs."""
        values = np.array([one.get(fact, "") for one in self.facts], dtype=object)
        if edges is None:
            classes = [(str(value), values == value) for value in sorted(set(values[self.written]))]
        else:
            numbers = np.where(self.written, values, -1.0).astype(float)
            classes = [
                (
                    f"{low:g} to {min(high, 1) if edges is OPACITIES else high:g}",
                    (numbers >= low) & (numbers < high),
                )
                for low, high in zip(edges, edges[1:])
            ]
        return [
            (
                name,
                int(rows.sum()),
                self.flagged(rows),
                self._auc_against(np.isin(self.kinds, REAL), rows),
            )
            for name, rows in ((name, rows & self.written) for name, rows in classes)
            if rows.any()
        ]

    def _auc_against(self, negatives: np.ndarray, positives: np.ndarray | None = None) -> float:
        rows = negatives | (self.written if positives is None else positives)
        return metrics.roc_auc(self.written[rows], self.text[rows])


def joined(results: list[Result]) -> Result:
    """The samples of several results as one."""
    arrays = ("scores", "written", "boxes", "covered", "kinds", "scene_text", "documents")
    columns = {
        name: np.concatenate([getattr(result, name) for result in results]) for name in arrays
    }
    return Result(
        **columns,
        facts=[fact for result in results for fact in result.facts],
        photo_count=sum(result.photo_count for result in results),
    )


def evaluate(answer, photos, drawn: Drawn, rows: np.ndarray) -> Result:
    """What `answer(pixels) -> scores` says of `rows`, whose photos are indices into `photos`."""
    scores = [
        answer(drawn.pixels[rows[start : start + BATCH]]) for start in range(0, len(rows), BATCH)
    ]
    own = [photos[index] for index in drawn.photos[rows]]
    documents = np.array([photo.kind == "document" for photo in own])
    return Result(
        scores=np.concatenate(scores),
        written=np.array(drawn.written[rows]),
        boxes=np.array(drawn.boxes[rows]),
        covered=drawn.cells[rows].mean((1, 2)) / 255,
        kinds=np.array([drawn.facts[row]["kind"] for row in rows]),
        scene_text=np.array([has_text(photo) for photo in own]) & ~documents,
        documents=documents,
        facts=[drawn.facts[row] for row in rows],
        photo_count=len(set(drawn.photos[rows].tolist())),
    )


def answers_of(net):
    """A function from bytes [count, height, width, 3] to the scores of the network."""

    def answer(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).numpy()

    return answer


def _area(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.clip(high - low, 0, None).prod(1)
