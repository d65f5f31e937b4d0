"""The differential gate: thousands of small files of every kind, decoded by the engine and by an
independent decoder. Both must see the same picture, or both must refuse the file.

    cargo build -p flota-engine --example decode_files
    python gate.py target/debug/examples/decode_files [--only PART_OF_A_NAME] [--keep FOLDER]

The engine must also say why it refuses: `DECODE_UNSUPPORTED` for sound files of a kind that is not
read, and it must refuse files that end early. How to add a kind: kinds/__init__.py.
"""

import argparse
import collections
import importlib
import pathlib
import struct
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy

import reference
from kinds import MODULES
from sample import Expect, Sample

#: Fewest files that make a whole gate.
LEAST_FILES = 2000
#: Parts of a file that must be refused.
CUTS = (0.3, 0.6, 0.9)
#: Faults that are printed of each kind; all are counted.
SHOWN_FAULTS = 5

UNSUPPORTED = "DECODE_UNSUPPORTED"


class Engine:
    """The engine's decoder, in a process that answers one file after another."""

    def __init__(self, program: str):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [program], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )

    def decode(self, data: bytes) -> numpy.ndarray | str:
        """Pixels, or the code and the sentence of a refusal."""
        self.process.stdin.write(struct.pack(">I", len(data)) + data)
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode().rstrip("\n")
        word, _, rest = line.partition(" ")
        if word != "ok":
            return rest or "the decoder's process ended"
        width, height = map(int, rest.split())
        found = self.process.stdout.read(width * height * 3)
        return numpy.frombuffer(found, numpy.uint8).reshape(height, width, 3)

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def difference(found: numpy.ndarray, wanted: numpy.ndarray, sample: Sample) -> str | None:
    """How `found` differs from `wanted`, where that is beyond the tolerance."""
    if found.shape != wanted.shape:
        return f"is {found.shape[1]} x {found.shape[0]}, not {wanted.shape[1]} x {wanted.shape[0]}"
    off = numpy.abs(found.astype(int) - wanted)
    most, mean = off.max(), off.mean()
    if most <= sample.tolerance.max and mean <= sample.tolerance.mean:
        return None
    return f"differs by {most} at most and {mean:.2f} on average"


def judge(sample: Sample, found: numpy.ndarray | str) -> tuple[str, str | None]:
    """What became of a sample (a column of the table), and its fault if it has one."""
    is_refused = isinstance(found, str)
    if sample.expect is Expect.REFUSED:
        return ("refused", None) if is_refused else ("fault", "was read, and it must be refused")
    if sample.expect is Expect.UNSUPPORTED:
        is_right = is_refused and found.startswith(UNSUPPORTED)
        return ("unsupported", None) if is_right else ("fault", f"not unsupported but {found}")
    wanted = reference.pixels(sample)
    if wanted is None:
        if not is_refused:
            return "fault", "was read, and the reference refuses it"
        is_right = found.startswith(UNSUPPORTED)
        return ("both refuse", None) if is_right else ("fault", f"a sound file is called {found}")
    if is_refused:
        is_right = sample.expect is Expect.SAME_OR_UNSUPPORTED and found.startswith(UNSUPPORTED)
        return ("unsupported", None) if is_right else ("fault", f"refused: {found}")
    fault = difference(found, wanted, sample)
    for name in sample.also if fault else ():
        other = reference.ALSO[name](sample)
        if other is not None and difference(found, other, sample) is None:
            fault = None
    return ("agree", None) if fault is None else ("fault", fault)


def cut(sample: Sample) -> list[Sample]:
    """Parts of a sample, each of which must be refused."""
    lengths = [int(len(sample.data) * part) for part in CUTS] if sample.is_cut else []
    return [
        Sample(sample.kind, f"{sample.name} cut to {length}", sample.data[:length], Expect.REFUSED)
        for length in lengths
    ]


def try_module(module: str, program: str, only: str, keep: str | None):
    """All that one module makes: what became of each kind's files, and the faults."""
    counts = collections.defaultdict(collections.Counter)
    faults = collections.defaultdict(list)
    engine = Engine(program)
    for whole in importlib.import_module(f"kinds.{module}").samples():
        for sample in [whole, *cut(whole)]:
            if only not in f"{sample.kind} {sample.name}":
                continue
            outcome, fault = judge(sample, engine.decode(sample.data))
            counts[sample.kind][outcome] += 1
            if fault is None:
                continue
            faults[sample.kind].append(f"{sample.name}: {fault}")
            if engine.process.poll() is not None:
                engine = Engine(program)
            if keep:
                name = f"{sample.kind} {sample.name}".replace(" ", "_").replace("/", "_")
                pathlib.Path(keep, name).write_bytes(sample.data)
    engine.close()
    return counts, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("program", help="the built example decode_files")
    parser.add_argument("--only", default="", help="only files whose kind and name contain this")
    parser.add_argument("--keep", help="an existing folder for the files with faults")
    arguments = parser.parse_args()
    began = time.monotonic()
    counts = collections.defaultdict(collections.Counter)
    faults = collections.defaultdict(list)
    with ProcessPoolExecutor() as pool:
        tried = [
            pool.submit(try_module, name, arguments.program, arguments.only, arguments.keep)
            for name in MODULES
        ]
        for done in tried:
            for kind, count in done.result()[0].items():
                counts[kind].update(count)
            for kind, lines in done.result()[1].items():
                faults[kind] += lines
    columns = ["agree", "both refuse", "unsupported", "refused", "fault"]
    print(f"{'kind':<34}{'files':>7}" + "".join(f"{column:>13}" for column in columns))
    for kind in sorted(counts):
        row = "".join(f"{counts[kind][column]:>13}" for column in columns)
        print(f"{kind:<34}{counts[kind].total():>7}{row}")
    total = sum(count.total() for count in counts.values())
    fault_count = sum(map(len, faults.values()))
    print(f"{total} files, {fault_count} faults, {time.monotonic() - began:.0f} s")
    for kind, lines in faults.items():
        for line in lines[:SHOWN_FAULTS]:
            print(f"FAULT {kind} {line}")
        if len(lines) > SHOWN_FAULTS:
            print(f"FAULT {kind} and {len(lines) - SHOWN_FAULTS} more")
    if total < LEAST_FILES and not arguments.only:
        print(f"FAULT only {total} files were made, and {LEAST_FILES} are a whole gate")
        return 1
    return 1 if fault_count else 0


if __name__ == "__main__":
    sys.exit(main())
