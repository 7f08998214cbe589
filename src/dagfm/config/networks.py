"""What each network can be told: its settings, their defaults and their limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator


class _Network(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] | None = None
    """Name in tables and folders; teacher or student where there is only one, else network and number."""

    @model_validator(mode="before")
    @classmethod
    def _accept_the_references_spelling(cls, value: Any) -> Any:
        """The reference marks a teacher's settings with ``t_`` (``t_depth``, ``t_cin``)."""
        if isinstance(value, dict):
            plain = {key.removeprefix("t_") if isinstance(key, str) else key: item for key, item in value.items()}
            if len(plain) < len(value):
                raise ValueError(f"a setting is given twice, with and without 't_': {', '.join(map(str, value))}")
            return plain
        return value


class DAGFMConfig(_Network):
    """The student: fields are the nodes of a directed acyclic graph (KD-DAGFM)."""

    network: Literal["dagfm"] = "dagfm"
    type: Literal["inner", "outer", "kernel"] = "inner"
    """How a node's state h becomes a message: inner ``p ⊙ h``, outer ``<p, h> q``, kernel ``W h``."""
    depth: PositiveInt = 3
    """Layers; the highest interaction order is depth + 1."""
    connect: Literal["auto", "full", "causal", "none"] = "auto"
    """How the first states mix the fields; ``auto`` is causal where the schema names candidate fields, else full."""
    head: Literal["linear"] = "linear"
    """How the summed states become the logit."""


class CrossNetConfig(_Network):
    """CrossNet, version 2: every layer multiplies by the input once more (DCN V2, equation 1)."""

    network: Literal["crossnet"] = "crossnet"
    depth: PositiveInt = 3
    """Layers; the highest interaction order is depth + 1."""


class CINConfig(_Network):
    """Compressed Interaction Network (xDeepFM, section 3.1), without its deep part."""

    network: Literal["cin"] = "cin"
    cin: tuple[PositiveInt, ...] = Field(default=(200, 200, 200), min_length=1)
    """Feature maps of every layer; as many layers as numbers."""


class FMConfig(_Network):
    """Factorization machine of order two (Rendle 2010)."""

    network: Literal["fm"] = "fm"


NetworkConfig = Annotated[DAGFMConfig | CrossNetConfig | CINConfig | FMConfig, Field(discriminator="network")]
