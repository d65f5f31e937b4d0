"""What is learned: weights of the measures, so that each fault has a probability."""

import hashlib
import os
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from degrade import AXES
from flota_training import export, metrics, pool
from evaluation import STRONG, Result
from net import BLURRED, HIDES, LOW_RESOLUTION, Measures
from pictures import OWN, opened, pictures, plan, truth_of

# Shares of the pictures between which a measure is spread out.
QUANTILES = (0.001, 0.01, 0.03, 0.08, 0.16, 0.27, 0.4, 0.5, 0.6, 0.73, 0.84, 0.92, 0.97, 0.99, 0.999)
# How little the weights are held back.
FREEDOM = 0.05
# Axes that may weigh the squares of measures: of what little enlargement adds, much has none.
SQUARED = ("low_resolution",)
# How much a picture without a made fault counts, beside one with such a fault; a cut-out counts twice that.
OWN_WEIGHT = 6.0
# The share of photos that have a given fault, which probabilities are calibrated for.
PREVALENCE = 0.03
# At least this share of the flags that a label is sure about must be right,
RIGHT = 0.85
# and an axis is flagged only where that finds this share of strong faults.
FOUND = 0.3
# By how many logits a threshold is above the last photo that must not be flagged.
MARGIN = 0.05
# The threshold of an axis that is not flagged, as a logit.
NEVER = 30.0


@dataclass
class Head:
    """What makes logits of measures: each is spread out as a normal distribution by straight lines
    between `knots` (where they begin, how steep and how high they are), then weighed."""

    knots: np.ndarray
    slopes: np.ndarray
    heights: np.ndarray
    weight: np.ndarray
    """[2 * measures, axes]: of what is spread out, and of half of its square."""
    bias: np.ndarray
    thresholds: np.ndarray
    """As logits: from which on each axis costs quality."""

    def spread(self, measured):
        lines = zip(self.knots.T, self.slopes.T)
        passed = [np.clip((measured - knot) * slope, 0, 1) for knot, slope in lines]
        seen = sum(part * height for part, height in zip(passed, self.heights))
        return np.concatenate([seen, seen * seen / 2], 1)

    def logits(self, measured):
        return self.spread(measured) @ self.weight + self.bias


def measure(photos, work, spec, large=None):
    """By photo, what is measured of each of its pictures and, where the folder `large` has it at its
    full size, of that; kept in `work`."""
    weights = work / "measures.onnx"
    export.export(Measures(spec.width), weights, spec, "measures")
    session = export.session(weights)
    place = work / "measures" / hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    found = []
    for photo in tqdm(photos, desc="measuring", leave=False, mininterval=5):
        made = lambda: [opened(data) for data in pictures(photo, work)]
        rows = [kept(place / f"{photo.name}.npy", session, spec, made)]
        for file in sorted(large.glob(f"{photo.name}.*"))[:1] if large else []:
            full = lambda: [np.asarray(pool.upright(file))]
            rows.append(kept(place / f"{photo.name}.large.npy", session, spec, full))
        found.append(np.concatenate(rows))
    return found


def kept(file, session, spec, pictures):
    """What is measured of pictures, read from `file` or written there."""
    if not file.is_file():
        rows = [export.run(session, spec.tensor([one])) for one in pictures()]
        np.save(file.with_suffix(".part.npy"), np.concatenate(rows))
        os.replace(file.with_suffix(".part.npy"), file)
    return np.load(file)


def fit(measured, truth, weights):
    """A head that has seen pictures: [count, measures], [count, axes] and [count]."""
    places = np.quantile(measured, QUANTILES, axis=0).T
    widths = np.maximum(np.diff(places), measured.std(0)[:, None] * 1e-3 + 1e-6)
    head = Head(places[:, :-1], 1 / widths, np.diff(norm.ppf(QUANTILES)), None, None, None)
    seen = head.spread(measured).astype(np.float32)
    weight, bias = np.zeros((seen.shape[1], len(AXES))), np.zeros(len(AXES))
    for k, axis in enumerate(truth.T):
        known = ~np.isnan(axis)
        count = seen.shape[1] if AXES[k] in SQUARED else measured.shape[1]
        learner = LogisticRegression(C=FREEDOM, max_iter=300, tol=1e-3)
        found = learner.fit(seen[known, :count], axis[known] > 0.5, weights[known])
        weight[:count, k], bias[k] = found.coef_[0], found.intercept_[0]
    return replace(head, weight=weight, bias=bias, thresholds=np.zeros(len(AXES)))


def learn(photos, measured):
    """`fit` on photos and what was measured of their pictures."""
    # The photo at its full size, where it was measured, is one more picture of it.
    plans = [plan(photo) for photo in photos]
    plans = [made + made[:1] * (len(rows) - len(made)) for made, rows in zip(plans, measured)]
    truth = [truth_of(photo, made) for photo, pictures in zip(photos, plans) for made in pictures]
    own = [OWN_WEIGHT * (2 if photo.kind == "product-cutout" else 1) for photo in photos]
    weights = [
        weight if made.group in OWN else 1.0 for weight, pictures in zip(own, plans) for made in pictures
    ]
    return fit(np.concatenate(measured), np.array(truth), np.array(weights))


def cross_validate(photos, measured, count, seed):
    """By photo the logits of its pictures, by a head that saw no photo of its origin."""
    place = {photo.path: index for index, photo in enumerate(photos)}
    logits = [None] * len(photos)
    for held in pool.folds(photos, count, seed):
        held = {place[photo.path] for photo in held}
        rest = [index for index in range(len(photos)) if index not in held]
        head = learn([photos[k] for k in rest], [measured[k] for k in rest])
        for k in held:
            logits[k] = head.logits(measured[k])
    return logits


def calibrate(head, result):
    """Gives the head thresholds and logits that are true to photos that it has not seen, those of
    `result`, were `PREVALENCE` of all photos so faulty. Returns `result` with probabilities."""
    scores, thresholds = [one.copy() for one in result.scores], []
    for k, axis in enumerate(AXES):
        faulty = np.concatenate([result.of(axis, axis, severity) for severity in (0.5, 0.75, 1.0)])
        clean = result.clean(axis)
        counts = [len(faulty), len(clean)]
        weights = np.repeat([PREVALENCE / counts[0], (1 - PREVALENCE) / counts[1]], counts)
        slope, shift = metrics.platt(
            np.repeat([1, 0], counts), np.concatenate([faulty, clean]), weights
        )
        head.weight[:, k] *= slope
        head.bias[k] = head.bias[k] * slope + shift
        thresholds.append(threshold(result, axis) * slope + shift)
        for one in scores:
            one[:, k] = one[:, k] * slope + shift
    # As the manifest says them.
    flagged = np.isfinite(thresholds)
    thresholds = np.round(np.clip(expit(thresholds), 0.001, 0.999), 3)
    head.thresholds = np.where(flagged, logit(thresholds), NEVER)
    thresholds[~flagged] = np.inf
    return Result(result.photos, [probabilities(head, one) for one in scores], thresholds)


def threshold(result, axis):
    """From which score on `axis` is flagged: as low as keeps the share `RIGHT` of the flags on labelled photos
    right, at either size. Infinite where too few strong faults are found then: what cannot be told from sound
    photos is scored and not flagged."""
    wanted, right, wrong = -np.inf, 0, 0
    for score, is_faulty in result.labelled(axis):
        right, wrong = right + is_faulty, wrong + (not is_faulty)
        if right < RIGHT * (right + wrong):
            wanted = score + MARGIN
            break
    strong = result.of(axis, axis, STRONG)
    return wanted if len(strong) and np.mean(strong >= wanted) >= FOUND else np.inf


def probabilities(head, logits):
    """What the network makes of calibrated logits."""
    enlarged = np.maximum(logits[:, LOW_RESOLUTION] - head.thresholds[LOW_RESOLUTION], 0)
    logits = logits.copy()
    logits[:, BLURRED] -= HIDES * enlarged
    return expit(logits)
