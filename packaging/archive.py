"""Takes the command and its SBOM out of a wheel and makes an archive and its checksum of them.

    python3 packaging/archive.py WHEEL TARGET FOLDER

The archive holds the same bytes as the wheel, whose links maturin has checked, and is the same whenever it is
made: times and owners are zero.
"""

import gzip
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("LICENSE-APACHE", "LICENSE-MIT", "README.md")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    wheel, target, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    name = f"flota-{target}"
    with zipfile.ZipFile(wheel) as files:
        command = read_only(files, ".data/scripts/flota")
        sbom = read_only(files, ".dist-info/sboms/flota.cyclonedx.json")
    members = [(f"{name}/flota", command, 0o755)]
    members += [(f"{name}/{file}", (PROJECT / file).read_bytes(), 0o644) for file in DOCUMENTS]
    archive = folder / f"{name}.tar.gz"
    archive.write_bytes(packed(members))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (folder / f"{archive.name}.sha256").write_text(f"{digest}  {archive.name}\n")
    (folder / f"{name}.cdx.json").write_bytes(sbom)
    megabytes = [f"{len(data) / 1e6:.1f} MB" for data in (command, archive.read_bytes(), wheel.read_bytes())]
    print("command {}, archive {}, wheel {}: {}".format(*megabytes, archive))


def read_only(files, ending):
    """The content of the one file whose path ends so."""
    paths = [path for path in files.namelist() if path.endswith(ending)]
    if len(paths) != 1:
        sys.exit(f"error: {files.filename} has {len(paths)} files that end in {ending}, expected one")
    return files.read(paths[0])


def packed(members):
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as compressed:
        with tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for path, data, mode in members:
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(data), mode
                archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


if __name__ == "__main__":
    main()
