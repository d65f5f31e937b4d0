"""Contestants take turns in each round, so that a noisy machine is noisy to all of them."""

import time

from cpu import cpu_seconds, resident_mb


def take_turns(rounds, work, starts, draw):
    """What each costs in each round; `draw` makes what a round is about, from its number."""
    figures = {name: {"cpu_ms": [], "per_s": [], "mb": []} for name in starts}
    started = {}
    try:
        for name, start in starts.items():
            started[name] = start(work / name.replace(" ", "-").replace(",", ""))
        for number in range(rounds + 1):
            drawn = draw(number)
            for name, contestant in started.items():
                measured = turn(contestant, drawn)
                # The first round warms caches and allocators, and waits for those that start slowly.
                if number:
                    for key, value in measured.items():
                        figures[name][key].append(value)
    finally:
        for contestant in started.values():
            contestant.stop()
    return figures


def turn(contestant, drawn):
    held = contestant.hold(drawn)
    before, began = cpu_seconds(contestant.pids()), time.monotonic()
    contestant.run(held)
    wall_s = time.monotonic() - began
    cpu_s = cpu_seconds(contestant.pids()) - before
    return {
        "cpu_ms": 1000 * cpu_s / len(held),
        "per_s": len(held) / wall_s,
        "mb": resident_mb(contestant.pids()),
    }
