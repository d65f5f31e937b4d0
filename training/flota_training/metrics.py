"""How good scores are, and how to make probabilities of them."""

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

BINS = 15
# Keeps logits finite.
EPSILON = 1e-6


def roc_auc(truth, scores):
    """Area under the ROC curve; not a number where only one class is there."""
    truth = np.asarray(truth) > 0.5
    return float("nan") if truth.all() or not truth.any() else float(roc_auc_score(truth, scores))


def roc(truth, scores):
    """(false alarms, hits) as shares, for plotting."""
    false_alarms, hits, _ = roc_curve(np.asarray(truth) > 0.5, scores)
    return false_alarms, hits


def reliability(truth, probabilities, bins=BINS):
    """Per filled bin of equal width: (mean probability, share of truth, count)."""
    truth, probabilities = np.asarray(truth, float), np.asarray(probabilities, float)
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    rows = [
        (probabilities[places == b].mean(), truth[places == b].mean(), (places == b).sum())
        for b in range(bins)
        if (places == b).any()
    ]
    return np.array(rows).T


def calibration_error(truth, probabilities, bins=BINS):
    """Expected calibration error over `bins` bins of equal width."""
    said, true, count = reliability(truth, probabilities, bins)
    return float((np.abs(said - true) * count).sum() / count.sum())


def platt(truth, logits, weights=None):
    """(slope, shift) such that sigmoid(slope * logit + shift) is calibrated on this data, of which each
    counts as its weight says; (1, 0) where it holds one class only."""
    truth = np.asarray(truth) > 0.5
    if truth.all() or not truth.any():
        return 1.0, 0.0
    if weights is not None:
        weights = np.asarray(weights) * (len(truth) / np.sum(weights))
    fit = LogisticRegression(C=100.0).fit(np.asarray(logits).reshape(-1, 1), truth, weights)
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def logits(probabilities):
    return logit(np.clip(np.asarray(probabilities, float), EPSILON, 1 - EPSILON))


def falling_share(series):
    """Of rows of scores by growing strength, the share that falls at every step."""
    return float((np.diff(np.asarray(series), axis=1) < 0).all(axis=1).mean())


def mean_sd(values, decimals=3):
    """`mean ± standard deviation` as text."""
    values = np.asarray(values, float)
    return f"{values.mean():.{decimals}f} ± {values.std(ddof=1) if len(values) > 1 else 0:.{decimals}f}"


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
