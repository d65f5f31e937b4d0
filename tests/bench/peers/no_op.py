"""Tasks without work: taking them on, handing them out and recording their outcomes is all there is."""

import pictures
from contestants import Celery, Flota
from turns import take_turns

# All that Flota is asked about is one of so many pictures that it has seen.
PICTURES, MEGAPIXELS = 100, 0.1
# Fewer cost less than the system's count of CPU time, in hundredths of a second, can tell.
MIN_TASKS = 2000


class FlotaHasSeen(Flota):
    """Predictions that are known: nothing is fetched, decoded or inferred."""

    def __init__(self, request_images, *arguments):
        super().__init__(*arguments)
        self.request_images = request_images
        self.seen = super().hold(pictures.draw(self.work / "seen", PICTURES, MEGAPIXELS, 0))
        self.run(self.seen)

    def hold(self, tasks):
        return [self.seen[n % PICTURES] for n in range(len(tasks))]


class CeleryDurable(Celery):
    """Redis syncs each task before it is taken on, as SQLite does each result."""

    program = "celery_no_op"
    durability = ("--appendonly", "yes", "--appendfsync", "always")


class CeleryInMemory(Celery):
    """As it is without settings: results in Redis, which keeps nothing on disk."""

    program = "celery_no_op"

    def run(self, tasks):
        for result in [self.app.send_task("nothing", [task]) for task in tasks]:
            result.get()


def task_count(options):
    return max(options.images, MIN_TASKS)


def measure(options, flota, library, model, work, processes):
    of = (model, processes)
    starts = {
        "Flota, requests of 1": lambda at: FlotaHasSeen(1, flota, library, at, *of),
        "Flota, requests of 20": lambda at: FlotaHasSeen(20, flota, library, at, *of),
        "Flota, requests of 100": lambda at: FlotaHasSeen(100, flota, library, at, *of),
        "Celery, as durable": lambda at: CeleryDurable("plain", at, *of),
        "Celery, results in Redis": lambda at: CeleryInMemory("plain", at, *of),
    }
    draw = lambda number: [f"{number}-{n}" for n in range(task_count(options))]
    return take_turns(options.rounds, work, starts, draw)
