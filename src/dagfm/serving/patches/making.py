"""Making a patch: for each file of the newer bundle the shortest way to it from the older."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from dagfm import __version__
from dagfm.encoding.encoder_file import index_file, read_encoder, vocabulary_file
from dagfm.errors import InputError
from dagfm.files import MANIFEST, digest, open_sealed, replacing
from dagfm.serving.bundle import FORMAT, KIND, WEIGHTS, bundle_in
from dagfm.serving.patches.arrays import array_parts
from dagfm.serving.patches.container import PART, Contents, PatchWriter, Way
from dagfm.serving.patches.differences import table_rows
from dagfm.serving.patches.vocabularies import has_parts, patched_vocabulary, vocabulary_parts, write_index
from dagfm.serving.weights import mapped


@dataclass(frozen=True)
class Patched:
    """What became of a patch."""

    size: int
    """Bytes of the patch."""
    bundle: int
    """Bytes of the newer bundle."""


def make(old: str | Path, new: str | Path, patch: str | Path, portable: bool = False) -> Patched:
    """Write to the file ``patch`` what turns the bundle ``old`` into the bundle ``new``, byte for byte.

    ``old`` and ``new`` may be runs that hold a bundle. ``portable`` leaves out what is small because the other side
    has to write it again: vocabularies by the same version of polars, indexes by the compiled kernel.
    Raises InputError naming the file where one is no bundle, or is damaged, and where their weights are of different
    kinds.
    """
    before, after, target = bundle_in(old), bundle_in(new), Path(patch)
    files = {bundle: open_sealed(bundle, KIND, FORMAT)["files"] for bundle in (before, after)}
    for bundle in files:
        if target.resolve().is_relative_to(bundle.resolve()):
            raise InputError(f"{target}: lies in the bundle {bundle}; write the patch somewhere else")
    _check_kinds(before, after)
    maker = _Maker(before, after, portable)
    with replacing(target) as temporary, temporary.open("wb") as file:
        writer = PatchWriter(file)
        _write(writer, _pieces(after / MANIFEST))
        ways: dict[str, Way] = {}
        for name in sorted(files[after], key=_place):
            same = files[before].get(name) == files[after][name]
            ways[name], parts = ("same", iter(())) if same else maker.way(name)
            _write(writer, parts)
        base, result = digest(before / MANIFEST), digest(after / MANIFEST)
        writer.finish(Contents(base=base, result=result, files=ways, dagfm=__version__, polars=pl.__version__))
    whole = sum(one["bytes"] for one in files[after].values()) + (after / MANIFEST).stat().st_size
    return Patched(target.stat().st_size, whole)


def _check_kinds(old: Path, new: Path) -> None:
    """Raise InputError where an array of both bundles holds numbers of different types: all of it would be sent."""
    kinds = [{name: one.dtype for name, one in mapped(bundle / WEIGHTS).items()} for bundle in (old, new)]
    for name, kind in kinds[0].items():
        other = kinds[1].get(name, kind)
        if kind != other:
            raise InputError(
                f"{old} and {new}: '{name}' is {kind} there and {other} here; a patch is between bundles of one kind "
                "of weights: export both with the same --weights"
            )


def _place(name: str) -> tuple[bool, bool, str]:
    """An index after its vocabulary, weights last: what is told by other files comes after them."""
    return name == WEIGHTS, name.endswith(".index"), name


class _Maker:
    def __init__(self, old: Path, new: Path, portable: bool) -> None:
        self._old, self._new = old, new
        self._before, self._after = read_encoder(old), read_encoder(new)
        own = [] if portable else list(self._after.vocabularies)
        self._vocabularies = {vocabulary_file(self._after.schema, name): name for name in own}
        self._indexes = {index_file(self._after.schema, name): name for name in own}

    def way(self, name: str) -> tuple[Way, Iterator[bytes]]:
        """How the file ``name`` is told, and the parts that tell it."""
        if name == WEIGHTS:
            older = table_rows(self._before, self._after)
            return "arrays", array_parts(self._old / name, self._new / name, older)
        if name in self._vocabularies and (parts := self._vocabulary(name)) is not None:
            return "vocabulary", iter(parts)
        if name in self._indexes and self._derives(name):
            return "index", iter(())
        return "whole", _pieces(self._new / name)

    def _vocabulary(self, name: str) -> list[bytes] | None:
        """The parts of a vocabulary, where they lead to the same bytes again and the older bundle has one."""
        field = self._vocabularies[name]
        old, new = self._before.vocabularies.get(field), self._after.vocabularies[field]
        if old is None or not has_parts(new):
            return None
        parts = list(vocabulary_parts(old, new))

        def write(path: Path) -> bool:
            patched_vocabulary(old, iter(parts).__next__, path).write(path)
            return True

        return parts if self._comes_out(name, write) else None

    def _derives(self, name: str) -> bool:
        vocabulary = self._after.vocabularies[self._indexes[name]]
        return self._comes_out(name, lambda path: write_index(path, vocabulary))

    def _comes_out(self, name: str, write: Callable[[Path], bool]) -> bool:
        """Whether ``write`` writes the newer bundle's file ``name``."""
        with TemporaryDirectory(prefix="dagfm-patch-") as folder:
            path = Path(folder) / "file"
            return write(path) and digest(path) == digest(self._new / name)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PART):
            yield piece


def _write(writer: PatchWriter, parts: Iterable[bytes]) -> None:
    for part in parts:
        writer.part(part)
