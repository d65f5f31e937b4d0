"""Attacks the real server on loopback and says what an honest client sees meanwhile.

    python3 tests/siege [--binary PATH] [--list] [NAME ...]

It needs Python 3.10 and nothing else, and takes less than five minutes. Each attack is one function: write
another with `@attack("NAME")` in one of the modules below, or in a module of its own that is imported here.
Exit code 0: every check holds; 1: one does not; 2: it cannot run.
"""

import argparse
import os
import pathlib
import sys
import time
import traceback

import callers  # noqa: F401  (an import registers its attacks)
import connections  # noqa: F401
import uploads  # noqa: F401
import ways  # noqa: F401
from report import ATTACKS, Report
from server import Place

PROJECT = pathlib.Path(__file__).resolve().parents[2]
# What the tests of the workspace build, and what `cargo build` does.
BINARIES = ["flota_under_test", "flota"]


def find_binary(given):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
    paths = [pathlib.Path(given)] if given else [target / "debug" / name for name in BINARIES]
    for path in paths:
        if path.is_file():
            return path.resolve()
    print(f"error: there is no {' or '.join(map(str, paths))}: build it with `cargo test --no-run`", file=sys.stderr)
    sys.exit(2)


def main():
    parser = argparse.ArgumentParser(prog="tests/siege", description=__doc__.splitlines()[0])
    parser.add_argument("--binary", help="the flota to attack; by default the one that the tests built")
    parser.add_argument("--list", action="store_true", help="list the attacks and end")
    parser.add_argument("names", nargs="*", metavar="NAME", help="attacks, or beginnings of their names")
    options = parser.parse_args()
    chosen = [a for a in ATTACKS if not options.names or a.name.startswith(tuple(options.names))]
    if options.list or not chosen:
        print("\n".join(attack.name for attack in ATTACKS))
        return 0 if options.list else 2
    place = Place(find_binary(options.binary), PROJECT / "tests/models/mean-color")
    began, failed = time.monotonic(), []
    for attack in chosen:
        report, started = Report(), time.monotonic()
        print(f"{attack.name}: {attack.about}", flush=True)
        try:
            attack.run(place, report)
        except Exception:
            report.failures.append(traceback.format_exc())
        for line in report.lines():
            print(f"  {line}")
        print(f"  {'FAILED' if report.failures else 'ok'} in {time.monotonic() - started:.1f} s", flush=True)
        if report.failures:
            failed.append(attack.name)
    print(f"siege: {len(chosen) - len(failed)} of {len(chosen)} attacks withstood in {time.monotonic() - began:.0f} s")
    if failed:
        print("siege: FAILED: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
