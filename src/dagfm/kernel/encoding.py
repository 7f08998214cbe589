"""Raw cells to row ids and numbers in the kernel: tables by Arrow's C stream, single rows as texts joined by Python."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.library import library
from dagfm.kernel.tokens import Opened, Table, TokenIndex, stream_address

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Floats = NDArray[np.float32]

KINDS = ("ids", "items", "number", "bin")
"""What becomes of a field's cells, in the order of the kernel's numbers."""

FEW = 64
"""Up to this many rows results are copied out of memory that stays with the thread."""


class _Tokens(ctypes.Structure):
    """``dagfm_tokens`` of tokens.h."""

    _fields_ = [
        ("index", Opened),
        ("hash", ctypes.c_int64),
        ("separator", ctypes.c_char_p),
        *((name, ctypes.c_int64) for name in ("separator_size", "max_length", "keep_last")),
    ]


class _Field(ctypes.Structure):
    """``dagfm_field`` of encoding.c."""

    _fields_ = [
        ("kind", ctypes.c_int64),
        ("column", ctypes.c_int64),
        ("tokens", _Tokens),
        ("mean", ctypes.c_double),
        ("std", ctypes.c_double),
        ("edges", ctypes.c_void_p),
        ("edge_count", ctypes.c_int64),
    ]


class _Encoding(ctypes.Structure):
    """``dagfm_encoding`` of encoding.c."""

    _fields_ = [
        ("rows", ctypes.c_int64),
        ("fields", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("field", "children", "ids", "numbers")),
        ("ids_apart", ctypes.c_int64),
        ("numbers_apart", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("offsets", "values", "status")),
    ]


class _Values(ctypes.Structure):
    """``dagfm_values`` of items.h."""

    _fields_ = [("at", ctypes.POINTER(ctypes.c_int32)), ("count", ctypes.c_int64), ("room", ctypes.c_int64)]


@dataclass(frozen=True)
class Tokens:
    """How a field's texts become row ids."""

    index: TokenIndex | None = None
    hash: int = 0
    """Without an index: 2 + CRC-32 modulo this."""
    separator: str | None = None
    max_length: int | None = None
    keep_last: bool = False


@dataclass(frozen=True)
class Learned:
    """A field that the kernel encodes."""

    kind: str
    """One of ``KINDS``."""
    column: int
    """Of the ids, of the sequences or of the numbers."""
    tokens: Tokens = Tokens()
    mean: float = 0.0
    std: float = 1.0
    edges: tuple[float, ...] = ()


@dataclass
class Encoded:
    """What the kernel made of n rows."""

    ids: Int32
    """(n, ids)."""
    numbers: Floats
    """(n, numbers), NaN where missing."""
    sequences: list[tuple[Int64, Int32]]
    """Offsets (n + 1,) and values."""


class CellEncoder:
    """Fields by what they learned; any number of threads may encode at once."""

    def __init__(self, fields: Sequence[Learned], ids: int, numbers: int) -> None:
        """``fields`` in the order of their kinds, numbers and bins beside each other; ``ids`` and ``numbers`` are how
        many columns the results have."""
        native = library()
        assert native is not None, "callers ask whether the kernel is available"
        self._native, self._kept = native, list(fields)
        self._edges = [np.array(one.edges, np.float64) for one in fields]
        self._separators = [(one.tokens.separator or "").encode() for one in fields]
        self._fields = (_Field * len(fields))(*map(_field, fields, self._edges, self._separators))
        self.ids, self.numbers = ids, numbers
        self.sequences = sum(one.kind == "items" for one in fields)
        first = next((index for index, one in enumerate(fields) if one.kind != "ids"), len(fields))
        last = next((index for index, one in enumerate(fields) if one.kind == "items"), len(fields))
        self._parts = {"ids": (0, first), "numbers": (first, last), "items": (last, len(fields))}
        self._local = threading.local()

    def table(self, table: Table, rows: int, children: Int64) -> tuple[Encoded, NDArray[np.int8]]:
        """Encode a table of so many rows; ``children`` (fields,) says which of its columns each field is made of.

        With it comes for every field whether its column is none that the kernel encodes.
        """
        ids, numbers = np.empty((rows, self.ids), np.int32), np.empty((rows, self.numbers), np.float32)
        offsets = np.zeros((self.sequences, rows + 1), np.int64)
        values, status = (_Values * self.sequences)(), np.zeros(len(self._kept), np.int8)
        children = np.ascontiguousarray(children, np.int64)
        request = _Encoding(rows, len(self._kept), ctypes.addressof(self._fields), children.ctypes.data)
        request.ids, request.ids_apart = ids.ctypes.data, self.ids
        request.numbers, request.numbers_apart = numbers.ctypes.data, self.numbers
        request.offsets, request.values = offsets.ctypes.data, ctypes.addressof(values)
        request.status = status.ctypes.data
        capsule = table.__arrow_c_stream__()
        try:
            if self._native.dagfm_encode_table(ctypes.addressof(request), stream_address(capsule)):
                status[:] = 1
            sequences = [(offsets[index], _copied(values[index])) for index in range(self.sequences)]
        finally:
            self._release(values)
        return Encoded(ids, numbers, sequences), status

    def cells(
        self, rows: int, texts: bytes, numbers: bytes, items: Sequence[tuple[bytes, bytes | None]]
    ) -> Encoded | None:
        """Encode rows of Python; None where the texts hold a zero byte, or a number is infinite.

        ``texts``: UTF-8 of every row's id fields, one row after the other, with a zero byte between two; ``numbers``:
        float64 of every row's numbers and bins; ``items``: for each field of several values the rows' texts, likewise,
        to be cut at its separator, or the values' texts and int32 how many each row has.
        """
        state = self._state() if rows <= FEW else _State(self, self._fields, self._parts, rows)
        parts, native = state.parts, self._native
        for part in parts.values():
            part[0].rows = rows
        if native.dagfm_encode_texts(parts["ids"][1], texts, len(texts)):
            return None
        if numbers and native.dagfm_encode_numbers(parts["numbers"][1], numbers):
            return None
        sequences: list[tuple[Int64, Int32]] = []
        if self.sequences:
            try:
                for index, (text, counts) in enumerate(items):
                    if native.dagfm_encode_items(parts["items"][1], index, text, len(text), counts):
                        return None
                flat = state.offsets.reshape(-1)
                for index in range(self.sequences):
                    start = index * (rows + 1)
                    sequences.append((flat[start : start + rows + 1].copy(), _copied(state.values[index])))
            finally:
                self._release(state.values)
        return Encoded(state.ids[:rows].copy(), state.numbers[:rows].copy(), sequences)

    def _release(self, values: Any) -> None:
        for one in values:
            self._native.dagfm_release_values(ctypes.addressof(one))

    def _state(self) -> Any:
        """What stays with a thread."""
        try:
            return self._local.state
        except AttributeError:
            self._local.state = _State(self, self._fields, self._parts, FEW)
            return self._local.state


class _State:
    """Requests and room for the results of at most so many rows."""

    def __init__(self, of: CellEncoder, fields: Any, parts: dict[str, tuple[int, int]], rows: int) -> None:
        self.ids, self.numbers = np.empty((rows, of.ids), np.int32), np.empty((rows, of.numbers), np.float32)
        self.offsets, self.values = np.zeros((of.sequences, rows + 1), np.int64), (_Values * of.sequences)()
        self.parts: dict[str, tuple[_Encoding, int]] = {}
        for name, (first, last) in parts.items():
            request = _Encoding(0, last - first, ctypes.addressof(fields) + first * ctypes.sizeof(_Field))
            request.ids, request.ids_apart = self.ids.ctypes.data, of.ids
            request.numbers, request.numbers_apart = self.numbers.ctypes.data, of.numbers
            request.offsets, request.values = self.offsets.ctypes.data, ctypes.addressof(self.values)
            self.parts[name] = request, ctypes.addressof(request)


def _field(one: Learned, edges: NDArray[np.float64], separator: bytes) -> _Field:
    made = _Field(KINDS.index(one.kind), one.column, mean=one.mean, std=one.std)
    made.edges, made.edge_count = edges.ctypes.data, len(edges)
    tokens, to = one.tokens, made.tokens
    if tokens.index is not None:
        to.index = tokens.index.opened
    to.hash, to.max_length, to.keep_last = tokens.hash, tokens.max_length or 0, tokens.keep_last
    to.separator, to.separator_size = separator, len(separator)
    return made


def _copied(values: _Values) -> Int32:
    if not values.count:
        return np.zeros(0, np.int32)
    return np.ctypeslib.as_array(values.at, (values.count,)).copy()
