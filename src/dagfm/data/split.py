"""Which rows train, which validate, which test."""

from __future__ import annotations

import numpy as np

from dagfm.encoding.rows import Int64
from dagfm.errors import InputError

PARTS = ("train", "valid", "test")


def random_split(n: int, ratios: tuple[float, float, float], seed: int) -> tuple[Int64, Int64, Int64]:
    """Rows of train, valid and test, each ascending.

    Of ``numpy.random.default_rng(seed).permutation(n)`` the first share is test, the second valid, the rest train, so
    that a split can be told in one sentence and made again anywhere. Raises InputError naming an empty part.
    """
    # 0.29 * 100 is 28.999999999999996 in floats, and 29 to everybody else.
    valid, test = (int(round(n * ratio, 6)) for ratio in ratios[1:])
    order = np.random.default_rng(seed).permutation(n)
    parts = (order[test + valid :], order[test : test + valid], order[:test])
    for name, part, ratio in zip(PARTS, parts, ratios, strict=True):
        if not len(part):
            raise InputError(f"split: the {name} part is empty: a share of {ratio:g} of {n} rows")
    train, valid_rows, test_rows = (np.sort(part) for part in parts)
    return train, valid_rows, test_rows
