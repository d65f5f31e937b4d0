"""The whole way of images, from the queue to the recorded result."""

import pictures
from contestants import MEMORY_KEPT, Boto3, Celery, Flota, FlotaOnAws, Served
from emulator import Emulator
from turns import take_turns


def measure(options, flota, library, model, work, processes, emulator_python):
    emulator = Emulator(emulator_python, work)
    url, of = emulator.url, (model, processes)
    starts = {
        "Flota": lambda at: Flota(flota, library, at, *of),
        "Flota on tract": lambda at: Flota(flota, None, at, *of),
        "Flota on the emulator": lambda at: FlotaOnAws(url, flota, library, at, *of),
        "Celery, as first written": lambda at: Celery("plain", at, *of),
        "Celery, as first written, memory kept": lambda at: Celery("plain", at, *of, **MEMORY_KEPT),
        "Celery, tuned": lambda at: Celery("tuned", at, *of),
        "boto3, as first written": lambda at: Boto3("plain", url, at, *of),
        "boto3, as first written, memory kept": lambda at: Boto3(
            "plain", url, at, *of, **MEMORY_KEPT
        ),
        "boto3, tuned": lambda at: Boto3("tuned", url, at, *of),
        "Mosec behind boto3": lambda at: Served("served", url, at, *of),
    }
    draw = lambda number: pictures.draw(
        work / f"round-{number}", options.images, options.megapixels, number
    )
    try:
        return take_turns(options.rounds, work, starts, draw)
    finally:
        emulator.stop()
