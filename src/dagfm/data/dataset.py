"""Prepared rows on disk: how they are laid out, written, and opened as memory-mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.data.split import PARTS
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32, Int64, Ragged, Rows
from dagfm.errors import InputError
from dagfm.files import fingerprint, open_sealed, seal, write_array

KIND = "prepared data"
FORMAT = 1
COUNTS = "counts.npy"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Encoded rows with their labels."""

    rows: Rows
    labels: Float32
    """(n,), 0 or 1."""
    weights: Float32 | None = None
    """(n,), how much a row counts in loss and figures, 0 or more; None where all count the same."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared directory: three memory-mapped parts and the encoder that made them."""

    directory: Path
    fingerprint: str
    """Of the input files' places, sizes and times: where to find this directory again."""
    content: str
    """Of what is in it: the same rows give the same, wherever their files lie and whenever they were touched."""
    encoder: Encoder
    train: Dataset
    valid: Dataset
    test: Dataset
    counts: Int64
    """Occurrences of every embedding row in the training rows, in the encoder's global row order."""

    @classmethod
    def open(cls, directory: Path) -> Prepared:
        """Open a complete directory; raises InputError naming the file that is missing, cut or altered."""
        try:
            manifest = open_sealed(directory, KIND, FORMAT)
            encoder = Encoder.read(directory)
            sequences = sum(field.type == "token_seq" for field in encoder.schema)
            train, valid, test = (_read(directory / part, sequences) for part in PARTS)
            counts = mapped(directory / COUNTS)
        except InputError as error:
            raise InputError(f"{error}; delete the folder {directory} and run again") from None
        content = fingerprint(manifest["files"])
        return cls(directory, manifest["fingerprint"], content, encoder, train, valid, test, counts)


def write_prepared(directory: Path, key: str, encoder: Encoder, parts: dict[str, Dataset], counts: Int64) -> None:
    """Write everything into ``directory`` and seal it: the manifest, written last, says that it is complete."""
    names = encoder.write(directory)
    for part, dataset in parts.items():
        arrays: dict[str, NDArray[Any]] = {
            "tokens": dataset.rows.tokens,
            "floats": dataset.rows.floats,
            "labels": dataset.labels,
        }
        if dataset.weights is not None:
            arrays["weights"] = dataset.weights
        for index, sequence in enumerate(dataset.rows.sequences):
            arrays |= {f"seq{index}-offsets": sequence.offsets, f"seq{index}-values": sequence.values}
        for name, array in arrays.items():
            names.append(f"{part}/{name}.npy")
            write_array(directory / names[-1], array)
    names.append(COUNTS)
    write_array(directory / COUNTS, counts)
    rows = {part: len(dataset) for part, dataset in parts.items()}
    seal(directory, KIND, FORMAT, names, {"fingerprint": key, "rows": rows})


def _read(part: Path, sequences: int) -> Dataset:
    ragged = [
        Ragged(mapped(part / f"seq{index}-offsets.npy"), mapped(part / f"seq{index}-values.npy"))
        for index in range(sequences)
    ]
    rows = Rows(mapped(part / "tokens.npy"), mapped(part / "floats.npy"), tuple(ragged))
    weights = part / "weights.npy"
    return Dataset(rows, mapped(part / "labels.npy"), mapped(weights) if weights.exists() else None)


def mapped(path: Path) -> NDArray[Any]:
    """A memory-mapped array, seen as a plain one: ``np.memmap`` does extra work at every slice."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except ValueError:
        return _loaded(path)


def _loaded(path: Path) -> NDArray[Any]:
    """An array that cannot be mapped, because it has no columns; anything else is damage."""
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
        return array
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not an array ({error}); the file is damaged") from None
