"""What a column means: a field of the model, its type, its side and the order of the graph's nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator, model_validator

from dagfm.errors import suggestion

FieldType = Literal["token", "token_seq", "float", "float_seq"]
Form = Literal["ids", "items", "numbers"]
Side = Literal["context", "candidate"]
Pooling = Literal["sum", "mean", "max"]
Encode = Literal["scale", "quantile", "log_squared", "hour", "weekday", "is_weekend", "target"]

UNKNOWN = 0
"""Row of a field that stands for a value never seen in training, or rarer than ``min_count``."""
MISSING = 1
"""Row of a field that stands for null or empty."""
FIRST = 2
"""Row of the first known token (the most frequent one), or of a float field's vector."""

TIME_PARTS: tuple[Encode, ...] = ("hour", "weekday", "is_weekend")
QUANTILE_BINS = 32
"""Bins of ``encode: quantile`` where the field does not say how many."""

_ENCODES: dict[str, tuple[str, ...]] = {
    "token": (*TIME_PARTS, "target"),
    "token_seq": (),
    "float": ("scale", "quantile", "log_squared"),
    "float_seq": ("scale",),
}
_LEARNED = ("min_count", "max_size")
_MOST = (1 << 31) - 1 - FIRST
"""Of whatever a field has: row ids have 32 bits."""


class Pretrained(BaseModel):
    """Vectors that somebody else has made for a field's values, where the field's embedding starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Parquet with a column of ids and either one column of lists or one of numbers for each dimension; or ``.npy``, a
    vector a row, with ``ids``."""
    ids: str | None = None
    """Of Parquet the name of the id column, ``id`` if not said. Of ``.npy`` the file of the ids in the vectors' order:
    text with one a line, ``.npy``, or Parquet with one column."""
    trainable: bool = True
    """false keeps the vectors as they are, in teacher and student."""

    @model_validator(mode="after")
    def _known_formats(self) -> Self:
        if not self.path.endswith((".parquet", ".npy")):
            raise ValueError(f"'path' is '{self.path}', expected a file that ends in .parquet or .npy")
        if self.is_array and self.ids is None:
            raise ValueError("'path' ends in .npy, so 'ids' must name the file of the vectors' ids")
        return self

    @property
    def is_array(self) -> bool:
        """Whether the vectors are an array, and the ids a file of their own."""
        return self.path.endswith(".npy")


class Field(BaseModel):
    """One column of the click log as the model sees it; a node of the graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1)]
    """The field's name, and the column in the data where ``column`` names no other."""
    type: FieldType = "token"
    """token (one category), token_seq (several), float (a number), float_seq (``size`` numbers, always as many)."""
    side: Side | None = None
    """context (known once per request: user, device, time) or candidate (one value per item to rank)."""
    column: str | None = None
    """Column in the data, where it is not called as the field: one column may give several fields."""
    separator: str | None = None
    """token_seq, float_seq: what separates the values of a text cell; list columns need none."""
    max_length: int | None = None
    """token_seq: longer sequences are cut to this many values, 1 or more."""
    keep: Literal["first", "last"] = "first"
    """token_seq: which end of a longer sequence is kept."""
    pooling: Pooling = "sum"
    """token_seq: how the embeddings of the values become one vector; max is the largest of each number."""
    min_count: int = 1
    """Fields with a vocabulary: values rarer than this in the training rows share the *unknown* row; 1 or more."""
    max_size: int | None = None
    """Fields with a vocabulary: keep at most this many values, the most frequent ones; 1 or more."""
    vocabulary: str | None = None
    """token, token_seq: the field whose vocabulary this one shares, and whose embedding rows: the items of a user's
    history are the items to rank."""
    hash: int | None = None
    """token, token_seq, cross: no vocabulary; the row is a hash of the value modulo this number, 1 or more."""
    cross: tuple[str, ...] | None = None
    """token: the field is the combination of these fields' values, two or more fields of one row id each."""
    encode: Encode | None = None
    """float: scale (the default: standardised on training rows, value x vector), quantile (one row a bin), log_squared
    (one row for each floor(ln(x)^2), x above 2). token: hour, weekday, is_weekend of a point in time; target (the click
    rate and count of the value or cross, of training rows out of fold)."""
    bins: int | None = None
    """quantile: how many bins, 32 if not said. target: ranges of the click rate, one row for each of them and power of
    two of the count; without it both are scaled numbers. 2 or more."""
    smoothing: float | None = None
    """target: how many rows of the average click rate every value starts with; if not said, the beta prior that fits
    the values' own rates and counts best."""
    time_format: str | None = None
    """hour, weekday, is_weekend: how the text tells the time, such as ``%y%m%d%H``; else ISO 8601, or a number of
    seconds, milli-, micro- or nanoseconds since 1970."""
    size: int | None = None
    """float_seq, which needs it: how many numbers a cell holds, 1 or more."""
    pretrained: Pretrained | None = None
    """token, token_seq with a vocabulary of their own: vectors to start the embedding from."""

    @field_validator("cross", mode="before")
    @classmethod
    def _names_are_a_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        if self.encode is not None and self.encode not in _ENCODES[self.type]:
            valid = ", ".join(_ENCODES[self.type]) or "none"
            raise ValueError(f"field '{self.name}': encode '{self.encode}' is not for type {self.type}; valid: {valid}")
        for key, fits, where in self._rules():
            # A setting at its default says nothing: a run's resolved configuration writes all of them.
            if not fits and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"field '{self.name}': '{key}' is for {where}, this field is {self._kind}")
        if (self.type == "float_seq") != (self.size is not None):
            raise ValueError(f"field '{self.name}': type float_seq needs 'size', other types refuse it")
        for key, least in (("max_length", 1), ("min_count", 1), ("max_size", 1), ("size", 1), ("hash", 1), ("bins", 2)):
            value = getattr(self, key)
            if value is not None and not least <= value <= _MOST:
                limit = f"{least} or more" if value < least else f"at most {_MOST}"
                raise ValueError(f"field '{self.name}': '{key}' is {value}, expected {limit}")
        if self.smoothing is not None and not 0 <= self.smoothing < float("inf"):
            raise ValueError(f"field '{self.name}': 'smoothing' is {self.smoothing}, expected 0 or more")
        if self.separator == "":
            raise ValueError(f"field '{self.name}': 'separator' is empty, expected one or more characters")
        if self.cross is not None and len(set(self.cross)) < max(2, len(self.cross)):
            raise ValueError(
                f"field '{self.name}': 'cross' is {list(self.cross)}, expected two or more different fields"
            )
        return self

    def _rules(self) -> tuple[tuple[str, bool, str], ...]:
        """Which settings this field may have, and the words for the fields that do."""
        sequence = self.type == "token_seq"
        crossed = self.cross is not None
        timed = self.encode in TIME_PARTS
        return (
            ("separator", sequence or self.type == "float_seq", "type token_seq"),
            ("max_length", sequence, "type token_seq"),
            ("keep", sequence, "type token_seq"),
            ("pooling", sequence, "type token_seq"),
            ("min_count", self.has_vocabulary or crossed, "fields with a vocabulary of their own"),
            ("max_size", self.has_vocabulary or crossed, "fields with a vocabulary of their own"),
            ("cross", self.type == "token" and not timed, "type token"),
            ("column", not crossed, "fields with a column, not for a cross"),
            ("vocabulary", self.is_categorical and not crossed and not timed and self.hash is None, "token, token_seq"),
            ("hash", self.is_categorical and not timed and self.encode != "target", "token, token_seq"),
            ("bins", self.encode in ("quantile", "target"), "encode quantile and target"),
            ("smoothing", self.encode == "target", "encode target"),
            (
                "pretrained",
                self.is_categorical and self.has_vocabulary and self.encode is None,
                "token and token_seq with a vocabulary of their own",
            ),
            ("time_format", timed, "encode hour, weekday and is_weekend"),
        )

    @property
    def _kind(self) -> str:
        how = f" with encode {self.encode}" if self.encode else ""
        return f"a cross{how}" if self.cross else f"{self.type}{how}"

    @property
    def source(self) -> str:
        """The column that the field is read from."""
        return self.column or self.name

    @property
    def is_categorical(self) -> bool:
        """Whether the type is of categories: token or token_seq."""
        return self.type in ("token", "token_seq")

    @property
    def is_target(self) -> bool:
        """Whether the field is a statistic of the clicks."""
        return self.encode == "target"

    @property
    def made_of(self) -> tuple[str, ...]:
        """The fields that it needs: the members of a cross, or the one whose vocabulary it shares."""
        return self.cross or (() if self.vocabulary is None else (self.vocabulary,))

    @property
    def has_vocabulary(self) -> bool:
        """Whether the field learns tokens of its own from its column: no cross, no hash, not another field's."""
        learns = self.is_categorical or self.encode == "log_squared"
        return learns and self.cross is None and self.hash is None and self.vocabulary is None

    @property
    def form(self) -> Form:
        """How encoded rows hold it: one row id, several (items), or ``width`` numbers."""
        if self.type == "token_seq":
            return "items"
        if self.is_target:
            return "numbers" if self.bins is None else "ids"
        if self.type == "token" or self.encode in ("quantile", "log_squared"):
            return "ids"
        return "numbers"

    @property
    def is_float(self) -> bool:
        """Whether encoded rows hold numbers of this field rather than row ids."""
        return self.form == "numbers"

    @property
    def width(self) -> int:
        """Numbers that a cell of form numbers holds: 1 for float, ``size`` for float_seq, 2 for target."""
        return 2 if self.is_target else self.size if self.size is not None else 1


class Schema(BaseModel):
    """The fields in the order of the graph's nodes: context first, the file's order within a side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: tuple[Field, ...]

    @classmethod
    def of(cls, fields: tuple[Field, ...]) -> Schema:
        """Order ``fields`` into nodes; a field without a side is context if any field is candidate, a cross candidate
        if any of its members is."""
        if any(field.side == "candidate" for field in fields):
            candidates = {field.name for field in fields if field.side == "candidate"}
            sided = [field.model_copy(update={"side": field.side or _side(field, candidates)}) for field in fields]
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

    @model_validator(mode="after")
    def _fields_that_are_named_fit(self) -> Self:
        by_name = {field.name: field for field in self.fields}
        for field in self.fields:
            for key, names in (("cross", field.cross or ()), ("vocabulary", (field.vocabulary,))):
                for name in (one for one in names if one is not None):
                    other = by_name.get(name)
                    if other is None:
                        near = suggestion(name, by_name)
                        raise ValueError(f"field '{field.name}': '{key}' names '{name}', which is no field.{near}")
                    if key == "cross" and (other.form != "ids" or other.cross or other.is_target):
                        raise ValueError(
                            f"field '{field.name}': 'cross' of '{name}', expected fields of one category a row: token, "
                            "quantile, log_squared or a time part"
                        )
                    if key == "vocabulary" and not (
                        other.is_categorical and other.has_vocabulary and not other.is_target
                    ):
                        raise ValueError(
                            f"field '{field.name}': 'vocabulary' of '{name}', expected a token or token_seq field with "
                            "a vocabulary of its own"
                        )
            if field.cross and field.side == "context" and any(by_name[m].side == "candidate" for m in field.cross):
                raise ValueError(f"field '{field.name}': side context, but it crosses a candidate field")
        return self

    def __iter__(self) -> Iterator[Field]:  # type: ignore[override]
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def without(self, hidden: Collection[str]) -> Schema:
        """The other fields, in their order. Raises ValueError where one of them is made of a ``hidden`` one."""
        return Schema(fields=tuple(field for field in self.fields if field.name not in hidden))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields in node order."""
        return tuple(field.name for field in self.fields)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the data that the fields are read from, each once."""
        return tuple(dict.fromkeys(field.source for field in self.fields if field.cross is None))

    def named(self, name: str) -> Field:
        """The field of this name."""
        return self._by_name[name]

    def ids_column(self, name: str) -> int:
        """The column of a field of form ids in encoded rows' tokens."""
        return self._ids_columns[name]

    def numbers_column(self, name: str) -> int:
        """The first column of a field of form numbers in encoded rows' floats."""
        return self._numbers_columns[name]

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    @cached_property
    def _ids_columns(self) -> dict[str, int]:
        return {field.name: column for column, field in enumerate(self.of_form("ids"))}

    @cached_property
    def _numbers_columns(self) -> dict[str, int]:
        fields = self.of_form("numbers")
        return {field.name: sum(one.width for one in fields[:index]) for index, field in enumerate(fields)}

    def of_form(self, form: Form) -> tuple[Field, ...]:
        """The fields of one form, in node order: the order of their columns in encoded rows."""
        return tuple(field for field in self.fields if field.form == form)

    @property
    def context_size(self) -> int:
        """How many nodes are context; all of them where no side is named."""
        return sum(field.side != "candidate" for field in self.fields)

    @property
    def has_candidates(self) -> bool:
        """Whether the schema names candidate fields (ranking needs them)."""
        return self.context_size < len(self.fields)

    @property
    def candidate_ids(self) -> tuple[Field, ...]:
        """The candidate fields that name what is ranked: one id a row, no cross and no statistic."""
        plain = (field for field in self.of_form("ids") if field.cross is None and not field.is_target)
        return tuple(field for field in plain if field.side == "candidate")

    @property
    def has_sides(self) -> bool:
        """Whether there are context and candidate fields."""
        return 0 < self.context_size < len(self.fields)


def _side(field: Field, candidates: set[str]) -> Side:
    return "candidate" if candidates.intersection(field.cross or ()) else "context"
