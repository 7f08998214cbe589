"""Stages that are finished elsewhere, found by what they were made from and taken over instead of being run again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dagfm.errors import InputError
from dagfm.files import MANIFEST, fingerprint, read_json, replacing, write_manifest
from dagfm.progress import Progress
from dagfm.training.stage import FORMAT, INPUTS, KIND, Stage


@dataclass(frozen=True)
class Wanted:
    """A stage that has to be finished."""

    stage: Stage
    title: str
    """What progress calls it."""
    name: str | None = None
    """Of its model."""
    named: bool = False
    """Whether the name takes part in what is drawn: then a model of another name is another model."""
    below: tuple[Stage, ...] = ()
    """Stages whose files it needs to be whole."""


@dataclass(frozen=True)
class _Found:
    """A finished stage: its run, its directory, its facts."""

    run: Path
    place: Path
    facts: dict[str, Any]


@dataclass(frozen=True)
class Reuse:
    """Runs whose finished stages may be taken over, the run that is being made first."""

    runs: tuple[Path, ...] = ()

    def take(self, wanted: Iterable[Wanted], progress: Progress) -> None:
        """Put those of the ``wanted`` stages into their place that are finished somewhere else, from equal inputs.

        Their files are hard-linked, or copied where that cannot be; checksums go with them. All are copied before the
        first is put in place: one may lie where another has to go. Raises InputError naming the file where a
        stage to be taken is damaged.
        """
        taken: list[tuple[Wanted, _Found]] = []
        whole: set[Path] = set()
        for one in wanted:
            found = None
            if not one.stage.is_finished and all(stage.directory in whole for stage in one.below):
                found = self._find(one)
            if found is not None:
                taken.append((one, found))
            if found is not None or one.stage.is_finished:
                whole.add(one.stage.directory)
        copies = [_copied(one, found, own=found.run == self.runs[0]) for one, found in taken]
        parts = {stage.directory for one, _ in taken for stage in one.below}
        for (one, found), copy in zip(taken, copies, strict=True):
            _put_in_place(one.stage, copy)
            if one.stage.directory not in parts:
                progress.line(f"{one.title} is taken over from {found.place}")

    def _find(self, wanted: Wanted) -> _Found | None:
        """The first finished stage of equal inputs."""
        for run, place in self._finished.get(wanted.stage.fingerprint, ()):
            if place == wanted.stage.directory or not (place / MANIFEST).exists():
                continue
            try:
                _, facts = Stage.standing(place)
            except InputError as error:
                raise InputError(f"{error}; delete {place} to have it made anew") from None
            same_name = not wanted.named or facts["result"]["name"] == wanted.name
            if facts["inputs"] == wanted.stage.plain_inputs and same_name:
                return _Found(run, place, facts)
        return None

    @cached_property
    def _finished(self) -> dict[str, list[tuple[Path, Path]]]:
        """By fingerprint, run and directory of every stage that was finished when the first was asked for."""
        found: dict[str, list[tuple[Path, Path]]] = {}
        for run in self.runs:
            for inputs in sorted(run.rglob(INPUTS)):
                if (inputs.parent / MANIFEST).exists():
                    found.setdefault(fingerprint(read_json(inputs)), []).append((run, inputs.parent))
        return found


def _copied(wanted: Wanted, found: _Found, *, own: bool) -> Path:
    """A sealed copy of a finished stage beside where it has to go, under the name that is ``wanted``."""
    directory, place, facts = wanted.stage.directory, found.place, found.facts
    copy = directory.with_name(f".{directory.name}.taken.tmp")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in facts["files"]:
        _link(place / name, copy / name)
    kept = {key: value for key, value in facts.items() if key not in ("kind", "format", "files")}
    result = kept.get("result")
    if not own:
        seconds = result.get("training_seconds") if result else None
        there = {"run": str(found.run.resolve()), "stage": str(place.relative_to(found.run))}
        kept["reused"] = {**there, "training_seconds": seconds}
    if result:
        told = {"reused": kept["reused"]} if "reused" in kept else {}
        kept["result"] = {**result, "name": wanted.name, **told}
    write_manifest(copy, KIND, FORMAT, facts["files"], kept)
    return copy


def _put_in_place(stage: Stage, copy: Path) -> None:
    """Move a copy's files to where the stage belongs, the manifest last."""
    stage.begin()
    manifest = copy / MANIFEST
    for path in copy.iterdir():
        if path != manifest:
            path.replace(stage.directory / path.name)
    with replacing(stage.directory / MANIFEST) as temporary:
        manifest.replace(temporary)
    copy.rmdir()


def _link(source: Path, target: Path) -> None:
    """Give a file a second name: none is ever written in place, so that neither run can change the other's."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
