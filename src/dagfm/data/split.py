"""Which rows train, which validate, which test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagfm.data.mapped import blocks
from dagfm.encoding.rows import Int32
from dagfm.encoding.values import BadValueError, Float64, token_text
from dagfm.errors import InputError, listed

PARTS = ("train", "valid", "test")
TRAIN, VALID, TEST, OUT = range(4)
"""A row's part as one byte; OUT rows are left out."""

Parts = NDArray[np.uint8]
Ratios = tuple[float, float, float]


def random_parts(into: Parts, order: Int32, ratios: Ratios, seed: int) -> None:
    """Set ``into`` (n,) to the rows' parts; ``order`` (n,) is room to work in, which may lie in a file.

    Of ``numpy.random.default_rng(seed).permutation(n)`` the first share is test, the second valid, the rest train, so
    that a split can be told in one sentence and made again anywhere.
    """
    n = len(into)
    for block in blocks(n):
        order[block] = np.arange(block.start, block.stop, dtype=np.int32)
    np.random.default_rng(seed).shuffle(order)  # the same draws as permutation(n), in place
    valid, test = _shares(n, ratios)
    into[:] = TRAIN
    for part, first, count in ((TEST, 0, test), (VALID, test, valid)):
        chosen = order[first : first + count]
        for block in blocks(count):
            into[chosen[block]] = part


def time_parts(into: Parts, times: Float64, ordered: Float64, ratios: Ratios, gap: float) -> None:
    """Set ``into`` (n,) by ``times`` (n,), which need not ascend; ``ordered`` (n,) is room to put them in order.

    The last share is test, the one before valid; rows of one time are in one part. Rows less than ``gap`` before the
    next part are OUT.
    """
    n = len(into)
    valid, test = _shares(n, ratios)
    starts = [(part, first) for part, first in ((VALID, n - test - valid), (TEST, n - test)) if first < n]
    ordered[:] = times
    ordered.partition(np.array([first for _, first in starts], np.intp))
    into[:] = TRAIN
    for part, first in starts:
        if part == TEST or valid:
            start = ordered[first]
            for block in blocks(n):
                here, when = into[block], times[block]
                here[(when >= start - gap) & (when < start)] = OUT
                here[when >= start] = part


def group_parts(texts: pl.Series, ratios: Ratios, seed: int) -> Parts:
    """Parts (n,) of rows by their groups ``texts`` (n,): a hash of the name decides, so the shares hold on average.

    Rows without a group are one group.
    """
    distinct = texts.unique()
    draws = [_uniform(f"{seed}/{text}") for text in distinct.to_list()]
    limits = (ratios[2], ratios[2] + ratios[1])
    parts = [TEST if draw < limits[0] else VALID if draw < limits[1] else TRAIN for draw in draws]
    return _by_text(texts, distinct, parts)


def column_parts(texts: pl.Series, values: Mapping[Any, Sequence[object]], origin: str) -> Parts:
    """Parts (n,) of rows whose column says it, by ``values`` of each part; without any for train, train is the rest.

    Raises BadValueError naming a row whose value is none of them.
    """
    part_of = {
        text: PARTS.index(part)
        for part, said in values.items()
        for text in token_text(pl.Series([str(value) for value in said])).to_list()
    }
    distinct = texts.unique()
    other = TRAIN if "train" not in values else OUT
    parts = _by_text(texts, distinct, [part_of.get(text, other) for text in distinct.to_list()])
    if "train" in values and (unknown := np.flatnonzero(parts == OUT)).size:
        row = int(unknown[0])
        raise BadValueError(
            origin,
            row,
            f"column '{texts.name}' holds {texts[row]!r}, not one of data.split.values: {listed(part_of)}",
        )
    return parts


def check_parts(sizes: Mapping[str, int], ratios: Ratios | None) -> None:
    """Raise InputError naming an empty part."""
    n = sum(sizes.values())
    for index, (part, size) in enumerate(sizes.items()):
        if not size:
            share = f"a share of {ratios[index]:g}" if ratios is not None else "none"
            raise InputError(f"split: the {part} part is empty: {share} of {n} rows")


def _shares(n: int, ratios: Ratios) -> tuple[int, int]:
    """Rows of valid and test. 0.29 * 100 is 28.999999999999996 in floats, and 29 to everybody else."""
    return int(round(n * ratios[1], 6)), int(round(n * ratios[2], 6))


def _by_text(texts: pl.Series, distinct: pl.Series, parts: Sequence[int]) -> Parts:
    table = pl.DataFrame({"text": distinct, "part": pl.Series(parts, dtype=pl.UInt8)})
    joined = texts.alias("text").to_frame().join(table, on="text", how="left", maintain_order="left", nulls_equal=True)
    return joined["part"].to_numpy()


def _uniform(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2.0**64
