"""An encoder on disk: JSON, and Parquet for what is large."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from dagfm.encoding.beta import Beta
from dagfm.encoding.bins import Bins
from dagfm.encoding.compiled import index_of
from dagfm.encoding.crosses import Crosses, HashedCrosses
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.scale import Scale
from dagfm.encoding.statistics import Grid, Statistics
from dagfm.encoding.vocabulary import StoredVocabulary, Vocabulary
from dagfm.errors import InputError
from dagfm.files import read_json, replacing, write_json
from dagfm.kernel.library import chosen_version
from dagfm.kernel.tokens import TokenIndex
from dagfm.schema import FIRST, Field, Schema

FILE = "encoder.json"
FORMAT = 3
"""1 had vocabularies and scales alone; 2 had target statistics with a constant smoothing and learned bins, and is still
what an encoder without them is."""


def encoder_files(schema: Schema) -> list[str]:
    """The files that ``read_encoder`` reads of such a schema, relative to the directory."""
    return [
        FILE,
        *(vocabulary_file(schema, one.name) for one in schema if one.has_vocabulary),
        *(_file("cross", schema, one.name) for one in schema if one.cross is not None and one.hash is None),
        *(_file("statistic", schema, one.name) for one in schema if one.is_target),
    ]


def write_encoder(encoder: Encoder, directory: Path) -> list[str]:
    """Write ``encoder.json`` and the tables; returns the files' names relative to ``directory``."""
    names = [FILE]
    for folder, tables in (
        ("vocabulary", encoder.vocabularies),
        ("cross", {name: cross for name, cross in encoder.crosses.items() if isinstance(cross, Crosses)}),
        ("statistic", encoder.statistics),
    ):
        for name, table in tables.items():
            names.append(_file(folder, encoder.schema, name))
            table.write(directory / names[-1])
    value = {
        "format": FORMAT if encoder.statistics else FORMAT - 1,
        "schema": encoder.schema.model_dump(mode="json"),
        "scales": {name: _scale(scale) for name, scale in encoder.scales.items()},
        "bins": {name: bins.edges for name, bins in encoder.bins.items()},
        "statistics": {name: _statistic(one) for name, one in encoder.statistics.items()},
    }
    write_json(directory / FILE, value)
    return names


def write_indexes(encoder: Encoder, directory: Path, least: float = 0) -> list[str]:
    """Write beside each vocabulary of at least so many tokens the index by which the kernel finds them; returns the
    files' names.

    None without the kernel, which is all they are for.
    """
    names = []
    for name, vocabulary in encoder.vocabularies.items() if chosen_version() else ():
        index = index_of(vocabulary) if vocabulary.rows - FIRST >= least else None
        if index is not None:
            names.append(index_file(encoder.schema, name))
            with replacing(directory / names[-1]) as temporary:
                index.memory.tofile(temporary)
    return names


def read_indexes(directory: Path, schema: Schema, files: Collection[str]) -> dict[str, TokenIndex]:
    """The indexes among ``files`` that ``write_indexes`` wrote, by the vocabulary's field, mapped; none without the
    kernel."""
    names = {one.name: index_file(schema, one.name) for one in schema if one.has_vocabulary}
    return {
        field: TokenIndex.mapped(directory / name)
        for field, name in names.items()
        if chosen_version() and name in files
    }


def read_schema(directory: Path) -> Schema:
    """The schema alone; raises InputError naming the file where it is missing or damaged."""
    path = directory / FILE
    value = read_json(path)
    try:
        return Schema.model_validate(value["schema"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not an encoder ({error}); the file is damaged") from None


def read_encoder(directory: Path, indexes: Mapping[str, TokenIndex] | None = None) -> Encoder:
    """Read what ``write_encoder`` wrote; raises InputError naming the file that is missing, newer or damaged.

    Vocabularies with an index, by their field, are left on disk until somebody asks for their tokens.
    """
    indexes = indexes or {}
    path = directory / FILE
    value = read_json(path)
    if isinstance(value, dict) and isinstance(value.get("format"), int) and value["format"] > FORMAT:
        raise InputError(f"{path}: encoder format {value['format']}, but this dagfm reads up to {FORMAT}; upgrade")
    try:
        schema = Schema.model_validate(value["schema"])
        if value["format"] < FORMAT and any(one.is_target for one in schema):
            raise InputError(
                f"{path}: its target statistics were made by an earlier dagfm, which smoothed them otherwise; fit again"
            )
        numbers = [one for one in schema if one.form == "numbers" and not one.is_target]
        scales = {one.name: _read_scale(value["scales"][one.name], one.width) for one in numbers}
        quantiles = [one.name for one in schema if one.encode == "quantile"]
        bins = {name: _read_bins(value["bins"][name]) for name in quantiles}
        forms = {one.name: value["statistics"][one.name] for one in schema if one.is_target}
        statistics = {
            one.name: _read_statistic(forms[one.name], directory / _file("statistic", schema, one.name))
            for one in schema
            if one.is_target
        }
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: not an encoder ({error}); the file is damaged") from None
    vocabularies = {
        one.name: _read_vocabulary(directory / vocabulary_file(schema, one.name), indexes.get(one.name))
        for one in schema
        if one.has_vocabulary
    }
    crosses = {one.name: _read_cross(one, schema, directory) for one in schema if one.cross is not None}
    encoder = Encoder(schema, vocabularies, scales, bins, crosses, statistics)
    for name, one in statistics.items():
        rows = encoder.source_rows(schema.named(name))
        if len(one.rows) != rows:
            path = directory / _file("statistic", schema, name)
            raise InputError(f"{path}: {len(one.rows)} rows, but its field has {rows}; the file is damaged")
    return encoder


def _file(folder: str, schema: Schema, name: str) -> str:
    """Numbered, not named: a field's name may hold slashes, or differ from another's in case only."""
    return f"{folder}/{schema.names.index(name):03d}.parquet"


def vocabulary_file(schema: Schema, name: str) -> str:
    """Where the vocabulary of the field ``name`` lies, relative to the encoder's directory."""
    return _file("vocabulary", schema, name)


def index_file(schema: Schema, name: str) -> str:
    """Where its index lies."""
    return vocabulary_file(schema, name).removesuffix(".parquet") + ".index"


def _read_vocabulary(path: Path, index: TokenIndex | None) -> Vocabulary:
    return Vocabulary.read(path) if index is None else StoredVocabulary(path, index.tokens)


def _scale(scale: Scale) -> dict[str, Any]:
    return {"mean": scale.mean, "std": scale.std}


def _read_scale(value: Any, width: int) -> Scale:
    mean, std = _numbers(value["mean"]), _numbers(value["std"])
    if not len(mean) == len(std) == width or not min(std) > 0:
        raise ValueError(f"means {mean} and deviations {std}, expected {width} of each, deviations above 0")
    return Scale(mean, std)


def _read_bins(value: Any) -> Bins:
    return Bins(_numbers(value))


def _numbers(value: Any) -> tuple[float, ...]:
    found = tuple(map(float, value))
    if not all(map(isfinite, found)):
        raise ValueError(f"{found}, expected finite numbers")
    return found


def _statistic(statistics: Statistics) -> dict[str, Any]:
    form, prior = statistics.form, statistics.prior
    how = _scale(form) if isinstance(form, Scale) else {"bins": form.bins, "counts": form.counts}
    return {"prior": {"clicks": prior.clicks, "others": prior.others}, "form": how}


def _read_statistic(value: Any, path: Path) -> Statistics:
    how, prior = value["form"], value["prior"]
    form = Grid(int(how["bins"]), int(how["counts"])) if "bins" in how else _read_scale(how, 2)
    clicks, others = _numbers((prior["clicks"], prior["others"]))
    if not min(clicks, others) > 0 or (isinstance(form, Grid) and min(form.bins, form.counts) < 1):
        raise ValueError(f"prior {prior} and form {how}, expected numbers above 0")
    return Statistics(*Statistics.read(path), Beta(clicks, others), form)


def _read_cross(one: Field, schema: Schema, directory: Path) -> Crosses | HashedCrosses:
    if one.hash is not None:
        return HashedCrosses(one.hash)
    return Crosses.read(directory / _file("cross", schema, one.name))
