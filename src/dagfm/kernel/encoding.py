"""Raw cells to row ids and numbers in the kernel: tables by Arrow's C stream, and Python's own dicts and lists."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.library import dict_reader, library
from dagfm.kernel.tokens import Opened, Table, TokenIndex, stream_address

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Floats = NDArray[np.float32]

KINDS = ("ids", "items", "number", "bin")
"""What becomes of a field's cells, in the order of the kernel's numbers."""

FEW = 64
"""Up to this many rows results are copied out of memory that stays with the thread."""

MANY = 8192
"""Up to this many rows of Python are read cell by cell; of more, callers make a table first, which bounds memory, and
the time for which other threads wait for Python's lock."""


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


class _Columns(ctypes.Structure):
    """``dagfm_columns`` of cells.h."""

    _fields_ = [
        ("count", ctypes.c_int64),
        ("keys", ctypes.py_object),
        ("ways", ctypes.c_char_p),
        *((name, ctypes.py_object) for name in ("spelled", "integer", "real")),
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
        """``ids`` and ``numbers`` are how many columns the results have."""
        native = library()
        assert native is not None, "callers ask whether the kernel is available"
        self._native, self._kept = native, list(fields)
        self._edges = [np.array(one.edges, np.float64) for one in fields]
        self._separators = [(one.tokens.separator or "").encode() for one in fields]
        self._fields = (_Field * len(fields))(*map(_field, fields, self._edges, self._separators))
        self.ids, self.numbers = ids, numbers
        self.sequences = sum(one.kind == "items" for one in fields)
        self._local = threading.local()

    def table(self, table: Table, rows: int, children: Int64) -> tuple[Encoded, NDArray[np.int8]]:
        """Encode a table of so many rows; ``children`` (fields,) says which of its columns each field is made of.

        With it comes for every field whether its column is none that the kernel encodes.
        """
        ids, numbers = np.empty((rows, self.ids), np.int32), np.empty((rows, self.numbers), np.float32)
        offsets = np.zeros((self.sequences, rows + 1), np.int64)
        values, status = (_Values * self.sequences)(), np.zeros(len(self._kept), np.int8)
        children = np.ascontiguousarray(children, np.int64)
        request = self.request(rows, ids, numbers, offsets, values)
        request.children, request.status = children.ctypes.data, status.ctypes.data
        capsule = table.__arrow_c_stream__()
        try:
            if self._native.dagfm_encode_table(ctypes.addressof(request), stream_address(capsule)):
                status[:] = 1
            sequences = [(offsets[index], _copied(values[index])) for index in range(self.sequences)]
        finally:
            self._release(values)
        return Encoded(ids, numbers, sequences), status

    def keys(self, keys: Sequence[str | None], spelled: Callable[[Any], str]) -> Keys:
        """Which key of a dict every field is read from; None: none, so that the field is missing.

        ``spelled`` gives the token text of a cell that is neither None nor of Python's own types, or raises.
        """
        return Keys([one.kind for one in self._kept], keys, spelled)

    def dicts(self, keys: Keys, rows: list[Any] | dict[str, Any], count: int) -> Encoded | None:
        """Encode ``count`` rows of Python, a list of dicts or a dict of lists; None where a key lacks, a list is of
        another length, or a cell is of a type that is not read here.

        Raises what a row that is no dict raises, what ``keys.spelled`` does, and UnicodeEncodeError.
        """
        reader = dict_reader()
        if reader is None:
            return None
        state = self._state() if count <= FEW else _State(self, count)
        request = state.request
        request.rows, request.children = count, keys.children
        try:
            if reader(state.address, keys.address, rows):
                return None
            sequences: list[tuple[Int64, Int32]] = []
            if self.sequences:
                flat = state.offsets.reshape(-1)
                for index in range(self.sequences):
                    start = index * (count + 1)
                    sequences.append((flat[start : start + count + 1].copy(), _copied(state.values[index])))
        finally:
            self._release(state.values)
        if count > FEW:
            return Encoded(state.ids, state.numbers, sequences)
        return Encoded(state.ids[:count].copy(), state.numbers[:count].copy(), sequences)

    def request(self, rows: int, ids: Int32, numbers: Floats, offsets: Int64, values: Any) -> _Encoding:
        """To encode so many rows to there; ``children`` is not told yet."""
        made = _Encoding(rows, len(self._kept), ctypes.addressof(self._fields))
        made.ids, made.ids_apart = ids.ctypes.data, self.ids
        made.numbers, made.numbers_apart = numbers.ctypes.data, self.numbers
        made.offsets, made.values = offsets.ctypes.data, ctypes.addressof(values)
        return made

    def _release(self, values: Any) -> None:
        for one in values:
            self._native.dagfm_release_values(ctypes.addressof(one))

    def _state(self) -> Any:
        """What stays with a thread."""
        try:
            return self._local.state
        except AttributeError:
            self._local.state = _State(self, FEW)
            return self._local.state


class _State:
    """A request, and room for the results of at most so many rows."""

    def __init__(self, of: CellEncoder, rows: int) -> None:
        self.ids, self.numbers = np.empty((rows, of.ids), np.int32), np.empty((rows, of.numbers), np.float32)
        self.offsets, self.values = np.zeros((of.sequences, rows + 1), np.int64), (_Values * of.sequences)()
        self.request = of.request(rows, self.ids, self.numbers, self.offsets, self.values)
        self.address = ctypes.addressof(self.request)


class Keys:
    """What ``CellEncoder.keys`` makes: each key once for each way in which its cells are read."""

    def __init__(self, kinds: Sequence[str], keys: Sequence[str | None], spelled: Callable[[Any], str]) -> None:
        wanted = [None if key is None else (key, _WAYS[kind]) for kind, key in zip(kinds, keys, strict=True)]
        columns = list(dict.fromkeys(one for one in wanted if one is not None))
        self._children = np.array([-1 if one is None else columns.index(one) for one in wanted], np.int64)
        self.children: int = self._children.ctypes.data
        names = tuple(sys.intern(key) for key, _ in columns)
        ways = bytes(way for _, way in columns)
        self._columns = _Columns(len(columns), names, ways, spelled, np.int64, np.float64)
        self.address = ctypes.addressof(self._columns)


_WAYS = {"ids": 0, "number": 1, "bin": 1, "items": 2}
"""What a field's cells are read as: a text, a number, several values; as cells.h numbers them."""


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
