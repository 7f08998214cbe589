"""A stage of a run: a directory that knows what it was made from, whether it is finished, and why it must be redone."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagfm.files import MANIFEST, fingerprint, open_sealed, read_json, seal, write_json

log = logging.getLogger(__name__)

KIND = "finished phase"
FORMAT = 1
_INPUTS = "inputs.json"


@dataclass(frozen=True)
class Stage:
    """One stage's directory and everything that its result depends on, under the configuration's own key names."""

    directory: Path
    inputs: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Equal inputs, equal fingerprint; stages that build on this one have it among their inputs."""
        return fingerprint(self._plain_inputs())

    def open(self) -> dict[str, Any] | None:
        """Return the facts of the finished stage, or None when it has to run, now or on from its checkpoint.

        A stage made from other inputs is removed, and the log says which key changed. Raises InputError when a
        finished stage is damaged.
        """
        inputs = self._plain_inputs()
        if (self.directory / MANIFEST).exists():
            facts = open_sealed(self.directory, KIND, FORMAT)
            if facts["inputs"] == inputs:
                return facts
            self._discard(facts["inputs"], inputs)
        elif (self.directory / _INPUTS).exists():
            begun = read_json(self.directory / _INPUTS)
            if begun == inputs:
                return None
            self._discard(begun, inputs)
        self.directory.mkdir(parents=True, exist_ok=True)
        write_json(self.directory / _INPUTS, inputs)
        return None

    def finish(self, names: Iterable[str], facts: Mapping[str, Any]) -> dict[str, Any]:
        """Seal the stage with the files it consists of and what is to be remembered of it; return these facts."""
        remembered = {"inputs": self._plain_inputs(), **facts}
        seal(self.directory, KIND, FORMAT, names, remembered)
        return remembered

    def _plain_inputs(self) -> Any:
        return json.loads(json.dumps(self.inputs))

    def _discard(self, old: Any, new: Any) -> None:
        name = "/".join(self.directory.parts[-2:])
        log.info("%s is redone: %s", name, "; ".join(_changes(old, new)))
        shutil.rmtree(self.directory)


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
