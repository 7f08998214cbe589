"""Where a model lies on disk: one bundle, or a folder of numbered versions; and whether it has changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from dagfm.errors import InputError
from dagfm.files import MANIFEST

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""What a model may be called: it is a part of URLs."""

Signature = tuple[tuple[str, int, int, int], ...]


def parse_models(words: Iterable[str]) -> dict[str, str]:
    """``NAME=PATH`` or ``PATH`` words as paths by name; a path alone is named after its run.

    Raises InputError for a name that URLs cannot hold, a name given twice, and a path with neither bundle nor versions.
    """
    models: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals:
            path = word
            place = Path(path).resolve()
            name = place.parent.name if place.name == "bundle" else place.name
        if not NAME.fullmatch(name):
            raise InputError(f"{word}: '{name}' cannot name a model; expected NAME=PATH, NAME of letters, digits, _.-")
        if name in models:
            raise InputError(f"{word}: a model is called '{name}' already; name it with NAME={path}")
        if not locate(Path(path)):
            raise InputError(
                f"{path}: neither a bundle, nor a run that holds one, nor a folder of versions (1, 2, ...)"
            )
        models[name] = str(Path(path).absolute())
    return models


def locate(path: Path) -> dict[str, Path]:
    """The bundles below ``path`` by version: the one that it is or holds, as '', or those in folders 1, 2, ..."""
    if (found := _bundle(path)) is not None:
        return {"": found}
    try:
        numbered = [entry for entry in path.iterdir() if entry.name.isdecimal() and entry.name.isascii()]
    except OSError:  # the folder is not there now, which callers report
        return {}
    bundles = {entry.name: _bundle(entry) for entry in sorted(numbered, key=lambda entry: int(entry.name))}
    return {version: bundle for version, bundle in bundles.items() if bundle is not None}


def fingerprint(bundle: Path) -> str:
    """Twelve hex digits that tell bundles apart: of the manifest, which vouches for everything else."""
    try:
        return hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise InputError(f"{bundle / MANIFEST}: cannot be read ({error.strerror})") from None


def signature(path: Path) -> Signature:
    """Changes whenever a file below ``path`` is written, replaced or removed; costs a stat each."""
    found = []
    for version, bundle in locate(path).items():
        try:
            for file in sorted(bundle.rglob("*")):
                stat = file.stat()
                found.append((f"{version}/{file.relative_to(bundle)}", stat.st_size, stat.st_mtime_ns, stat.st_ino))
        except OSError:  # removed since it was listed, or its disk is away: the next look is another signature
            continue
    return tuple(found)


def _bundle(path: Path) -> Path | None:
    for place in (path, path / "bundle"):
        try:
            if (place / MANIFEST).is_file():
                return place
        except OSError:  # a network's disk that is away, or no permission any more: as if it were not there
            continue
    return None
