"""What an attack is, and what it reports."""

import dataclasses
from typing import Callable

ATTACKS = []


@dataclasses.dataclass
class Attack:
    name: str
    about: str
    run: Callable


def attack(name):
    """Registers a function of a place and a report; the first line of its text says what it does."""

    def register(run):
        ATTACKS.append(Attack(name, run.__doc__.splitlines()[0].rstrip("."), run))
        return run

    return register


class Report:
    def __init__(self):
        self.figures, self.failures = [], []

    def figure(self, name, value):
        self.figures.append(f"{name}: {value}")

    def check(self, holds, what):
        """Notes a failure where what must hold does not."""
        if not holds:
            self.failures.append(what)

    def lines(self):
        failures = [line for text in self.failures for line in text.splitlines()]
        return self.figures + [f"!! {line}" for line in failures]
