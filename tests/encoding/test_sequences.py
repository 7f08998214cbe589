from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import build

from dagfm.encoding.sequences import items_of, ragged
from dagfm.errors import InputError
from dagfm.schema import Field


def field(**settings: Any) -> Field:
    return Field(name="tags", type="token_seq", **settings)


def items(cells: Any, **settings: Any) -> list[list[str]]:
    found = items_of(pl.Series("tags", cells), field(**settings), "rows")
    ends = np.cumsum(found.lengths)
    return [found.texts[int(end - size) : int(end)].to_list() for end, size in zip(ends, found.lengths, strict=True)]


def test_text_is_cut_stripped_and_emptied() -> None:
    cells = ["a|b", " a | b c ||", "", None, "|", "a"]
    assert items(cells, separator="|") == [["a", "b"], ["a", "b c"], [], [], [], ["a"]]


def test_lists_come_as_they_are() -> None:
    assert items([["a", " b", "", None], [], None]) == [["a", " b"], [], []]
    assert items([[1, 2], [3]]) == [["1", "2"], ["3"]]
    assert items(pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2))) == [["1", "2"], ["3", "4"]]
    assert items([[], []]) == [[], []]


def test_long_ones_keep_an_end() -> None:
    cells = ["a|b|c", "", "d", "e|f"]
    assert items(cells, separator="|", max_length=2) == [["a", "b"], [], ["d"], ["e", "f"]]
    assert items(cells, separator="|", max_length=2, keep="last") == [["b", "c"], [], ["d"], ["e", "f"]]


def test_a_number_is_a_sequence_of_one_where_text_is_cut() -> None:
    assert items([5, None], separator=",") == [["5"], []]


def test_text_without_a_separator_is_refused() -> None:
    with pytest.raises(InputError, match=r"rows: field 'tags' holds single values such as 'a b'.*'separator'"):
        items([None, "a b"])
    assert items([None, ""]) == [[], []]


def test_an_empty_sequence_is_missing() -> None:
    known = build(pl.Series(["a", "b", "a"]))
    found = items_of(pl.Series("tags", ["b|x", "", "a"]), field(separator="|"), "rows")
    sequences = ragged(found.lengths, known.encode(found.texts))
    assert sequences.offsets.tolist() == [0, 2, 3, 4]
    assert sequences.values.tolist() == [3, 0, 1, 2]
    assert sequences.values.dtype == np.int32
    none = ragged(np.zeros(0, np.int64), np.zeros(0, np.int32))
    assert none.offsets.tolist() == [0] and none.values.tolist() == []


CELLS = st.lists(st.none() | st.lists(st.none() | st.text(max_size=2), max_size=5), max_size=6)


@given(CELLS, st.integers(1, 4), st.sampled_from(["first", "last"]))
def test_as_written_out_in_python(cells: list[list[str | None] | None], most: int, keep: str) -> None:
    series = pl.Series("tags", cells, dtype=pl.List(pl.String))
    expected = [[item for item in cell or [] if item] for cell in cells]
    expected = [cell[:most] if keep == "first" else cell[-most:] for cell in expected]
    assert items(series, max_length=most, keep=keep) == expected
