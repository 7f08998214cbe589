"""A stage of a run: a directory that knows what it was made from, whether it is finished, and why it must be redone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dagfm.errors import InputError
from dagfm.files import MANIFEST, fingerprint, open_sealed, read_json, seal, write_json

log = logging.getLogger(__name__)

KIND = "finished phase"
FORMAT = 1
INPUTS = "inputs.json"
"""What a stage, finished or begun, is made from."""


@dataclass(frozen=True)
class Stage:
    """One stage's directory and everything that its result depends on, under the configuration's own key names."""

    directory: Path
    inputs: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Equal inputs, equal fingerprint; stages that build on this one have it among their inputs."""
        return fingerprint(self.plain_inputs)

    @cached_property
    def plain_inputs(self) -> Any:
        """The inputs as they are read from disk."""
        return json.loads(json.dumps(self.inputs))

    @property
    def is_finished(self) -> bool:
        """Whether the directory holds this stage, finished; ``open`` says whether it is whole."""
        manifest = self.directory / MANIFEST
        try:
            facts = read_json(manifest) if manifest.exists() else None
        except InputError as error:
            raise self._to_be_deleted(error) from None
        return isinstance(facts, dict) and facts.get("inputs") == self.plain_inputs

    @classmethod
    def standing(cls, directory: Path) -> tuple[Stage, dict[str, Any]]:
        """The finished stage in ``directory``, whatever it was made from, and its facts; raises InputError when there
        is none or it is damaged."""
        facts = open_sealed(directory, KIND, FORMAT)
        return cls(directory, facts["inputs"]), facts

    def open(self) -> dict[str, Any] | None:
        """Return the facts of the finished stage, or None when it has to run, now or on from its checkpoint.

        The files of a stage made from other inputs are removed, and the log says which key changed. Raises InputError
        when a finished stage is damaged.
        """
        inputs = self.plain_inputs
        try:
            if (self.directory / MANIFEST).exists():
                facts = open_sealed(self.directory, KIND, FORMAT)
                if facts["inputs"] == inputs:
                    return facts
                self._tell_why(facts["inputs"], inputs)
            elif (self.directory / INPUTS).exists():
                begun = read_json(self.directory / INPUTS)
                if begun == inputs:
                    return None
                self._tell_why(begun, inputs)
        except InputError as error:
            raise self._to_be_deleted(error) from None
        self.begin()
        return None

    def finish(self, names: Iterable[str], facts: Mapping[str, Any]) -> dict[str, Any]:
        """Seal the stage with the files it consists of and what is to be remembered of it; return these facts."""
        remembered = {"inputs": self.plain_inputs, **facts}
        seal(self.directory, KIND, FORMAT, names, remembered)
        return remembered

    def _to_be_deleted(self, error: InputError) -> InputError:
        return InputError(f"{error}; delete {self.directory} and run again to redo it")

    def _tell_why(self, old: Any, new: Any) -> None:
        name = "/".join(self.directory.parts[-2:])
        log.info("%s is redone: %s", name, "; ".join(_changes(old, new)))

    def begin(self) -> None:
        """Start with an empty directory, whenever an earlier process was killed: the manifest goes first, so that
        nothing half-removed looks finished, and no checkpoint is left when the new inputs are written."""
        (self.directory / MANIFEST).unlink(missing_ok=True)
        for path in self.directory.glob("*"):
            if path.is_file() and path.name != INPUTS:
                path.unlink()
        self.directory.mkdir(parents=True, exist_ok=True)
        write_json(self.directory / INPUTS, self.plain_inputs)


def _changes(old: Any, new: Any, key: str = "") -> list[str]:
    """The keys in which two nested mappings differ, with both values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found: list[str] = []
        for part in sorted({*old, *new}):
            found += _changes(old.get(part), new.get(part), f"{key}.{part}" if key else part)
        return found
    if old == new:
        return []
    if key.startswith("made from"):
        return [f"{key.removeprefix('made from.')} changed"]
    return [f"{key} was {json.dumps(old)}, is {json.dumps(new)}"]
