"""What each network can be told: its settings, their defaults and their limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from dagfm.config.phases import PhaseConfig

NetworkDropout = Annotated[float, Field(ge=0.0, lt=1.0)]
EvenWidth = Annotated[int, Field(gt=0, multiple_of=2)]


class NetworkSettings(BaseModel):
    """What can be said of every network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] | None = None
    """Name in tables and folders; teacher or student where there is only one, else network and number."""
    size: PositiveInt | None = None
    """Numbers its embedding has a field (D); without it ``embedding.size``."""
    seeds: PositiveInt = 1
    """Of a teacher: so many members like this, which differ in their seed alone."""
    training: dict[str, Any] = {}
    """Of a teacher: what differs for it from ``training.teacher_training``, by that section's keys."""

    extra_fields: tuple[str, ...] = ()
    """Of a teacher: fields that it sees and students and baselines do not, such as what is known after the click alone;
    a teacher that does not list them does not see them either."""

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

    @field_validator("training")
    @classmethod
    def _known_settings(cls, value: dict[str, Any]) -> dict[str, Any]:
        whole = PhaseConfig(**{"learning_rate": 1.0, "epochs": 1, **value})
        if whole.monitor == "logit_mse":
            raise ValueError("training.monitor: 'logit_mse' needs a teacher; valid here: auc, logloss")
        return {key: getattr(whole, key) for key in value}

    def settings(self, phase: PhaseConfig) -> PhaseConfig:
        """The settings of ``phase`` with what this network has of its own."""
        return PhaseConfig(**{**phase.model_dump(), **self.training})

    @property
    def definition(self) -> dict[str, Any]:
        """The network alone: not its name, its embedding, its fields, how many of it there are and how they are
        trained."""
        left_out = ("name", "size", "seeds", "training", "extra_fields")
        return self.model_dump(mode="json", exclude={**dict.fromkeys(left_out, True), "over": {"extra_fields": True}})


class DAGFMConfig(NetworkSettings):
    """The student: fields are the nodes of a directed acyclic graph (KD-DAGFM)."""

    network: Literal["dagfm"] = "dagfm"
    type: Literal["inner", "outer", "kernel"] = "inner"
    """How a node's state h becomes a message: inner ``p ⊙ h``, outer ``<p, h> q``, kernel ``W h``."""
    depth: PositiveInt = 3
    """Layers; the highest interaction order is depth + 1."""
    connect: Literal["auto", "full", "causal", "none"] = "auto"
    """How the first states mix the fields; ``auto`` is causal where the schema names candidate fields, else full."""
    head: Literal["linear", "mlp"] = "linear"
    """How the summed states become the logit: in a line, or with hidden layers beside that line (KD-DAGFM+)."""
    hidden: tuple[PositiveInt, ...] = Field(default=(64,), min_length=1)
    """Of ``head: mlp``, units of every hidden layer."""
    first_order: bool = False
    """Add a weight of each value to the logit, as an FM does; it is one more column of the embedding."""

    @model_validator(mode="after")
    def _hidden_units_are_of_a_head_that_has_some(self) -> Self:
        if self.head == "linear" and self.hidden != type(self).model_fields["hidden"].default:
            raise ValueError("hidden: a linear head has no hidden layers; add 'head: mlp'")
        return self

    @property
    def head_units(self) -> tuple[int, ...]:
        """Units of every hidden layer of the head; none of a linear one."""
        return self.hidden if self.head == "mlp" else ()

    @property
    def definition(self) -> dict[str, Any]:
        """Without what is not in use: that of a network made before there were such keys stays the same."""
        plain = super().definition
        if self.head == "linear":
            del plain["hidden"]
        if not self.first_order:
            del plain["first_order"]
        return plain


class CrossNetConfig(NetworkSettings):
    """CrossNet, version 2: every layer multiplies by the input once more (DCN V2, equation 1)."""

    network: Literal["crossnet"] = "crossnet"
    depth: PositiveInt = 3
    """Layers; the highest interaction order is depth + 1."""


class CINConfig(NetworkSettings):
    """Compressed Interaction Network (xDeepFM, section 3.1), without its deep part."""

    network: Literal["cin"] = "cin"
    cin: tuple[PositiveInt, ...] = Field(default=(200, 200, 200), min_length=1)
    """Feature maps of every layer; as many layers as numbers."""


class FMConfig(NetworkSettings):
    """Factorization machine of order two (Rendle 2010)."""

    network: Literal["fm"] = "fm"


class _Deep(NetworkSettings):
    """A network with hidden layers, by default those of BARS' configurations for Frappe."""

    hidden: tuple[PositiveInt, ...] = (400, 400, 400)
    """Units of every hidden layer; none leaves them out."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the hidden units dropped in training; that of the embedding is ``training.<phase>.dropout``."""
    # Without it, FiBiNET's hidden layers died at the default learning rate: its products are tiny at first.
    batch_norm: bool = True
    """Normalise hidden units by the batch, before their relu."""


class MLPConfig(_Deep):
    """Hidden layers on the flattened embeddings, nothing else."""

    network: Literal["mlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] = Field(default=(400, 400, 400), min_length=1)
    """Units of every hidden layer."""


class DCNv2Config(_Deep):
    """DCN V2: CrossNet's layers and hidden layers (Wang et al., WWW 2021)."""

    network: Literal["dcnv2"] = "dcnv2"
    structure: Literal["parallel", "stacked"] = "parallel"
    """Where the hidden layers stand: beside the cross layers, or on top of them."""
    depth: PositiveInt = 3
    """Cross layers."""


class XDeepFMConfig(_Deep):
    """xDeepFM: first-order weights, CIN and hidden layers (Lian et al., KDD 2018)."""

    network: Literal["xdeepfm"] = "xdeepfm"
    cin: tuple[PositiveInt, ...] = Field(default=(64, 64, 64), min_length=1)
    """Feature maps of every layer of the CIN; the default is BARS' for Criteo."""


class AutoIntConfig(_Deep):
    """AutoInt+: self-attention over the fields, and hidden layers (Song et al., CIKM 2019); without them, AutoInt."""

    network: Literal["autoint"] = "autoint"
    depth: PositiveInt = 3
    """Layers of attention; the defaults of these three are the paper's."""
    heads: PositiveInt = 2
    """Attention heads a layer."""
    attention_size: PositiveInt = 64
    """Numbers a field has after a layer of attention, all heads together."""

    @model_validator(mode="after")
    def _heads_of_one_size(self) -> Self:
        if self.attention_size % self.heads:
            raise ValueError(
                f"attention_size: {self.attention_size} cannot be shared by {self.heads} heads; "
                "it must be a multiple of 'heads'"
            )
        return self


class FiBiNETConfig(_Deep):
    """FiBiNET: SENET and bilinear interactions below hidden layers, first-order weights (Huang et al., RecSys 2019)."""

    network: Literal["fibinet"] = "fibinet"
    bilinear: Literal["all", "each", "interaction"] = "interaction"
    """Matrices between the two fields of a pair: one, one for each field, one for each pair."""
    reduction: PositiveInt = 3
    """SENET weighs the fields through a layer of so many times fewer units."""


class QNNConfig(NetworkSettings):
    """QNN-alpha: gated multiplications by the input, taught by two passes under dropout (KDD 2025).

    The defaults are those of its authors' best run on MovieLens 1M.
    """

    network: Literal["qnn"] = "qnn"
    depth: PositiveInt = 1
    """Quadratic layers."""
    heads: PositiveInt = 4
    """Shares of the embedding's columns that trade places with each other in a product."""
    maps: PositiveInt = 4
    """Linear maps whose gates are summed in a layer (T)."""
    dropout: NetworkDropout = 0.1
    """Of gates and layers; that of the embedding is the ``dropout`` of its training."""


class FinalNetConfig(NetworkSettings):
    """FinalNet: factorised interaction layers in one block, or in two that learn from their mean (SIGIR 2023).

    The defaults are those of the best published run on Frappe (BARS, FinalNet_2B_frappe_x1).
    """

    network: Literal["finalnet"] = "finalnet"
    blocks: tuple[Annotated[tuple[EvenWidth, ...], Field(min_length=1)], ...] = Field(
        default=((400, 400), (400,)), min_length=1, max_length=2
    )
    """Widths of the layers of one block or two, even numbers."""
    gating: bool = True
    """Whether the first block also sees the fields under a gate of all fields."""
    dropout: NetworkDropout = 0.1
    """Of every layer; that of the embedding is the ``dropout`` of its training."""


class ECNConfig(NetworkSettings):
    """Exponential Cross Network: every layer doubles the order (DCNv3, 2024).

    The defaults are those of its authors' runs on MovieLens 1M.
    """

    network: Literal["ecn"] = "ecn"
    depth: PositiveInt = 4
    """Layers; the highest interaction order is 2 to the power of depth."""
    dropout: NetworkDropout = 0.1
    """Of every layer; that of the embedding is the ``dropout`` of its training."""


class FCNConfig(NetworkSettings):
    """Fusing Cross Network: the mean of an exponential and a linear cross network (DCNv3, 2024).

    The defaults are those of its authors' runs on MovieLens 1M.
    """

    network: Literal["fcn"] = "fcn"
    exponential_depth: PositiveInt = 3
    """Layers of the exponential branch."""
    linear_depth: PositiveInt = 1
    """Layers of the linear branch."""
    dropout: NetworkDropout = 0.1
    """Of every layer; that of the embedding is the ``dropout`` of its training."""


class FFMConfig(NetworkSettings):
    """Field-aware factorization machine: a vector of ``size`` numbers for every other field (RecSys 2016)."""

    network: Literal["ffm"] = "ffm"


class FwFMConfig(NetworkSettings):
    """Factorization machine with a strength for every pair of fields (WWW 2018)."""

    network: Literal["fwfm"] = "fwfm"


class FmFMConfig(NetworkSettings):
    """Factorization machine with a matrix for every pair of fields (WWW 2021)."""

    network: Literal["fmfm"] = "fmfm"


FIRST_ORDER = ("fm", "ffm", "fwfm", "fmfm")
"""Networks whose embedding holds first-order weights too."""

NetworkConfig = Annotated[
    DAGFMConfig
    | CrossNetConfig
    | CINConfig
    | FMConfig
    | MLPConfig
    | DCNv2Config
    | XDeepFMConfig
    | AutoIntConfig
    | FiBiNETConfig
    | QNNConfig
    | FinalNetConfig
    | ECNConfig
    | FCNConfig
    | FFMConfig
    | FwFMConfig
    | FmFMConfig,
    Field(discriminator="network"),
]
