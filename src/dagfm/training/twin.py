"""A student that starts from a teacher of its own kind: from all of its weights, not from its embedding alone."""

from __future__ import annotations

import torch

from dagfm.config.networks import DAGFMConfig, NetworkConfig
from dagfm.nn.model import TABLE, CTRModel
from dagfm.training.checkpoint import read_tensors
from dagfm.training.workshop import Trained, Workshop


def twin_of(student: NetworkConfig, teachers: list[Trained], shop: Workshop) -> Trained | None:
    """Of the teachers that are the student's network, at its size and of its fields, the best on validation rows.

    A teacher without the student's hidden layers or first-order weights counts: these start at zero, so that the
    student says what the teacher does.
    """
    assert isinstance(student, DAGFMConfig), "the one kind of student there is"
    plain = student.model_copy(update={"head": "linear", "first_order": False})
    fitting = [
        one
        for one in teachers
        if isinstance(one.network, DAGFMConfig)
        and one.network.definition in (student.definition, plain.definition)
        and shop.size_of(one.network) == shop.size_of(student)
        and shop.config.hidden_from(one.network) == shop.config.hidden_from()
    ]
    return min(fitting, key=lambda one: one.valid["logloss"], default=None)


def start_as(model: CTRModel, twin: Trained, *, frozen: bool) -> None:
    """Give ``model`` the weights of its ``twin``; what the twin has not keeps its start, first-order weights zero."""
    tensors = read_tensors(twin.weights)
    with torch.no_grad():
        table = tensors.pop(TABLE)
        model.embedding.weight[:, table.shape[1] :] = 0.0
        model.embedding.weight[:, : table.shape[1]] = table
    model.load_state_dict(model.state_dict() | tensors)
    model.embedding.weight.requires_grad_(not frozen)
