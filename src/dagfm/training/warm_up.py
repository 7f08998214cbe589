"""Starting from earlier weights: the phase before, or another run's phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dagfm.encoding.correspondence import NOWHERE, older_rows
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.encoder_file import read_encoder
from dagfm.encoding.selection import encoder_without
from dagfm.errors import InputError, listed
from dagfm.files import MANIFEST, fingerprint, read_json
from dagfm.nn.dagfm import resolve_connect
from dagfm.nn.model import TABLE, CTRModel
from dagfm.training.checkpoint import read_tensors
from dagfm.training.loop import WEIGHTS
from dagfm.training.stage import Stage

ENCODER = "encoder"
"""Folder of a run that holds its encoder, so that another run can map the rows of its tables by token."""
PREPARED = "prepared.json"
"""File of a run that says which prepared data it is made from; the encoder's folder is of the same data."""
STUDENT = ("distillation", "finetuning")
"""Phases whose weights are a student's."""


@dataclass(frozen=True)
class WarmUp:
    """The weights of a finished phase, of this run or of another."""

    directory: Path
    facts: dict[str, Any]

    @classmethod
    def of(cls, directory: Path) -> WarmUp:
        """Read what a finished phase says of itself; raises InputError when it is not one or is damaged."""
        _, facts = Stage.standing(directory)
        return cls(directory, facts)

    @classmethod
    def find(cls, path: Path, phases: tuple[str, ...], name: str) -> WarmUp:
        """Find the weights that ``warm_up`` means: a phase's directory, or a run's whose ``phases`` are tried in order.

        Where a teacher is looked for, a student's directory stands for its run. Raises InputError listing what the run
        holds when there is no such phase or the choice is not clear.
        """
        if (path / MANIFEST).is_file():
            given = cls.of(path)
            if given.phase in phases:
                return given
            if given.phase not in STUDENT or "teacher_training" not in phases:
                raise InputError(f"warm_up: {path} is a finished {given.phase}, expected {' or '.join(phases)}")
            path = given.run
        for phase in phases:
            finished = sorted(manifest.parent for manifest in (path / phase).rglob(MANIFEST))
            named = [directory for directory in finished if name in directory.relative_to(path / phase).parts]
            if len(named or finished) == 1:
                return cls.of((named or finished)[0])
            if finished:
                raise InputError(f"warm_up: {path} holds several; name one of: {listed(finished)}")
        held = [str(manifest.parent.relative_to(path)) for manifest in sorted(path.rglob(MANIFEST))]
        raise InputError(
            f"warm_up: {path} holds no finished {' or '.join(phases)}; finished there: {listed(held) or 'nothing'}"
        )

    @property
    def phase(self) -> str:
        """The phase that left these weights."""
        return str(self.facts["result"]["phase"]) if "result" in self.facts else self.directory.name

    @property
    def run(self) -> Path:
        """The run that they belong to."""
        for folder in self.directory.parents:
            if (folder / ENCODER).is_dir():
                return folder
        raise InputError(f"warm_up: {self.directory} lies in no run: there is no '{ENCODER}' folder above it")

    @property
    def fingerprint(self) -> str:
        """Equal weights, equal fingerprint."""
        return fingerprint(self.facts["files"][WEIGHTS])

    def load_into(self, model: CTRModel, encoder: Encoder) -> None:
        """Load the weights into ``model``; table rows are mapped by token when the vocabularies differ.

        Raises InputError when network, embedding size or fields are not the model's.
        """
        old_encoder = self._encoder()
        mine = _shape(model.config.definition, model.size, encoder)
        theirs = _shape(self.facts["network"], self.facts["embedding_size"], old_encoder)
        for key in {**mine, **theirs}:
            if mine.get(key) != theirs.get(key):
                raise InputError(
                    f"warm_up: {self.directory}: {key} is {theirs.get(key)}, this run's is {mine.get(key)}; "
                    "weights of another shape cannot be taken over"
                )
        tensors = read_tensors(self.directory / WEIGHTS)
        fresh = model.embedding.weight.detach().cpu()
        tensors[TABLE] = _mapped(tensors[TABLE], old_encoder, fresh, encoder, self.directory)
        model.load_state_dict(tensors)

    def _encoder(self) -> Encoder:
        """The encoder of the rows that these weights were trained on."""
        made_from = read_json(self.run / PREPARED)
        if made_from["content"] != self.facts["inputs"]["made from"]["data"]:
            raise InputError(
                f"warm_up: {self.directory} was trained on other data than {self.run} has been started on since; "
                "finish that run first"
            )
        encoder = read_encoder(self.run / ENCODER)
        seen = self.facts["inputs"].get("fields", encoder.schema.names)
        hidden = {*encoder.schema.names} - {*seen}
        return encoder_without(encoder, hidden) if hidden else encoder


def _shape(network: Mapping[str, Any], size: int, encoder: Encoder) -> dict[str, Any]:
    """What must be equal for weights to fit, the network's kind first."""
    shape = {"network": network["network"], "embedding size": size, **network}
    if "connect" in shape:
        shape["connect"] = resolve_connect(shape["connect"], encoder.schema)
    return {key: value for key, value in shape.items() if key != "name"}


def _mapped(old: Tensor, old_encoder: Encoder, new: Tensor, encoder: Encoder, origin: Path) -> Tensor:
    """``new`` with the rows of tokens that ``old`` knows; unknown and missing rows carry over as they are."""
    theirs, mine = (
        [(field.name, field.type, field.form, field.width, field.cross) for field in one.schema]
        for one in (old_encoder, encoder)
    )
    if theirs != mine:
        raise InputError(f"warm_up: {origin}: its fields are {theirs}, this run's are {mine}; they must be the same")
    result = new.clone()
    for node in encoder.spans.own:
        rows = torch.from_numpy(older_rows(old_encoder, encoder, encoder.schema.names[node]))
        taken = rows != NOWHERE
        start = int(old_encoder.spans.starts[node])
        result[encoder.spans.slice_of(node)][taken] = old[start + rows[taken]]
    return result
