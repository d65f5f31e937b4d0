"""From drawn samples to a calibrated network."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import objective
from cache import Counts, Drawn, Epochs
from flota_training import loop, metrics
from net import EPSILON, TextNet


@dataclass(frozen=True)
class Plan:
    """What a configuration costs: samples to draw, and the two stages that learn from them."""

    drawn: Counts
    kept_for_calibration: float
    """Share of the photos that the network does not learn from."""
    part: int
    """Side in cells of the parts that the first stage sees: small ones are cheap."""
    parts: loop.Settings
    whole: loop.Settings


FULL = Plan(
    drawn=Counts(36000, 4000),
    kept_for_calibration=0.12,
    part=20,
    parts=loop.Settings(epochs=40, batch=32, rate=5e-3, workers=0),
    whole=loop.Settings(epochs=10, batch=16, rate=3e-3, weight_decay=2e-2, workers=0),
)
# Rounds of a cross-validation after the first learn less long.
ROUND = replace(FULL, parts=replace(FULL.parts, epochs=8), whole=replace(FULL.whole, epochs=1))
SHORT = loop.Settings(epochs=1, batch=8, workers=0, ema=0.5)
TINY = Plan(drawn=Counts(140, 20), kept_for_calibration=0.2, part=20, parts=SHORT, whole=SHORT)


def learn(
    drawn: Drawn, rows: np.ndarray, seed: int, plan: Plan, checkpoint: Path, fresh: bool
) -> TextNet:
    """A network that has seen `rows`: parts of the pictures first, then whole ones."""
    torch.manual_seed(seed)
    net = TextNet().to(memory_format=torch.channels_last)
    stages = (
        ("parts", objective.parts, Epochs(drawn, rows, seed, plan.part), plan.parts),
        ("whole", objective.whole, Epochs(drawn, rows, seed + 1), plan.whole),
    )
    for title, loss, samples, settings in stages:
        file = checkpoint.with_name(f"{checkpoint.name}-{title}.pt")
        net = loop.train(net, loss, samples, settings, file, fresh, title)
    return net


def calibrate(net: TextNet, written: np.ndarray, probabilities: np.ndarray) -> TextNet:
    """Folds slope and shift into the network, so that what it said becomes calibrated."""
    said = np.clip(probabilities, EPSILON, 1 - EPSILON)
    slope, shift = metrics.platt(written, np.log(said / (1 - said)))
    net.slope.mul_(slope)
    net.shift.mul_(slope).add_(shift)
    return net
