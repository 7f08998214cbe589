"""A vocabulary as the difference from another: which tokens moved where, which are new, and how often each occurs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagfm.encoding.compiled import index_of
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.errors import InputError
from dagfm.kernel.library import chosen_version
from dagfm.schema import FIRST
from dagfm.serving.patches.container import PART

_STEP = PART // 64
"""Tokens of a part."""
_LONGEST = 500
"""Bytes of a token; a vocabulary with longer ones travels whole, so that parts stay small."""
_NEW = -1


def has_parts(vocabulary: Vocabulary) -> bool:
    """Whether a vocabulary can be told as a difference."""
    longest = vocabulary.tokens.str.len_bytes().max()
    return not isinstance(longest, int) or longest <= _LONGEST


def vocabulary_parts(old: Vocabulary, new: Vocabulary) -> Iterator[bytes]:
    """The parts that ``patched_vocabulary`` makes ``new`` from, given ``old``."""
    known = old.encode(new.tokens).astype(np.int64)
    places = np.where(known < FIRST, _NEW, known - FIRST)
    counts = new.counts.to_numpy() - _counts(old, places)
    yield np.array([len(places)], np.int64).tobytes()
    for start in range(0, len(places), _STEP):
        step = slice(start, start + _STEP)
        yield _planes(np.diff(places[step], prepend=start))
        yield _planes(counts[step])
        texts = [text.encode() for text in new.tokens[step].filter(pl.Series(places[step] == _NEW)).to_list()]
        yield _planes(np.array([len(text) for text in texts], np.int64))
        yield b"".join(texts)


def patched_vocabulary(old: Vocabulary, take: Callable[[], bytes], name: Path) -> Vocabulary:
    """The vocabulary that the parts which ``take`` gives were made of. Raises InputError naming ``name`` for parts of
    another."""
    try:
        (size,) = np.frombuffer(take(), np.int64)
        steps = [_step(old, start, take) for start in range(0, int(size), _STEP)]
    except (ValueError, IndexError, OverflowError, StopIteration, pl.exceptions.PolarsError) as error:
        raise InputError(f"{name}: it changes another vocabulary ({error}); the patch is damaged") from None
    tokens = [tokens for tokens, _ in steps] or [pl.Series([], dtype=pl.String)]
    counts = [counts for _, counts in steps] or [np.zeros(0, np.int64)]
    return Vocabulary(pl.concat(tokens, rechunk=True), pl.Series(np.concatenate(counts), dtype=pl.Int64))


def write_index(path: Path, vocabulary: Vocabulary) -> bool:
    """Write the index of a vocabulary; False where this machine lacks the kernel that makes it."""
    index = index_of(vocabulary) if chosen_version() else None
    if index is None:
        return False
    index.memory.tofile(path)
    return True


def _step(old: Vocabulary, start: int, take: Callable[[], bytes]) -> tuple[pl.Series, NDArray[np.int64]]:
    moves = _numbers(take())
    if len(moves):
        moves[0] += start
    places = np.cumsum(moves)
    counts = _numbers(take()) + _counts(old, places)
    lengths, text = _numbers(take()), take()
    ends = np.cumsum(lengths)
    fresh = iter(text[end - size : end].decode() for size, end in zip(lengths.tolist(), ends.tolist(), strict=True))
    kept = old.tokens.gather(pl.Series(np.where(places == _NEW, 0, places))) if len(old.tokens) else None
    if kept is not None and not (places == _NEW).any():
        return kept, counts
    texts = [None] * len(places) if kept is None else kept.to_list()
    for place in np.flatnonzero(places == _NEW).tolist():
        texts[place] = next(fresh)
    return pl.Series(texts, dtype=pl.String), counts


def _counts(old: Vocabulary, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) counts of the tokens at ``places`` (n,), 0 of new ones."""
    counts = np.append(old.counts.to_numpy(), 0)
    return counts[places]  # new ones are at -1


def _planes(numbers: NDArray[np.int64]) -> bytes:
    """First bytes of all numbers first, which compress."""
    return np.ascontiguousarray(numbers, np.int64).view(np.uint8).reshape(-1, 8).T.tobytes()


def _numbers(planes: bytes) -> NDArray[np.int64]:
    return np.array(np.frombuffer(planes, np.uint8).reshape(8, -1).T, order="C").view(np.int64).reshape(-1)
