"""Ranking in the kernel: what depends on a context alone, and on a candidate alone, is computed once and kept."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.calls import Floats, Weights
from dagfm.kernel.library import VERSIONS, Call, chosen_version, library
from dagfm.kernel.scoring import Model, Request, Source, Table, aligned, check, columns_of, fill, model_of

Sequences = Sequence[tuple[NDArray[np.int64], NDArray[np.int32]]]


class _Ranker(ctypes.Structure):
    """``dagfm_ranker`` of ranking.h."""

    _fields_ = [
        ("context", Model),
        ("candidate", Model),
        ("net", Call),
        ("contexts", ctypes.c_int64),
        ("packed", ctypes.c_void_p),
    ]


@dataclass(frozen=True)
class KeptCandidates:
    """What a network keeps of candidates, in vectors of the processor that it runs on."""

    vectors: Floats
    """(n, numbers of a candidate)."""
    first: Floats
    """(n,) the first-order part of their logits."""

    def __len__(self) -> int:
        return len(self.first)


class Ranker:
    """No connect layer or a causal one, and a linear head; thread-safe."""

    def __init__(
        self, weights: Weights, table: Table, sources: Sequence[Source], contexts: int, version: str | None = None
    ) -> None:
        """As ``Compiled``; the first ``contexts`` fields are the context's. Raises ValueError for another network."""
        native, version = library(), version or chosen_version()
        assert native is not None and version is not None, "callers ask whether the kernel is available"
        if weights.connect == "full" or weights.head is None:
            raise ValueError("expected connect none or causal, and a linear head")
        if not 0 < contexts < weights.fields:
            raise ValueError(f"{contexts} fields of the context, expected 1 to {weights.fields - 1}")
        self._kept_alive, self._rows, self._columns = (weights, table), len(table), columns_of(sources)
        self._native, self._local = native, threading.local()
        self._ranker = ranker = _Ranker(contexts=contexts)
        sides = [
            model_of(weights, table, part, self._columns, version) for part in (sources[:contexts], sources[contexts:])
        ]
        ranker.context, ranker.candidate = sides
        ranker.net = weights.call
        ranker.net.version = VERSIONS.index(version)
        self._sides = sides  # they hold what the copies point to
        self._address = ctypes.addressof(ranker)
        self._packed = np.zeros(native.dagfm_rank_packed(self._address) + 16, np.float32)
        native.dagfm_rank_pack(self._address, aligned(self._packed))
        self._context = native.dagfm_rank_context(self._address)
        self._candidate = native.dagfm_rank_candidate(self._address)

    def contexts(self, tokens: NDArray[np.int32], floats: Floats, sequences: Sequences = ()) -> Floats:
        """What is kept of the contexts of encoded rows (m), whose candidate columns do not count: (m, numbers).

        Raises as ``Compiled.score``.
        """
        found = np.empty((len(tokens), self._context), np.float32)
        request, kept = self._request(tokens, floats, sequences)
        check(self._native.dagfm_keep_contexts(self._address, ctypes.addressof(request), found.ctypes.data), self._rows)
        del kept
        return found

    def candidates(self, tokens: NDArray[np.int32], floats: Floats, sequences: Sequences = ()) -> KeptCandidates:
        """What is kept of the candidates of encoded rows (n), whose context columns do not count."""
        found = KeptCandidates(np.empty((len(tokens), self._candidate), np.float32), np.empty(len(tokens), np.float32))
        request, kept = self._request(tokens, floats, sequences)
        to = found.vectors.ctypes.data, found.first.ctypes.data
        check(self._native.dagfm_keep_candidates(self._address, ctypes.addressof(request), *to), self._rows)
        del kept
        return found

    def logits(self, contexts: Floats, candidates: KeptCandidates) -> Floats:
        """Logits (m, n) of n candidates in each of m contexts."""
        out = np.empty((len(contexts), len(candidates)), np.float32)
        contexts = np.ascontiguousarray(contexts)
        self._native.dagfm_rank(
            self._address,
            contexts.ctypes.data,
            len(contexts),
            candidates.vectors.ctypes.data,
            candidates.first.ctypes.data,
            len(candidates),
            out.ctypes.data,
            self._scratch(),
        )
        return out

    def once(self, contexts: Floats, tokens: NDArray[np.int32], floats: Floats, sequences: Sequences = ()) -> Floats:
        """As ``logits``, of the candidates of encoded rows (n), of which nothing is kept; raises as ``candidates``."""
        out = np.empty((len(contexts), len(tokens)), np.float32)
        contexts = np.ascontiguousarray(contexts)
        request, kept = self._request(tokens, floats, sequences)
        where = contexts.ctypes.data, len(contexts), ctypes.addressof(request), out.ctypes.data
        check(self._native.dagfm_rank_once(self._address, *where), self._rows)
        del kept
        return out

    def _request(self, tokens: NDArray[np.int32], floats: Floats, sequences: Sequences) -> tuple[Request, object]:
        request = Request(threads=1, scratch=self._scratch())
        return request, fill(request, self._columns, tokens, floats, sequences)

    def _scratch(self) -> int:
        """The address of memory that stays with the thread."""
        if not hasattr(self._local, "memory"):
            self._local.memory = np.empty(self._native.dagfm_rank_scratch(self._address) + 64, np.uint8)
        return aligned(self._local.memory)


def falling(values: Floats) -> NDArray[np.int64]:
    """Which of the values (n,), fewer than 2^32, is the largest, the next, ...: (n,), equal ones as they come."""
    native, count = library(), len(values)
    assert native is not None, "callers ask whether the kernel is available"
    values = np.ascontiguousarray(values)
    places, room = np.empty(count, np.int64), np.empty(2 * count, np.uint64)
    native.dagfm_falling(values.ctypes.data, count, places.ctypes.data, room.ctypes.data)
    return places
