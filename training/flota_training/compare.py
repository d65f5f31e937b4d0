"""Two networks of one model side by side: what each says of pictures, and what each costs."""

import statistics
import time
from dataclasses import dataclass

import numpy as np

from . import folder, metrics

# The least speed, in times the other's, and the least share of pictures told alike, at which a faster
# network is worth another version.
FASTER, ALIKE = 1.3, 0.98
# Embeddings whose cosine is at least this are alike.
COSINE = 0.99
# Labels that are listed one by one; of more, only the whole.
LISTED = 20
ROUNDS, ROUND_SECONDS = 5, 0.5


@dataclass(frozen=True)
class Scores:
    """What two networks say of the same pictures: [pictures, labels] each."""

    one: np.ndarray
    other: np.ndarray
    labels: list
    output: dict

    def differences(self):
        return np.abs(self.one - self.other)

    def alike(self):
        """Per picture, whether the same is said of it: the same flags and, of labels that exclude
        each other, the same one. `None` where neither is asked for."""
        if self.output["kind"] == "embedding":
            lengths = np.linalg.norm(self.one, axis=1) * np.linalg.norm(self.other, axis=1)
            return (self.one * self.other).sum(1) >= COSINE * lengths
        told = [one == other for one, other in self.flags().values()]
        if self.output["kind"] == "softmax":
            told.append(self.one.argmax(1) == self.other.argmax(1))
        return np.all(told, axis=0) if told else None

    def flags(self):
        """By label with a threshold, whether each network flags each picture."""
        thresholds = self.output.get("thresholds", {})
        return {
            label: [
                folder.flags(thresholds[label], numbers[:, index])
                for numbers in (self.one, self.other)
            ]
            for index, label in enumerate(self.labels or [])
            if label in thresholds
        }

    def rows(self):
        """By label, and of all: the mean and the largest difference, and how many flags change."""
        gaps, flags = self.differences(), self.flags()
        changed = {label: int((one != other).sum()) for label, (one, other) in flags.items()}
        row = lambda name, gap, changes: {
            "scores": name,
            "mean_difference": float(gap.mean()),
            "largest_difference": float(gap.max()),
            "changed_flags": changes,
        }
        each = enumerate(self.labels or []) if gaps.shape[1] <= LISTED else []
        rows = [row(label, gaps[:, index], changed.get(label)) for index, label in each]
        return [*rows, row("all", gaps, sum(changed.values()) if changed else None)]


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds a picture, a number for each round."""

    one: list
    other: list

    def ratio(self):
        """How many times as fast the other one is."""
        return statistics.median(self.one) / statistics.median(self.other)


def measure_cost(one, other, tensors):
    """The cost of two networks, each in one thread, that take turns in `ROUNDS` rounds."""
    costs = Cost([], [])
    for network in (one, other):
        milliseconds(network, tensors[:1], 2)
    count = max(1, round(ROUND_SECONDS * 1000 / milliseconds(one, tensors[:1], 2)))
    for _ in range(ROUNDS):
        costs.one.append(milliseconds(one, tensors, count))
        costs.other.append(milliseconds(other, tensors, count))
    return costs


def milliseconds(network, tensors, count):
    start = time.process_time()
    for turn in range(count):
        network(tensors[turn % len(tensors)])
    return (time.process_time() - start) * 1000 / count


def verdict(cost, alike):
    """Whether the other network pays, and the sentence that says so."""
    speed = f"{cost.ratio():.2f} times as fast"
    if cost.ratio() < FASTER:
        return (
            False,
            f"It does not pay: {speed}, and {FASTER} is the least that is worth a version.",
        )
    if alike is None:
        return True, f"It is {speed}; whether the differences matter is yours to judge."
    told = f"{alike.sum()} of {len(alike)} pictures are told alike"
    if alike.mean() < ALIKE:
        return False, f"It is {speed}, but only {told}: more pictures or --keep may help."
    return True, f"It pays: {speed}, and {told}."


def tables(scores, cost):
    """Both as Markdown."""
    head = ["score", "mean difference", "largest", "flags that change"]
    rows = [
        [
            row["scores"],
            f"{row['mean_difference']:.4f}",
            f"{row['largest_difference']:.3f}",
            "" if row["changed_flags"] is None else row["changed_flags"],
        ]
        for row in scores.rows()
    ]
    times = [
        [name, f"{statistics.median(each):.2f}", f"{min(each):.2f}", f"{max(each):.2f}"]
        for name, each in (("fp32", cost.one), ("int8", cost.other))
    ]
    return (
        metrics.table(head, rows)
        + "\n\n"
        + metrics.table(["CPU ms/picture, one thread", "median", "lowest", "highest"], times)
    )
