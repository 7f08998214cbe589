"""Fetch MovieLens 100k: three files out of the wheel recbole==1.2.1, downloaded but neither installed nor imported.

python examples/ml-100k/fetch.py DIRECTORY      does nothing where the three files are there already
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

from dagfm.errors import DagfmError, InputError
from dagfm.files import digest, write_bytes

WHEEL = "recbole==1.2.1"
FOLDER = "recbole/dataset_example/ml-100k/"
CHECKSUMS = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}
TERMS = """\
MovieLens 100k (GroupLens, University of Minnesota): for research; no redistribution and no commercial use without
permission. Cite F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015."""


def fetch(directory: Path) -> None:
    """Leave the three files in ``directory``, checked; raises DagfmError saying how to put them there by hand."""
    if all((directory / name).is_file() for name in CHECKSUMS):
        _check(directory)
        return
    with tempfile.TemporaryDirectory() as folder:
        extract(_download(Path(folder), directory), directory)


def extract(wheel: Path, directory: Path) -> None:
    """Copy the three files out of ``wheel``: read by their full names, so nothing else of the archive is touched."""
    with zipfile.ZipFile(wheel) as archive:
        for name, expected in CHECKSUMS.items():
            try:
                data = archive.read(FOLDER + name)
            except KeyError:
                raise DagfmError(f"{wheel.name}: holds no {FOLDER}{name}; {_by_hand(directory)}") from None
            if sha256(data).hexdigest() != expected:
                raise DagfmError(f"{wheel.name}: {name} is not the file expected; {_by_hand(directory)}")
            write_bytes(directory / name, data)


def _download(folder: Path, directory: Path) -> Path:
    # Only a wheel: a source archive would be built, that is, run.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", WHEEL]
    done = subprocess.run([*command, "--dest", str(folder)], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise DagfmError(f"{done.stderr.strip()}\npip could not download {WHEEL}; {_by_hand(directory)}")
    return wheels[0]


def _check(directory: Path) -> None:
    for name, expected in CHECKSUMS.items():
        if digest(directory / name) != expected:
            raise InputError(f"{directory / name}: not the file expected; delete it and run this again")


def _by_hand(directory: Path) -> str:
    return f"without a network put {', '.join(CHECKSUMS)} from that wheel's {FOLDER} into {directory} yourself"


if __name__ == "__main__":
    print(TERMS, file=sys.stderr)
    try:
        fetch(Path(sys.argv[1]))
    except DagfmError as error:
        sys.exit(f"error: {error}")
