"""Ids that are not what they were: written as floats, with leading zeros, beyond what 64 bits hold."""

from __future__ import annotations

from typing import Any

import polars as pl

from dagfm.data.infer.ids import FLOAT, MOSTLY, NUMBER

ZEROS = r"^[+-]?0\d+$"
DIGITS = r"^\+?\d{19,}$"
LARGEST = 2**63 - 1
KINDS = ("float_ids", "leading_zeros", "beyond_int64")


class Spelling:
    """Counts distinct texts of each odd kind, and keeps an example."""

    def __init__(self) -> None:
        self.seen = 0
        """Distinct texts looked at: all, or a sample where they are very many."""
        self._numbers = 0
        self._counts = dict.fromkeys(KINDS, 0)
        self._examples: dict[str, str] = {}

    def add(self, texts: pl.Series) -> None:
        """Look at distinct texts, none of them null."""
        self.seen += len(texts)
        # One pass tells the few that are worth a second look from the many that are not.
        digits = texts.filter(texts.str.contains(r"^[+-]?\d[\d.eE+]*$"))
        if digits.is_empty():
            return
        self._numbers += int(digits.str.contains(NUMBER).sum())
        long = digits.filter(digits.str.contains(DIGITS))
        beyond = [text for text in long.to_list() if int(text) > LARGEST]
        for kind, found in (
            ("float_ids", digits.filter(digits.str.contains(FLOAT)).to_list()),
            ("leading_zeros", digits.filter(digits.str.contains(ZEROS)).to_list()),
            ("beyond_int64", beyond),
        ):
            self._counts[kind] += len(found)
            if found:
                self._examples.setdefault(kind, found[0])

    def described(self) -> dict[str, dict[str, Any]]:
        """By kind: how many of the texts looked at, and one of them; nothing where most are no numbers, as 47498e51 is
        among hexadecimal hashes."""
        if self._numbers < MOSTLY * self.seen:
            return {}
        return {
            kind: {"values": count, "of": self.seen, "example": self._examples[kind]}
            for kind, count in self._counts.items()
            if count
        }
