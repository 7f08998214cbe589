"""Where quotes hold a separator or a line break together: the exact ends of the records in a piece of text.

A quote opens only at the start of a cell; elsewhere it is a character like others (``5" nails``). Inside, two quotes
are one; a single one closes. That is how the parser reads them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Quoted:
    """The quoted stretches of some text that begins with a record, in order."""

    starts: Int64
    """Positions of the opening quotes."""
    ends: Int64
    """Positions after the closing ones; past the text's end where one is not closed."""

    @property
    def open_at(self) -> int | None:
        """Where a quote opens that is not closed."""
        return int(self.starts[-1]) if len(self.ends) and self.ends[-1] == _OPEN else None

    def hold(self, place: int) -> int | None:
        """The start of the stretch that ``place`` lies in, or None."""
        index = int(np.searchsorted(self.starts, place, side="right")) - 1
        return int(self.starts[index]) if index >= 0 and place < self.ends[index] else None


_OPEN = np.iinfo(np.int64).max


def quoted(data: bytes, separator: bytes, quote: bytes) -> Quoted:
    """The quoted stretches of ``data``, which begins with a record."""
    if quote not in data:
        return Quoted(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return _by_parity(data, separator, quote) or _one_by_one(data, separator, quote)


def record_end(data: bytes, separator: bytes, quote: bytes | None) -> int:
    """Where the last whole record of ``data`` ends, 0 where none does."""
    end = data.rfind(b"\n")
    if quote is None or quote not in data:
        return end + 1
    stretches = quoted(data, separator, quote)
    while end >= 0 and (start := stretches.hold(end)) is not None:
        end = data.rfind(b"\n", 0, start)
    return end + 1


def record_starts(data: bytes, separator: bytes, quote: bytes | None) -> Int64:
    """Where each record of ``data`` starts."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    if quote is not None and quote in data and len(ends):
        stretches = quoted(data, separator, quote)
        index = np.searchsorted(stretches.starts, ends, side="right") - 1
        if len(stretches.ends):
            ends = ends[(index < 0) | (ends >= stretches.ends[np.maximum(index, 0)])]
    return np.concatenate([np.zeros(1, np.int64), ends + 1])


def _by_parity(data: bytes, separator: bytes, quote: bytes) -> Quoted | None:
    """Every second quote opens, the others close, where that is so; None where a quote stands within a bare cell."""
    text = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(text == quote[0])
    opening = places[::2]
    before = text[opening - 1]
    at_start = (opening == 0) | (before == ord("\n")) | (before == ord("\r"))
    follows = opening >= len(separator)
    for back, character in enumerate(reversed(separator), 1):
        follows &= text[opening - back] == character
    # The second of two quotes: together they are one within a cell that goes on.
    doubled = (opening > 0) & (before == quote[0])
    doubled[:1] = False
    if not (at_start | follows | doubled).all():
        return None
    closing = places[1::2] + 1
    if len(closing) < len(opening):
        closing = np.append(closing, _OPEN)
    apart = opening[1:] != closing[:-1]
    return Quoted(opening[np.append(True, apart)], closing[np.append(apart, True)])


def _one_by_one(data: bytes, separator: bytes, quote: bytes) -> Quoted:
    q, s = re.escape(quote), re.escape(separator)
    cell = re.compile(
        rb"(?:\A|(?<=[\r\n])|(?<="
        + s
        + rb"))"
        + q
        + rb"[^"
        + q
        + rb"]*+(?:"
        + q * 2
        + rb"[^"
        + q
        + rb"]*+)*+("
        + q
        + rb"|\Z)"
    )
    found = [(match.start(), match.end() if match[1] else _OPEN) for match in cell.finditer(data)]
    starts, ends = zip(*found, strict=True) if found else ((), ())
    return Quoted(np.array(starts, np.int64), np.array(ends, np.int64))
