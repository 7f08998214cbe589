"""The bundle: a safe, self-contained directory that scores raw rows; written whole, checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveInt, TypeAdapter, ValidationError

from dagfm.encoding.encoder import Encoder
from dagfm.encoding.encoder_file import (
    encoder_files,
    read_encoder,
    read_indexes,
    read_schema,
    write_encoder,
    write_indexes,
)
from dagfm.errors import InputError
from dagfm.files import MANIFEST, open_sealed, read_json, replacing_directory, seal, write_bytes, write_json
from dagfm.kernel.scoring import Table
from dagfm.kernel.tokens import TokenIndex
from dagfm.schema import Schema
from dagfm.serving.reference import Reference
from dagfm.serving.weights import mapped, packed

KIND = "bundle"
FORMAT = 1
WEIGHTS = "weights.safetensors"
_CALIBRATION = "calibration.json"
_GOLDEN = "golden.json"
_REFERENCE = "reference.json"

LARGE = 1 << 20
"""Bytes of a file that a start does not read through."""

Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")


@dataclass(frozen=True)
class Golden:
    """Raw rows and how they score where the bundle was made; ``golden`` makes and checks them."""

    columns: Mapping[str, list[Any]]
    """Each column's cells, one a row."""
    probabilities: list[float]

    def __post_init__(self) -> None:
        rows = len(self.probabilities)
        if any(len(cells) != rows for cells in self.columns.values()):
            raise ValueError(f"columns are not of the {rows} rows that have a probability")


class _Network(BaseModel):
    """What scorers compute with of a network's configuration."""

    model_config = ConfigDict(strict=True)

    type: Literal["inner", "outer", "kernel"]
    depth: PositiveInt
    connect: Literal["none", "causal", "full"]
    hidden: list[PositiveInt] = []
    first_order: bool = False


class _Card(BaseModel):
    """What is read of a card by its keys, where it has them."""

    served: dict[str, Any] = {}
    tables: list[str] = []
    weight: str | None = None


class _Calibration(BaseModel):
    scale: FiniteFloat
    shift: FiniteFloat


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds, in memory."""

    encoder: Encoder
    network: Mapping[str, Any]
    """The network's configuration, ``connect`` resolved."""
    arrays: Arrays
    """``embedding.weight``, of int8 ``embedding.scales``, and ``network.*``."""
    calibration: Mapping[str, float]
    """The served probability is sigmoid(scale * logit + shift)."""
    card: Mapping[str, Any]
    """The rest of the manifest: label rule, side tables, measured figures, the version that wrote it."""
    indexes: Mapping[str, TokenIndex] = field(default_factory=dict)
    """Of vocabularies, by their field; those that lack one are indexed when a scorer is made."""
    golden: Golden | None = None
    """None in a bundle of an earlier dagfm."""
    reference: Reference | None = None
    """What rows looked like where it was made; None in a bundle of an earlier dagfm."""

    @property
    def table(self) -> Table:
        """The embedding table (rows, D), (rows, D + 1) with first-order weights."""
        return Table(self.arrays["embedding.weight"], self.arrays.get("embedding.scales"))

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """The network's arrays under their own names."""
        prefix = "network."
        return {name.removeprefix(prefix): one for name, one in self.arrays.items() if name.startswith(prefix)}


def write_bundle(directory: Path, bundle: Bundle, indexed: float = 0) -> None:
    """Write ``bundle`` to ``directory``, replacing an older bundle there only when the new one is complete.

    Vocabularies of fewer than ``indexed`` tokens get no index; it is made whenever the bundle is loaded.
    """
    with replacing_directory(directory) as fresh:
        names = write_encoder(bundle.encoder, fresh) + write_indexes(bundle.encoder, fresh, indexed)
        arrays = {name: np.ascontiguousarray(bundle.arrays[name]) for name in sorted(bundle.arrays)}
        write_bytes(fresh / WEIGHTS, packed(arrays))
        write_json(fresh / _CALIBRATION, dict(bundle.calibration))
        names += [WEIGHTS, _CALIBRATION]
        if bundle.golden is not None:
            write_json(fresh / _GOLDEN, asdict(bundle.golden))
            names.append(_GOLDEN)
        if bundle.reference is not None:
            write_bytes(fresh / _REFERENCE, bundle.reference.model_dump_json().encode())
            names.append(_REFERENCE)
        seal(fresh, KIND, FORMAT, names, {**bundle.card, "network": dict(bundle.network)})


def bundle_in(path: str | Path) -> Path:
    """The bundle that ``path`` is, or that lies in the run ``path``; ``path`` itself where there is neither."""
    directory = Path(path)
    if not (directory / MANIFEST).exists() and (directory / "bundle" / MANIFEST).exists():
        return directory / "bundle"
    return directory


def check_target(directory: Path) -> None:
    """Raise InputError where ``directory`` is something that a bundle must not replace: neither one, nor empty."""
    if not directory.exists() or (directory / MANIFEST).is_file():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        raise InputError(
            f"{directory}: is there and is no bundle; name a folder to be made, or a bundle to be replaced"
        )


def holds(directory: Path, bundle: Bundle) -> bool:
    """Whether ``directory`` is an undamaged bundle of the same student, of whom the same is to be told.

    The student alone (``made_from`` in the card) is not enough: another label rule or side table trains nothing anew
    where the rows stay the same, but ``evaluate`` and ``predict`` read it from here.
    """
    try:
        manifest = open_sealed(directory, KIND, FORMAT)
    except InputError:
        return False
    return all(manifest.get(key) == value for key, value in bundle.card.items())


def sizes(directory: Path) -> dict[str, int]:
    """Bytes on disk of the whole ``bundle``, and in memory of its ``embedding`` and its ``network``."""
    found = {"bundle": sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())}
    found |= {"embedding": 0, "network": 0}
    for name, array in mapped(directory / WEIGHTS).items():
        found["embedding" if name.startswith("embedding.") else "network"] += array.nbytes
    return found


def read_bundle(directory: Path, verify: bool = False) -> Bundle:
    """Open a bundle after checking its format version, every size and checksums; no pickle, no code.

    The table and the indexes are mapped: processes share them, and what nobody asks for is not read. So the checksums
    of files of more than ``LARGE`` bytes are left out, unless ``verify`` asks for them.
    Raises InputError naming the file when the directory is not a bundle, is newer than this dagfm, or is damaged. What
    it says is checked here, once: whoever can write a bundle can make its checksums right.
    """
    manifest = open_sealed(directory, KIND, FORMAT, None if verify else LARGE)
    files = manifest["files"]
    _checked(_Network, manifest.get("network"), directory / MANIFEST)
    schema = read_schema(directory)
    for name in (*encoder_files(schema), WEIGHTS, _CALIBRATION):
        if name not in files:
            raise InputError(f"{directory / MANIFEST}: does not list '{name}'; the bundle is damaged or altered")
    calibration = _checked(_Calibration, read_json(directory / _CALIBRATION), directory / _CALIBRATION).model_dump()
    card = {key: value for key, value in manifest.items() if key not in ("kind", "format", "files", "network")}
    _checked(_Card, card, directory / MANIFEST)
    indexes = read_indexes(directory, schema, files)
    golden = _checked(Golden, read_json(directory / _GOLDEN), directory / _GOLDEN) if _GOLDEN in files else None
    reference = _read_reference(directory / _REFERENCE, schema) if _REFERENCE in files else None
    encoder, arrays = read_encoder(directory, indexes), mapped(directory / WEIGHTS)
    bundle = Bundle(encoder, manifest["network"], arrays, calibration, card, indexes, golden, reference)
    _check_table(bundle, directory / WEIGHTS)
    return bundle


def _checked(kind: type[T], value: Any, path: Path) -> T:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise InputError(f"{path}: not what a bundle holds ({where}: {first['msg']}); the file is damaged") from None
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: not what a bundle holds ({error}); the file is damaged") from None


def _read_reference(path: Path, schema: Schema) -> Reference:
    found = _checked(Reference, read_json(path), path)
    try:
        found.check(schema)
    except ValueError as error:
        raise InputError(f"{path}: {error}; the file is damaged") from None
    return found


def _check_table(bundle: Bundle, path: Path) -> None:
    try:
        table = bundle.table
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: holds no embedding table ({error}); the file is damaged") from None
    if len(table) != bundle.encoder.spans.total:
        raise InputError(
            f"{path}: {len(table)} rows of embeddings, but the encoder has {bundle.encoder.spans.total}; the bundle is "
            "damaged"
        )
