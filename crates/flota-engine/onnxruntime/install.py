"""Puts the library of ONNX Runtime that Flota is tested with into a folder.

    python3 install.py FOLDER

pip fetches one pinned wheel and verifies its hash. Nothing of Python's is needed afterwards.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

VERSION = "1.31.1"
# (system, machine) -> platform of the wheel, its SHA-256, the library in it, its name in FOLDER.
WHEELS = {
    ("Linux", "x86_64"): (
        "manylinux_2_28_x86_64",
        "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
        f"libonnxruntime.so.{VERSION}",
        "libonnxruntime.so",
    ),
    ("Linux", "aarch64"): (
        "manylinux_2_28_aarch64",
        "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
        f"libonnxruntime.so.{VERSION}",
        "libonnxruntime.so",
    ),
    ("Darwin", "arm64"): (
        "macosx_14_0_arm64",
        "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7",
        f"libonnxruntime.{VERSION}.dylib",
        "libonnxruntime.dylib",
    ),
}
LICENSES = ("LICENSE", "ThirdPartyNotices.txt")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    here = (platform.system(), platform.machine())
    if here not in WHEELS:
        known = ", ".join(" ".join(place) for place in WHEELS)
        sys.exit(f"no pinned wheel for {' '.join(here)}, only for {known}: set engine.library")
    tag, sha256, library, name = WHEELS[here]
    folder.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that it comes there whole or not at all.
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        work = Path(temporary)
        download(work, tag, sha256)
        (wheel,) = work.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for member, target in [(f"capi/{library}", name), *zip(LICENSES, LICENSES)]:
                with archive.open(f"onnxruntime/{member}") as source:
                    with open(work / target, "wb") as file:
                        shutil.copyfileobj(source, file)
                (work / target).replace(folder / target)
    print(folder / name)


def download(work, tag, sha256):
    pinned = work / "wheel.txt"
    pinned.write_text(f"onnxruntime=={VERSION} --hash=sha256:{sha256}\n")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet"]
    # What is in the wheel for Python is not used, so that any version of Python will do.
    wheel = [
        "--platform",
        tag,
        "--implementation",
        "cp",
        "--python-version",
        "311",
        "--abi",
        "cp311",
    ]
    fetch = ["download", *options, *wheel, "--dest", str(work), "-r", str(pinned)]
    done = subprocess.run([*pip(work), *fetch], stdout=sys.stderr)
    if done.returncode:
        sys.exit(f"pip could not fetch onnxruntime {VERSION}: it said why above")


def pip(work):
    """A command that runs pip, in an environment of its own where this Python has none."""
    own = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    try:
        venv.create(work / "venv", with_pip=True)
    except (subprocess.CalledProcessError, OSError):
        sys.exit("this Python has neither `pip` nor `venv`: install python3-pip or python3-venv")
    return [str(work / "venv/bin/python"), "-m", "pip", "--disable-pip-version-check"]


if __name__ == "__main__":
    main()
