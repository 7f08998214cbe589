"""Encoded rows to logits in one call: look-up, pooling, scaling by numbers and the network, block by block in cache."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.calls import Floats, Weights, processor_threads
from dagfm.kernel.library import VERSIONS, Call, chosen_version, library

KINDS = ("ids", "sum", "mean", "max", "numbers")
"""How encoded rows hold a field, in the order of the kernel's numbers; the middle ones are pooled sequences."""

FORMATS = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.int8))
"""Of the table, in the order of the kernel's numbers."""

FEW = 64
"""Up to this many rows a request's arrays are copied: the copy costs less than asking NumPy for an address."""


class Source(NamedTuple):
    """Where a field's vector comes from."""

    kind: str
    """One of ``KINDS``."""
    start: int
    """Its first row in the table."""
    column: int
    """Of the tokens, of the sequences or of the floats."""
    width: int = 1
    """How many floats."""


class _Source(ctypes.Structure):
    """``dagfm_source`` of scoring.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("kind", "start", "column", "width")]


class Model(ctypes.Structure):
    """``dagfm_model`` of scoring.h."""

    _fields_ = [
        ("net", Call),
        ("table", ctypes.c_void_p),
        ("table_rows", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("format", ctypes.c_int64),
        ("scales", ctypes.c_void_p),
        ("sources", ctypes.POINTER(_Source)),
        *((name, ctypes.c_int64) for name in ("tokens", "floats", "sequences")),
        ("packed", ctypes.c_void_p),
    ]


class Request(ctypes.Structure):
    """``dagfm_request`` of scoring.h; its inputs are bytes or addresses."""

    _fields_ = [
        ("rows", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        *((name, ctypes.c_char_p) for name in ("tokens", "floats", "offsets", "values")),
        ("items", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("out", "first", "scratch")),
    ]


@dataclass(frozen=True)
class Sums:
    """What a network without a linear head leaves to its caller."""

    states: Floats
    """(B, F·(depth+1)) summed states."""
    first: Floats | None
    """(B,) the first-order part of the logits, where there is one."""


@dataclass(frozen=True)
class Table:
    """The embedding table as it lies in memory. Raises ValueError where it is none."""

    rows: NDArray[Any]
    """(rows, D), or (rows, D + 1) with first-order weights in the last column: float32, finite float16, or int8."""
    scales: NDArray[np.float16] | None = None
    """(rows,) of int8: what a row's numbers are multiplied by."""

    def __post_init__(self) -> None:
        rows, scales = self.rows, self.scales
        if rows.dtype not in FORMATS or rows.ndim != 2 or not rows.flags.c_contiguous or not len(rows):
            kinds = ", ".join(map(str, FORMATS))
            raise ValueError(f"table is {rows.dtype} {rows.shape}, expected contiguous rows of {kinds}")
        if (scales is not None) != (rows.dtype == np.int8):
            raise ValueError("scales belong to an int8 table, and to no other")
        if scales is not None and (scales.dtype != np.float16 or scales.shape != rows.shape[:1]):
            raise ValueError(f"scales are {scales.dtype} {scales.shape}, expected float16 {rows.shape[:1]}")

    def __len__(self) -> int:
        return len(self.rows)


class Compiled:
    """A table and a network that score encoded rows; any number of threads may do so at once."""

    def __init__(self, weights: Weights, table: Table, sources: Sequence[Source], version: str | None = None) -> None:
        """One source a field. Raises ValueError where the sizes do not fit together."""
        native, version = library(), version or chosen_version()
        assert native is not None and version is not None, "callers ask whether the kernel is available"
        size, width = weights.p.shape[2], table.rows.shape[1]
        if width not in (size, size + 1) or len(sources) != weights.fields:
            raise ValueError(
                f"table is {table.rows.shape} with {len(sources)} sources, expected {size} or {size + 1} columns and "
                f"{weights.fields} sources"
            )
        self._weights, self._table = weights, table  # what the addresses below are of
        self._columns = columns_of(sources)
        self._model = model = model_of(weights, table, sources, self._columns, version)
        self._packed = np.zeros(native.dagfm_packed(ctypes.addressof(model)) + 16, np.float32)
        native.dagfm_pack(ctypes.addressof(model), aligned(self._packed))
        self._address = ctypes.addressof(model)
        self._score, self._scratch = native.dagfm_score, native.dagfm_score_scratch
        self._linear, self._first_order = weights.head is not None, width > size
        self._width = 1 if self._linear else weights.sums
        self._local = threading.local()

    def score(
        self,
        tokens: NDArray[np.int32],
        floats: Floats,
        sequences: Sequence[tuple[NDArray[np.int64], NDArray[np.int32]]] = (),
        threads: int | None = None,
    ) -> Floats | Sums:
        """Logits (B,), or what there is without a linear head, of B encoded rows.

        ``tokens`` (B, token fields), ``floats`` (B, numbers) with NaN where missing, and ``sequences`` as pairs of
        offsets (B + 1,) and values. ``threads`` None takes as many as pay. Raises IndexError where an id is no row of
        the table, ValueError where the arrays do not fit.
        """
        rows, few = len(tokens), len(tokens) <= FEW
        state = self._state()
        request: Request = state.request
        kept = fill(request, self._columns, tokens, floats, sequences)
        if few:
            request.threads = 1
            out, request.out, request.first, request.scratch = state.few
        else:
            request.threads = threads or processor_threads()
            out = np.empty((rows, self._width + 1), np.float32)
            request.out, request.first = out.ctypes.data, out.ctypes.data + 4 * rows * self._width
            request.scratch = state.scratch(self._scratch(self._address, rows, request.threads))
        failed = self._score(self._address, state.address)
        del kept
        check(failed, len(self._table))
        flat, count = out.reshape(-1), rows * self._width
        found: Floats = flat[:count].copy() if few else flat[:count]
        if self._linear:
            return found
        first = flat[state.few_first : state.few_first + rows].copy() if few else flat[count:]
        return Sums(found.reshape(rows, self._width), first if self._first_order else None)

    def _state(self) -> Any:
        """What stays with a thread."""
        try:
            return self._local.state
        except AttributeError:
            self._local.state = _State(self)
            return self._local.state


class _State:
    """A thread's request, its room for the results of few rows, and scratch."""

    def __init__(self, of: Compiled) -> None:
        self.request = Request(threads=1)
        self.address = ctypes.addressof(self.request)
        self._memory = np.empty(0, np.uint8)
        self.few_first = FEW * of._width
        out = np.empty(FEW * (of._width + 1), np.float32)
        at = out.ctypes.data
        self._few_memory = np.empty(of._scratch(of._address, FEW, 1) + 64, np.uint8)
        self.few = out, at, at + 4 * self.few_first, aligned(self._few_memory)

    def scratch(self, size: int) -> int:
        """The address of so many bytes: new ones would be faulted in anew at every call."""
        if len(self._memory) < size + 64:
            self._memory = np.empty(size + 64, np.uint8)
        return aligned(self._memory)


def columns_of(sources: Sequence[Source]) -> tuple[int, int, int]:
    """How many columns of tokens, of floats and of sequences encoded rows with these sources have."""

    def count(kinds: Sequence[str]) -> int:
        ends = (one.column + (one.width if one.kind == "numbers" else 1) for one in sources if one.kind in kinds)
        return max(ends, default=0)

    return count(KINDS[:1]), count(KINDS[4:]), count(KINDS[1:4])


def model_of(
    weights: Weights, table: Table, sources: Sequence[Source], columns: tuple[int, int, int], version: str
) -> Model:
    """``dagfm_model`` of these fields in rows with so many ``columns``; weights and table have to outlive it."""
    array = (_Source * len(sources))(*(_Source(KINDS.index(one.kind), *one[1:]) for one in sources))
    model = Model(table=table.rows.ctypes.data, table_rows=len(table), width=table.rows.shape[1])
    model.format = FORMATS.index(table.rows.dtype)
    if table.scales is not None:
        model.scales = table.scales.ctypes.data
    model.net, model.sources = weights.call, array
    model.net.version, model.net.fields = VERSIONS.index(version), len(sources)
    model.tokens, model.floats, model.sequences = columns
    return model


def fill(
    request: Request,
    columns: tuple[int, int, int],
    tokens: NDArray[np.int32],
    floats: Floats,
    sequences: Sequence[tuple[NDArray[np.int64], NDArray[np.int32]]],
) -> Any:
    """Point ``request`` to encoded rows; what is returned has to outlive its use. Raises ValueError where they are not
    of so many ``columns``."""
    rows = len(tokens)
    if (tokens.shape[1], floats.shape[1], len(sequences)) != columns or len(floats) != rows:
        raise ValueError(
            f"tokens {tokens.shape}, floats {floats.shape} and {len(sequences)} sequences, expected {columns[0]}, "
            f"{columns[1]} and {columns[2]} of as many rows"
        )
    request.rows = rows
    if tokens.dtype != np.int32 or floats.dtype != np.float32:
        tokens, floats = tokens.astype(np.int32), floats.astype(np.float32)
    if rows <= FEW:
        request.tokens, request.floats = tokens.tobytes(), floats.tobytes()
    else:
        tokens, floats = np.ascontiguousarray(tokens), np.ascontiguousarray(floats)
        request.tokens, request.floats = tokens.ctypes.data, floats.ctypes.data
    if sequences:
        offsets = np.concatenate([pair[0] for pair in sequences], dtype=np.int64)
        values = np.concatenate([pair[1] for pair in sequences], dtype=np.int32)
        if len(offsets) != len(sequences) * (rows + 1):
            raise ValueError(f"sequences have {len(offsets)} offsets, expected {len(sequences)} x {rows + 1}")
        request.offsets, request.values, request.items = offsets.tobytes(), values.tobytes(), len(values)
    return tokens, floats


def check(failed: int, table_rows: int) -> None:
    """Raise what a request's result says."""
    if failed == 2:
        raise ValueError("the sequences' offsets do not cut their values, expected at least one a row")
    if failed:
        raise IndexError(f"an id is beyond the table's {table_rows} rows")


def aligned(memory: NDArray[Any]) -> int:
    """The first address in ``memory`` that is a multiple of 64."""
    address: int = memory.ctypes.data
    return address + -address % 64
