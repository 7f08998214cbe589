"""Applying a patch: the newer bundle from the older, byte for byte, or nothing."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import polars as pl

from dagfm import __version__
from dagfm.encoding.encoder_file import index_file, read_encoder, read_schema, vocabulary_file
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.errors import InputError
from dagfm.files import MANIFEST, digest, flush, lies_within, open_sealed, read_manifest, replacing_directory
from dagfm.serving.bundle import FORMAT, KIND, bundle_in, check_target
from dagfm.serving.patches.arrays import patched_arrays
from dagfm.serving.patches.container import PatchReader, Way
from dagfm.serving.patches.differences import table_rows
from dagfm.serving.patches.vocabularies import patched_vocabulary, write_index

_MANIFEST = 1 << 24
"""Bytes of a manifest at most; those there are have thousands."""


def apply(old: str | Path, patch: str | Path, new: str | Path, most: int | None = None) -> None:
    """Write to ``new`` the bundle that ``patch`` was made for, given the bundle ``old``, or the run that holds it.

    ``new`` may be ``old``: it is replaced when the new bundle is complete and every checksum is right. A patch that
    leads to more than ``most`` bytes is refused before they are written: a small one can speak of very many.
    Raises InputError where ``patch`` is damaged, was made for another bundle than ``old``, or names a file outside of
    its bundle; where ``old`` is damaged; and where ``new`` exists and is no bundle. Nothing is left behind then.
    """
    base, path, target = bundle_in(old), Path(patch), Path(new)
    check_target(target)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with path.open("rb") as file:
        reader = PatchReader(file, path)
        open_sealed(base, KIND, FORMAT)
        _check_base(reader, path, base)
        with replacing_directory(target) as fresh:
            _Applier(reader, path, base, fresh).apply(most)
            flush(fresh)


def _check_base(reader: PatchReader, path: Path, base: Path) -> None:
    found, contents = digest(base / MANIFEST), reader.contents
    if found == contents.base:
        return
    already = ", what the patch leads to" if found == contents.result else ""
    raise InputError(
        f"{path}: is for the bundle {contents.base[:12]}, but {base} is {found[:12]}{already}; "
        "apply it to the bundle that it was made from, or copy the new bundle whole"
    )


class _Applier:
    def __init__(self, reader: PatchReader, path: Path, base: Path, fresh: Path) -> None:
        self._reader, self._path, self._base, self._fresh = reader, path, base, fresh

    def apply(self, most: int | None) -> None:
        """Fill the fresh folder and check it."""
        ways = self._reader.contents.files
        for name in ways:
            if not lies_within(self._fresh, name) or name == MANIFEST:
                raise InputError(f"{self._path}: '{name}' is no place for a file of the bundle; nothing was written")
        files = self._manifest()
        if set(files) != set(ways):
            raise InputError(f"{self._path}: holds other files than its manifest; the patch is damaged")
        whole = sum(max(0, one["bytes"]) for one in files.values())
        if most is not None and whole > most:
            raise InputError(f"{self._path}: leads to a bundle of {whole} bytes, at most {most} are taken")
        for name, way in ways.items():
            (self._fresh / name).parent.mkdir(parents=True, exist_ok=True)
            self._file(name, way, files[name]["bytes"])
            if way in ("vocabulary", "index") and digest(self._fresh / name) != files[name]["sha256"]:
                made = self._reader.contents
                raise InputError(
                    f"{self._path}: '{name}' is written otherwise here (dagfm {__version__}, polars {pl.__version__}) "
                    f"than where the patch was made (dagfm {made.dagfm}, polars {made.polars}); "
                    "make the patch with --portable"
                )
        try:
            open_sealed(self._fresh, KIND, FORMAT)
        except InputError as error:
            raise self._no_bundle(error) from None

    def _no_bundle(self, error: InputError) -> InputError:
        return InputError(f"{self._path}: leads to no whole bundle ({error})")

    def _manifest(self) -> dict[str, Any]:
        """The files of the newer manifest, which is written first."""
        path, found, size = self._fresh / MANIFEST, hashlib.sha256(), 0
        with path.open("wb") as file:
            while found.hexdigest() != self._reader.contents.result:
                part = self._reader.part()
                found.update(part)
                size += len(part)
                if size > _MANIFEST:
                    raise InputError(f"{self._path}: its manifest does not end; the patch is damaged")
                file.write(part)
        try:
            files: dict[str, Any] = read_manifest(self._fresh, KIND, FORMAT)["files"]
        except InputError as error:
            raise self._no_bundle(error) from None
        return files

    def _file(self, name: str, way: Way, size: int) -> None:
        path = self._fresh / name
        if way == "same":
            shutil.copyfile(self._base / name, path)
        elif way == "whole":
            with path.open("wb") as file:
                while file.tell() < size:
                    file.write(self._reader.part())
        elif way == "vocabulary":
            old = read_encoder(self._base).vocabularies.get(self._owner(name))
            if old is None:
                raise InputError(f"{self._path}: '{name}' changes no vocabulary of the base; the patch is damaged")
            patched_vocabulary(old, self._reader.part, self._path).write(path)
        elif way == "index":
            vocabulary = Vocabulary.read(self._fresh / vocabulary_file(read_schema(self._fresh), self._owner(name)))
            if not write_index(path, vocabulary):
                raise InputError(
                    f"{self._path}: '{name}' is made by the compiled kernel, which is missing here; "
                    "make the patch with --portable"
                )
        else:
            older = table_rows(read_encoder(self._base), read_encoder(self._fresh))
            with path.open("wb") as file:
                for piece in patched_arrays(self._base / name, self._reader.part, older, self._path, size):
                    file.write(piece)

    def _owner(self, name: str) -> str:
        """The field whose vocabulary or index the file is."""
        schema = read_schema(self._fresh)
        for field in schema:
            if name in (vocabulary_file(schema, field.name), index_file(schema, field.name)):
                return field.name
        raise InputError(f"{self._path}: '{name}' is of no field; the patch is damaged")
