"""From drawn samples to a calibrated network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import objective
from cache import Drawn, Epochs
from flota_training import loop, metrics
from net import EPSILON, TextNet

# Opaque and large text on photos as they are: what is learned first.
EASY_OPACITY, EASY_SIZE = 0.7, 0.06


@dataclass(frozen=True)
class Plan:
    """What a configuration costs: samples to draw, and the three stages that learn from them."""

    drawn: int
    kept_for_calibration: float
    """Share of the photos that the network does not learn from."""
    part: int
    """Side in cells of the parts that the first two stages see."""
    easy: loop.Settings
    parts: loop.Settings
    whole: loop.Settings


FULL = Plan(
    drawn=7000,
    kept_for_calibration=0.12,
    part=20,
    easy=loop.Settings(epochs=6, batch=16, rate=5e-3, workers=0),
    parts=loop.Settings(epochs=12, batch=16, rate=5e-3, workers=0),
    whole=loop.Settings(epochs=6, batch=16, rate=4e-3, weight_decay=5e-2, workers=0),
)
SHORT = loop.Settings(epochs=1, batch=8, workers=0, ema=0.5)
TINY = Plan(drawn=160, kept_for_calibration=0.2, part=20, easy=SHORT, parts=SHORT, whole=SHORT)


def learn(
    drawn: Drawn, rows: np.ndarray, seed: int, plan: Plan, checkpoint: Path, fresh: bool
) -> TextNet:
    """A network that has seen `rows`: easy parts first, then all parts, then whole pictures."""
    torch.manual_seed(seed)
    net = TextNet().to(memory_format=torch.channels_last)
    stages = (
        (
            "easy parts",
            objective.parts,
            Epochs(drawn, easy_of(drawn, rows), seed, plan.part),
            plan.easy,
        ),
        ("parts", objective.parts, Epochs(drawn, rows, seed + 1, plan.part), plan.parts),
        ("whole", objective.whole, Epochs(drawn, rows, seed + 2), plan.whole),
    )
    for title, loss, samples, settings in stages:
        file = checkpoint.with_name(f"{checkpoint.name}-{title.replace(' ', '-')}.pt")
        net = loop.train(net, loss, samples, settings, file, fresh, title)
    return net


def easy_of(drawn: Drawn, rows: np.ndarray) -> np.ndarray:
    """Those of `rows` that are learned first: without text, or with text that is easily seen."""

    def is_easy(facts: dict) -> bool:
        if facts["kind"] == "written":
            return facts["opacity"] > EASY_OPACITY and facts["size"] > EASY_SIZE
        return facts["kind"] == "plain"

    return np.array([row for row in rows if is_easy(drawn.facts[row])])


def calibrate(net: TextNet, written: np.ndarray, probabilities: np.ndarray) -> TextNet:
    """Folds slope and shift into the network, so that what it said becomes calibrated."""
    said = np.clip(probabilities, EPSILON, 1 - EPSILON)
    slope, shift = metrics.platt(written, np.log(said / (1 - said)))
    net.slope.mul_(slope)
    net.shift.mul_(slope).add_(shift)
    return net
