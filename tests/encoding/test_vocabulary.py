from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import build

from dagfm.encoding import vocabulary
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.errors import InputError

TEXTS = pl.Series(["b", "a", None, "b", "c", "a", "d"])


def test_most_frequent_first_equals_by_text() -> None:
    built = build(TEXTS)
    assert built.tokens.to_list() == ["a", "b", "c", "d"]
    assert built.counts.to_list() == [2, 2, 1, 1]
    assert built.rows == 6


def test_rare_tokens_and_those_past_the_size_are_unknown() -> None:
    assert build(TEXTS, min_count=2).tokens.to_list() == ["a", "b"]
    assert build(TEXTS, max_size=3).tokens.to_list() == ["a", "b", "c"]
    empty = build(TEXTS, min_count=9)
    assert empty.rows == 2
    assert empty.encode(TEXTS).tolist() == [0, 0, 1, 0, 0, 0, 0]


def test_unknown_missing_known() -> None:
    ids = build(TEXTS).encode(pl.Series(["a", "never seen", None, "d"]))
    assert ids.dtype == np.int32
    assert ids.tolist() == [2, 0, 1, 5]


@given(st.lists(st.none() | st.text(max_size=3)), st.lists(st.none() | st.text(max_size=3)))
def test_the_join_and_the_dict_agree(training: list[str | None], cells: list[str | None]) -> None:
    built = build(pl.Series(training, dtype=pl.String))
    texts = pl.Series(cells, dtype=pl.String)
    by_dict = built.encode(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "FEW", -1)
        by_join = built.encode(texts)
    assert by_dict.dtype == by_join.dtype
    np.testing.assert_array_equal(by_dict, by_join)


@given(st.lists(st.text(min_size=1, max_size=3), min_size=1))
def test_known_ids_come_back(training: list[str]) -> None:
    built = build(pl.Series(training))
    texts = pl.Series(training)
    assert built.decode(built.encode(texts)).to_list() == training


def test_unknown_and_missing_decode_to_null_and_other_ids_are_refused() -> None:
    built = build(TEXTS)
    assert built.decode(np.array([0, 1, 2])).to_list() == [None, None, "a"]
    with pytest.raises(IndexError, match="row ids run from 0 to 5, got 2 to 6"):
        built.decode(np.array([2, 6]))


def test_written_and_read_alike(tmp_path: Path) -> None:
    built = build(pl.Series(["é", "\n", " ", "x/y", "x/y"]))
    built.write(tmp_path / "v.parquet")
    again = Vocabulary.read(tmp_path / "v.parquet")
    assert again.tokens.equals(built.tokens) and again.counts.equals(built.counts)
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    with pytest.raises(InputError, match=r"v\.parquet: no such file"):
        Vocabulary.read(path)
    pl.DataFrame({"other": [1]}).write_parquet(path)
    with pytest.raises(InputError, match=r"v\.parquet: not a vocabulary: expected the columns token and count"):
        Vocabulary.read(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"(?s)v\.parquet: not a vocabulary .*damaged"):
        Vocabulary.read(path)
