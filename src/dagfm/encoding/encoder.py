"""The one encoder: fitted on training rows, used by preparation and by serving alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import ValidationError

from dagfm.encoding.rows import Int64, Rows
from dagfm.encoding.scale import Scale, vectors_of
from dagfm.encoding.sequences import encode_items, items_of
from dagfm.encoding.values import token_text
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.errors import InputError, listed, suggestion
from dagfm.files import read_json, write_json
from dagfm.schema import FIRST, Field, Schema

FILE = "encoder.json"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Encoder:
    """From raw rows to row ids and standardised numbers, one row at a time in meaning, a column at a time in fact."""

    schema: Schema
    vocabularies: Mapping[str, Vocabulary]
    """For each token and token_seq field."""
    scales: Mapping[str, Scale]
    """For each float and float_seq field."""

    @classmethod
    def fit(cls, schema: Schema, frame: pl.DataFrame, origin: str) -> Encoder:
        """Learn vocabularies and scales from the training rows ``frame``; raises as ``encode`` does."""
        frame = _checked(schema, frame, origin)
        vocabularies, scales = {}, {}
        for field in schema:
            if field.is_float:
                scales[field.name] = Scale.fit(vectors_of(frame[field.name], field, origin))
            else:
                texts = _texts(frame[field.name], field, origin)
                vocabularies[field.name] = Vocabulary.build(texts, field.min_count, field.max_size)
        return cls(schema, vocabularies, scales)

    def encode(self, frame: pl.DataFrame, origin: str = "rows") -> Rows:
        """Encode a table (n rows); columns that are no field are ignored, a row never changes another row's result.

        Raises InputError naming ``origin`` and the field for a missing column, and the row for text in a float field.
        """
        frame = _checked(self.schema, frame, origin)
        n = frame.height
        tokens, floats, sequences = [], [], []
        for field in self.schema:
            series = frame[field.name]
            if field.is_float:
                floats.append(self.scales[field.name].apply(vectors_of(series, field, origin)))
            elif field.type == "token_seq":
                sequences.append(encode_items(items_of(series, field, origin), self.vocabularies[field.name]))
            else:
                tokens.append(self.vocabularies[field.name].encode(_texts(series, field, origin)))
        return Rows(
            np.stack(tokens, axis=1) if tokens else np.zeros((n, 0), np.int32),
            np.concatenate(floats, axis=1) if floats else np.zeros((n, 0), np.float32),
            tuple(sequences),
        )

    def rows_of(self, name: str) -> int:
        """Rows of a field's embedding: its vocabulary's, or 2 + width for floats (row 0 unused, 1 missing)."""
        if name in self.vocabularies:
            return self.vocabularies[name].rows
        return FIRST + len(self.scales[name].mean)

    @cached_property
    def offsets(self) -> Int64:
        """(fields + 1,): row ``id`` of field ``i`` is row ``offsets[i] + id`` of the whole embedding."""
        return np.cumsum([0, *(self.rows_of(name) for name in self.schema.names)]).astype(np.int64)

    def write(self, directory: Path) -> list[str]:
        """Write ``encoder.json`` and the vocabularies; returns the files' names relative to ``directory``."""
        names = [FILE]
        for field in self.schema:
            if field.name in self.vocabularies:
                names.append(self._vocabulary_file(field.name))
                self.vocabularies[field.name].write(directory / names[-1])
        value = {
            "format": FORMAT,
            "schema": self.schema.model_dump(mode="json"),
            "scales": {name: {"mean": scale.mean, "std": scale.std} for name, scale in self.scales.items()},
        }
        write_json(directory / FILE, value)
        return names

    @classmethod
    def read(cls, directory: Path) -> Encoder:
        """Read what ``write`` wrote; raises InputError naming the file that is missing, newer or damaged."""
        path = directory / FILE
        value = read_json(path)
        if isinstance(value, dict) and isinstance(value.get("format"), int) and value["format"] > FORMAT:
            raise InputError(f"{path}: encoder format {value['format']}, but this dagfm reads up to {FORMAT}; upgrade")
        try:
            schema = Schema.model_validate(value["schema"])
            scales = {name: _scale(value["scales"][name]) for name in (f.name for f in schema if f.is_float)}
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise InputError(f"{path}: not an encoder ({error}); the file is damaged") from None
        encoder = cls(schema, {}, scales)
        vocabularies = {
            field.name: Vocabulary.read(directory / encoder._vocabulary_file(field.name))
            for field in schema
            if not field.is_float
        }
        return cls(schema, vocabularies, scales)

    def _vocabulary_file(self, name: str) -> str:
        """Numbered, not named: a field's name may hold slashes, or differ from another's in case only."""
        return f"vocabulary/{self.schema.names.index(name):03d}.parquet"


def _texts(series: pl.Series, field: Field, origin: str) -> pl.Series:
    """Token texts of a column: one a row, or all the items of a sequence."""
    if field.type == "token_seq":
        return items_of(series, field, origin).texts
    try:
        return token_text(series)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None


def _checked(schema: Schema, frame: pl.DataFrame, origin: str) -> pl.DataFrame:
    """The table, if it has every field; an empty list has no columns and is zero rows of any schema."""
    if not frame.columns:
        return pl.DataFrame({name: [] for name in schema.names}, schema=dict.fromkeys(schema.names, pl.Null))
    for name in schema.names:
        if name not in frame.columns:
            near = suggestion(name, frame.columns)
            raise InputError(f"{origin}: field '{name}' is missing; columns found: {listed(frame.columns)}.{near}")
    return frame


def _scale(value: Any) -> Scale:
    return Scale(tuple(map(float, value["mean"])), tuple(map(float, value["std"])))
