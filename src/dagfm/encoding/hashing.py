"""Row ids without a vocabulary: a stable hash of the token text, and of numbers."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagfm.encoding.rows import Int32, Int64
from dagfm.schema import FIRST, MISSING


def hashed(texts: pl.Series, size: int) -> Int32:
    """Row ids (n,) of ``texts`` (n,) String: 2 + CRC-32 of the UTF-8 bytes modulo ``size``; *missing* where null.

    CRC-32 because every language has it: a client can hash its ids itself.
    """
    ids = [MISSING if text is None else FIRST + crc32(text.encode()) % size for text in texts.to_list()]
    return np.array(ids, np.int32)


def hashed_numbers(keys: Int64, size: int) -> Int32:
    """Row ids (n,) of whole numbers: 2 + their mix (the finalizer of MurmurHash3, 64 bits) modulo ``size``."""
    mixed: NDArray[np.uint64] = np.asarray(keys).astype(np.uint64)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(33)
    return (FIRST + (mixed % np.uint64(size))).astype(np.int32)
