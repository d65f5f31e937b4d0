"""What scores make of the faults that photos have, were given, and do not have."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from degrade import AXES
from flota_training import metrics
from pictures import OWN, plan

MODERATE = 0.5
STRONG = 0.75
PHOTOGRAPHS = ("photo", "product-cutout")


def share(count, whole):
    """As text."""
    return f"{count} of {whole} ({count / max(whole, 1):.1%})"


@dataclass
class Result:
    """Photos and, by photo, the probabilities of its pictures: [pictures, axes], not a number for
    pictures that were not looked at; one row more where there is the photo at its full size."""

    photos: list
    scores: list
    thresholds: np.ndarray

    @cached_property
    def plans(self):
        return [plan(photo) for photo in self.photos]

    @cached_property
    def good(self):
        """Places of the photos of which every flag is wrong."""
        return {
            k
            for k, photo in enumerate(self.photos)
            if photo.labels.get("quality", 0 if photo.labels else 1) == 1
            and photo.kind in PHOTOGRAPHS
        }

    def of(self, axis, group, severity=0.0):
        """The probabilities of `axis` for the pictures of `group`, a fault being so severe."""
        column = AXES.index(axis)
        found = np.array(
            [
                score[column]
                for scores, pictures in zip(self.scores, self.plans)
                for score, made in zip(scores, pictures)
                if made.group == group and (group in OWN or made.severities[group] == severity)
            ]
        )
        return found[~np.isnan(found)]

    def flagged_from(self):
        """The thresholds of the axes that are flagged."""
        return {
            axis: float(value) for axis, value in zip(AXES, self.thresholds) if np.isfinite(value)
        }

    def clean(self, axis):
        """The probabilities of `axis` for good photos, in every encoding and size."""
        column = AXES.index(axis)
        return np.array(
            [
                score[column]
                for k in self.good
                for score, made in zip(self.scores[k], self.plans[k])
                if made.group in OWN
            ]
        )

    def good_scores(self, axis, is_large=False):
        """Of good photos as they are, or at their full size where that is there."""
        column = AXES.index(axis)
        rows = [(self.scores[k], len(self.plans[k])) for k in sorted(self.good)]
        return np.array(
            [scores[-1 if is_large else 0, column] for scores, n in rows if not is_large or len(scores) > n]
        )

    def labelled(self, axis):
        """(score, whether it surely has the fault) of photos that surely have it, surely lack it or are
        good, as they are and at their full size; the highest score first."""
        column = AXES.index(axis)
        told = [
            (scores[place, column], photo.labels.get(axis) == 1)
            for k, (photo, scores) in enumerate(zip(self.photos, self.scores))
            if photo.kind in PHOTOGRAPHS and (k in self.good or photo.labels.get(axis) in (0, 1))
            for place in {0, -1 if len(scores) > len(self.plans[k]) else 0}
        ]
        return sorted(told, reverse=True)

    def auc(self, axis, severity=MODERATE, others=False):
        """Of a fault so severe, against good photos as they are or, with `others`, against photos
        with as much of another fault."""
        truth, scores = self.versus(axis, severity, others)
        return metrics.roc_auc(truth, scores)

    def versus(self, axis, severity=MODERATE, others=False):
        found, rest = self.of(axis, axis, severity), self.good_scores(axis)
        if others:
            rest = np.concatenate([self.of(axis, other, severity) for other in AXES if other != axis])
        return np.repeat([1, 0], [len(found), len(rest)]), np.concatenate([found, rest])

    def found(self, axis, severity=MODERATE):
        """(flagged, pictures) with a fault so severe."""
        flags = self.of(axis, axis, severity) >= self.thresholds[AXES.index(axis)]
        return int(flags.sum()), len(flags)

    def sized(self, is_large):
        """(place, flags) of the photos as they are, or of those that are there at their full size."""
        for k, scores in enumerate(self.scores):
            if not is_large:
                yield k, scores[0] >= self.thresholds
            elif len(scores) > len(self.plans[k]):
                yield k, scores[-1] >= self.thresholds

    def flagged(self, axis=None, is_large=False):
        """(flagged, looked at): good photos with a flag of one axis, or with any."""
        flags = [one for k, one in self.sized(is_large) if k in self.good]
        column = slice(None) if axis is None else AXES.index(axis)
        return sum(bool(np.any(one[column])) for one in flags), len(flags)

    def verdicts(self, is_large=False):
        """(photo, axis, whether it is right) of each flag that a label is sure about, and how many
        faults the labels name."""
        told, faults = [], 0
        for k, flags in self.sized(is_large):
            photo = self.photos[k]
            if photo.kind not in PHOTOGRAPHS:
                continue
            faults += sum(photo.labels.get(axis) == 1 for axis in AXES)
            for axis, flag in zip(AXES, flags):
                if flag and photo.labels.get(axis) in (0, 1):
                    told.append((photo, axis, photo.labels[axis] == 1))
        return told, faults

    def changed(self):
        """(changed, tried): how often a good photo that is saved again as JPEG gets other flags."""
        tries = [
            np.any((score >= self.thresholds) != (self.scores[k][0] >= self.thresholds))
            for k in self.good
            for score, made in zip(self.scores[k], self.plans[k])
            if made.group == "saved again" and made.encoding[0] == "JPEG"
        ]
        return int(sum(tries)), len(tries)
