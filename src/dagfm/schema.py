"""What a column means: a field of the model, its type, its side and the order of the graph's nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

FieldType = Literal["token", "token_seq", "float", "float_seq"]
Side = Literal["context", "candidate"]
Pooling = Literal["sum", "mean"]

UNKNOWN = 0
"""Row of a field that stands for a value never seen in training, or rarer than ``min_count``."""
MISSING = 1
"""Row of a field that stands for null or empty."""
FIRST = 2
"""Row of the first known token (the most frequent one), or of a float field's vector."""

_SEQUENCE_ONLY = ("separator", "max_length", "keep", "pooling")
_VOCABULARY_ONLY = ("min_count", "max_size")


class Field(BaseModel):
    """One column of the click log as the model sees it; a node of the graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1)]
    """Column in the data."""
    type: FieldType = "token"
    """token (one category), token_seq (several), float (a number), float_seq (``size`` numbers, always as many)."""
    side: Side | None = None
    """context (known once per request: user, device, time) or candidate (one value per item to rank)."""
    separator: str | None = None
    """token_seq, float_seq: what separates the values of a text cell; list columns need none."""
    max_length: int | None = None
    """token_seq: longer sequences are cut to this many values, 1 or more."""
    keep: Literal["first", "last"] = "first"
    """token_seq: which end of a longer sequence is kept."""
    pooling: Pooling = "sum"
    """token_seq: how the embeddings of the values become one vector."""
    min_count: int = 1
    """token, token_seq: values rarer than this in the training rows share the *unknown* row; 1 or more."""
    max_size: int | None = None
    """token, token_seq: keep at most this many values, the most frequent ones; 1 or more."""
    size: int | None = None
    """float_seq, which needs it: how many numbers a cell holds, 1 or more."""

    @model_validator(mode="after")
    def _settings_fit_the_type(self) -> Self:
        # A setting at its default says nothing: a run's resolved configuration writes all of them.
        set_here = {key for key, info in type(self).model_fields.items() if getattr(self, key) != info.default}
        own = ("separator",) if self.type == "float_seq" else ()
        if self.type != "token_seq":
            for key in _SEQUENCE_ONLY:
                if key in set_here and key not in own:
                    raise ValueError(f"field '{self.name}': '{key}' is for type token_seq, this field is {self.type}")
        if self.is_float:
            for key in _VOCABULARY_ONLY:
                if key in set_here:
                    raise ValueError(f"field '{self.name}': '{key}' is for token and token_seq, not for {self.type}")
        if (self.type == "float_seq") != (self.size is not None):
            raise ValueError(f"field '{self.name}': type float_seq needs 'size', other types refuse it")
        for key in ("max_length", "min_count", "max_size", "size"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"field '{self.name}': '{key}' is {value}, expected 1 or more")
        if self.separator == "":
            raise ValueError(f"field '{self.name}': 'separator' is empty, expected one or more characters")
        return self

    @property
    def is_float(self) -> bool:
        """Whether the field has numbers instead of a vocabulary."""
        return self.type in ("float", "float_seq")

    @property
    def width(self) -> int:
        """Numbers a cell of a float field holds: 1 for float, ``size`` for float_seq."""
        return self.size if self.size is not None else 1


class Schema(BaseModel):
    """The fields in the order of the graph's nodes: context first, the file's order within a side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: tuple[Field, ...]

    @classmethod
    def of(cls, fields: tuple[Field, ...]) -> Schema:
        """Order ``fields`` into nodes; a field without a side is context if any field is candidate."""
        if any(field.side == "candidate" for field in fields):
            sided = [field if field.side else field.model_copy(update={"side": "context"}) for field in fields]
            fields = tuple(sorted(sided, key=lambda field: field.side == "candidate"))
        return cls(fields=fields)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        if not self.fields:
            raise ValueError("'fields' is empty, expected at least one field")
        seen: set[str] = set()
        for field in self.fields:
            if field.name in seen:
                raise ValueError(f"field '{field.name}' is listed twice")
            seen.add(field.name)
        return self

    def __iter__(self) -> Iterator[Field]:  # type: ignore[override]
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields in node order."""
        return tuple(field.name for field in self.fields)

    @property
    def context_size(self) -> int:
        """How many nodes are context; all of them where no side is named."""
        return sum(field.side != "candidate" for field in self.fields)

    @property
    def has_candidates(self) -> bool:
        """Whether the schema names candidate fields (ranking and recombined rows need them)."""
        return self.context_size < len(self.fields)
