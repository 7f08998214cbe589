"""Wrong options are refused by their name on the command line, with what is expected."""

from __future__ import annotations

from typing import Any

import pytest

from dagfm.data.simulate import Options
from dagfm.errors import InputError


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rows": 1}, "--rows: 1, expected 10 to"),
        ({"rows": 9}, "so that train, valid and test each hold a row"),
        ({"fields": 0}, "--fields: 0, expected 1 to 1,000"),
        ({"floats": 11}, r"--floats: 11, expected 0 to 10 \(at most all of --fields\)"),
        ({"ids": 19}, r"--ids: 19, expected 20 to 4,294,967,296 \(at least 2 for each of 10 id fields\)"),
        ({"ids": 1 << 33}, "--ids: 8,589,934,592, expected"),
        ({"order": 5}, "--order: 5 is not an order; valid: 1, 2, 3, 4"),
        ({"order": 0}, "--order: 0 is not an order; valid: 1, 2, 3, 4"),
        ({"fields": 2}, "--order: interactions of 3 fields, but --fields is 2; expected at most 2"),
        ({"zipf": -0.1}, "--zipf: -0.1, expected 0 to 5"),
        ({"signal": float("nan")}, "--signal: nan, expected 0 to 5"),
        ({"noise": float("inf")}, "--noise: inf, expected 0 to 5"),
        ({"drift": -1.0}, "--drift: -1.0, expected 0 to 5"),
        ({"click_rate": 0.0}, "--click-rate: 0, expected a share between 0 and 1, neither included"),
        ({"click_rate": float("nan")}, "--click-rate: nan, expected a share"),
        ({"pair_effect": 1.0, "floats": 9}, "--pair-effect: a pair of ids needs two id fields"),
        ({"per_day": 0}, "--per-day: 0, expected 1 to"),
        ({"seed": -1}, "--seed: -1, expected 0 to"),
        ({"shard_rows": 0}, "--shard-rows: 0, expected 1 to"),
        ({"format": "parkett"}, "--format: unknown format 'parkett'; valid: parquet, csv. Did you mean 'parquet'?"),
    ],
)
def test_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}|{message}"):
        Options(**wrong)


def test_numbers_are_a_third_where_there_are_many_fields() -> None:
    assert [Options(fields=fields).numbers for fields in (3, 14, 15, 39)] == [0, 0, 5, 13]
    assert Options(fields=39, floats=0).numbers == 0


def test_ids_do_not_matter_where_all_fields_are_numbers() -> None:
    assert Options(fields=3, floats=3, ids=1).numbers == 3
