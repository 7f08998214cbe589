"""What is served under one name: its versions, each a warm scorer, and what could not be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dagfm.server.columns import Column, columns_of
from dagfm.serving.scorer import Scorer


@dataclass(frozen=True, eq=False)
class Served:
    """One version of a model, ready to score."""

    model: str
    version: str
    """The folder's number, or the bundle's fingerprint where it is not one of several."""
    fingerprint: str
    scorer: Scorer

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns that a row needs."""
        return columns_of(self.scorer.schema)

    @property
    def label(self) -> str:
        """The version as figures name it: nothing for a fingerprint, of which every reload would bring another."""
        return self.version if self.version != self.fingerprint else ""


@dataclass(frozen=True, eq=False)
class Model:
    """The versions of one model; replaced as a whole, never changed, so a request sees one state."""

    name: str
    versions: Mapping[str, Served] = field(default_factory=dict)
    """In ascending order; the last one answers who names none."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why a version that lies there is not served, by version; texts without paths."""

    @property
    def latest(self) -> Served | None:
        """The version that answers where none is named."""
        names = tuple(self.versions)
        return self.versions[names[-1]] if names else None

    @property
    def digest(self) -> str:
        """Equal in two workers that serve the same."""
        return " ".join(f"{one.version}:{one.fingerprint}" for one in self.versions.values())


@dataclass(frozen=True)
class Change:
    """What loading a model came to."""

    model: Model
    gone: tuple[str, ...] = ()
    """Versions that were served and are not any more."""
    fresh: tuple[str, ...] = ()
    """Versions that were not served before, or from another bundle."""
    refused: tuple[str, ...] = ()
    """Versions that were to be served, and why not is among the model's failures."""


def without_paths(error: Exception, words: Mapping[Path, str]) -> str:
    """The error's text with a word for each path: a client may read it, and paths are none of its business."""
    text = str(error)
    for path, word in words.items():
        for place in (path, path.resolve()):
            text = text.replace(str(place), word)
    return text
