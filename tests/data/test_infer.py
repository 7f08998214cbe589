"""What is inferred from a click log: the label and its rule, types, leaks, what is left out."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dagfm.data.infer import Column, LeftOut, Proposal, infer, sample
from dagfm.data.infer.names import words
from dagfm.data.infer.sides import suggested_side
from dagfm.data.infer.text import numbers_in_text, recurring_separator
from dagfm.errors import InputError

ROWS = 2000
RANDOM = np.random.default_rng(0)
CLICK = RANDOM.integers(0, 2, ROWS)


def _infer(folder: Path, label: str | None = "click", **columns: object) -> Proposal:
    path = folder / "log.parquet"
    pl.DataFrame({"click": CLICK, "hint": RANDOM.integers(0, 9, ROWS), **columns}).write_parquet(path)
    return infer(str(path), label)


def _one(folder: Path, values: object, name: str = "x") -> Column | LeftOut:
    proposal = _infer(folder, **{name: values})
    return next(column for column in (*proposal.columns, *proposal.left_out) if column.name == name)


def _csv(folder: Path, name: str, cells: list[str]) -> Column | LeftOut:
    path = folder / "log.csv"
    lines = [f"{index % 2},{index % 7},{cell}" for index, cell in enumerate(cells)]
    path.write_text("\n".join([f"click,hint,{name}", *lines]) + "\n")
    proposal = infer(str(path))
    return next(column for column in (*proposal.columns, *proposal.left_out) if column.name == name)


def _some(values: list[object], rows: int = ROWS) -> list[object]:
    return [values[index] for index in RANDOM.integers(0, len(values), rows)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (_some([1, 2, 3]), ("token", "3 distinct whole numbers")),
        (RANDOM.integers(0, 1500, ROWS), ("token", "taken for ids")),
        (RANDOM.normal(size=ROWS), ("float", "numbers from")),
        (_some([1.0, 2.0, None]), ("token", "whole numbers stored as float")),
        (_some(["red", "green"]), ("token", "text; 2 distinct")),
        (_some([True, False]), ("token", "true or false")),
        (_some(["007", "12", "8"]), ("token", "leading zeros")),
        (_some(["a|b", "b|c|d", "c|a", "d", "d|a"]), ("token_seq", "'|' separates 4")),
        (_some(["1 2", "2 3 1", "3 1", "2 1"]), ("token_seq", "a space separates 3")),
        (_some(["New York", "San Jose", "Los Angeles"]), ("token", "text")),
        (_some([["a", "b"], ["c"]]), ("token_seq", "lists")),
        (_some([[0.5, 1.5], [1.0, 2.5]]), ("float_seq", "lists of 2 numbers")),
    ],
)
def test_types(tmp_path: Path, values: object, expected: tuple[str, str]) -> None:
    column = _one(tmp_path, values)
    assert isinstance(column, Column)
    assert column.type == expected[0]
    assert expected[1] in column.why


def test_an_amount_with_many_values_is_a_number(tmp_path: Path) -> None:
    column = _one(tmp_path, RANDOM.integers(0, 5000, ROWS), name="item_price")
    assert isinstance(column, Column)
    assert column.type == "float"


def test_the_length_of_sequences_leaves_the_longest_rows_out(tmp_path: Path) -> None:
    lengths = [2] * 1940 + [50] * 60
    column = _one(tmp_path, [[str(n) for n in range(length)] for length in RANDOM.permutation(lengths)])
    assert isinstance(column, Column)
    assert column.max_length == 2


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["same"] * ROWS, "constant: 'same'"),
        ([None] * ROWS, "empty in every row"),
        (list(range(ROWS)), "different in every row"),
        ([f"request-{index}" for index in range(ROWS)], "different in every row"),
        ([datetime(2024, 1, 1) + timedelta(hours=index % 90) for index in range(ROWS)], "point in time"),
        (_some(["2024-01-01 10:00", "2024-02-01 11:30"]), "point in time"),
        (CLICK * 2 + RANDOM.integers(0, 2, ROWS), "almost perfectly"),
        ([0.7 + value / 9 if value else None for value in CLICK], "only where the label is positive"),
        (np.where(CLICK == 1, RANDOM.integers(0, 2, ROWS), 0), "only where the label is positive"),
        (CLICK + RANDOM.normal(size=ROWS) / 9, "almost perfectly"),
        (_some([[0.5, 1.5], [1.0]]), "different lengths"),
        (_some([{"a": 1}, {"a": 2}]), "no field type reads"),
    ],
)
def test_what_is_left_out(tmp_path: Path, values: object, reason: str) -> None:
    column = _one(tmp_path, values)
    assert isinstance(column, LeftOut)
    assert reason in column.why


def test_numbers_are_a_time_only_where_the_name_says_so(tmp_path: Path) -> None:
    seconds = RANDOM.integers(1_700_000_000, 1_700_000_500, ROWS)
    assert isinstance(_one(tmp_path, seconds, name="created_at"), LeftOut)
    assert isinstance(_one(tmp_path, seconds, name="shop"), Column)


def test_a_good_field_is_no_leak(tmp_path: Path) -> None:
    users = RANDOM.integers(0, 100, ROWS)
    column = _one(tmp_path, np.where(RANDOM.random(ROWS) < 0.2, users, CLICK * 100 + users))
    assert isinstance(column, Column)


def test_another_outcome_is_left_out(tmp_path: Path) -> None:
    assert isinstance(_one(tmp_path, _some([0, 1]), name="conversion"), LeftOut)


def test_text_cells_of_a_csv_are_typed_from_all_rows(tmp_path: Path) -> None:
    late = _csv(tmp_path, "code", ["12"] * 300 + ["x12"])
    zeros = _csv(tmp_path, "zip", ["01234", "56789"] * 100)
    number = _csv(tmp_path, "ratio", [f"{index / 7:.3f}" for index in range(300)])
    assert [one.type for one in (late, zeros, number) if isinstance(one, Column)] == ["token", "token", "float"]


def test_a_number_too_long_for_an_integer_is_an_id() -> None:
    assert numbers_in_text(pl.Series(["9" * 30, "1"])).dtype == pl.String


def test_a_title_is_not_a_sequence() -> None:
    assert recurring_separator(pl.Series(["Toy Story", "Golden Eye", "Four Rooms"])) is None


@pytest.mark.parametrize(
    ("values", "start", "neutral"),
    [
        ([0, 1], None, None),
        ([False, True], None, None),
        (["false", "true"], None, None),
        (["0", "1"], None, None),
        ([0.0, 1.0, None], None, None),
        ([-1, 1], 1.0, None),
        ([1, 2, 3, 4, 5], 4.0, 3.0),
        ([0.5, 2.5, 4.5], 4.0, None),
        ([0, 10, 20, 30], 20.0, None),
        ([0, 0, 0, 7, 9], 7.0, None),
    ],
)
def test_the_labels_rule(tmp_path: Path, values: list[object], start: float | None, neutral: float | None) -> None:
    label = _infer(tmp_path, "y", y=(values * ROWS)[:ROWS]).label
    assert (label.column, label.positive_from, label.neutral) == ("y", start, neutral)
    assert "clicks" in " ".join(label.why)


def test_missing_labels_are_told(tmp_path: Path) -> None:
    label = _infer(tmp_path, "y", y=[0, 1, None, 1] * 500).label
    assert label.why[-1] == "500 of 2,000 rows have no label, which 'dagfm fit' refuses"


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"Click": [0, 1], "a": [1, 2]}, "Click"),
        ({"rating": [2, 5], "target": [1, 0], "a": [1, 2]}, "target"),
        ({"rating": [2, 4, 5], "label": ["a", "b", "c"], "a": [1, 2, 1]}, "rating"),
    ],
)
def test_a_label_is_guessed_by_name_and_values(tmp_path: Path, columns: dict[str, list[object]], found: str) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame(columns).write_parquet(path)
    assert infer(str(path)).label.column == found


@pytest.mark.parametrize(
    ("label", "columns", "message"),
    [
        (None, {"bought": [0, 1], "a": [1, 2]}, "pass --label. Columns: bought, a"),
        (None, {"rating": [10, 50, 90], "a": [1, 2, 3]}, "pass --label"),
        ("clik", {"click": [0, 1], "a": [1, 2]}, "no column 'clik' for the label. Did you mean 'click'?"),
        ("click", {"click": ["yes", "no"], "a": [1, 2]}, "expected 0 and 1, false and true, or numbers"),
        ("click", {"click": [1, 1], "a": [1, 2]}, "only the value 1"),
        ("click", {"click": [None, None], "a": [1, 2]}, "expected"),
        ("click", {"click": [0, 1]}, "no column left"),
        ("click", {"click": [0, 1], "a": [3, 3]}, "'a' is constant"),
    ],
)
def test_refused(tmp_path: Path, label: str | None, columns: dict[str, list[object]], message: str) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame(columns).write_parquet(path)
    with pytest.raises(InputError) as refused:
        infer(str(path), label)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


def test_a_big_parquet_file_is_sampled_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MAX_ROWS", 320)
    proposal = _infer(tmp_path, late=[None] * (ROWS - 8) + ["a", "b"] * 4)
    assert (proposal.rows, proposal.whole) == (320, False)
    assert "late" in [column.name for column in proposal.columns]


def test_a_big_text_file_is_read_from_its_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MAX_ROWS", 100)
    path = tmp_path / "log.csv"
    path.write_text("click,a\n" + "".join(f"{index % 2},{index % 3}\n" for index in range(500)))
    proposal = infer(str(path))
    assert (proposal.rows, proposal.whole) == (100, False)


def test_recbole_files_bring_their_types_and_tables(tmp_path: Path) -> None:
    (tmp_path / "m.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t7\t5\t881250949\n2\t8\t1\t881250950\n1\t8\t3\t881250951\n"
    )
    (tmp_path / "m.user").write_text("user_id:token\tage:float\n1\t20.5\n2\t31\n")
    (tmp_path / "m.item").write_text("item_id:token\tclass:token_seq\n7\tDrama War\n8\tComedy\n")
    proposal = infer(str(tmp_path / "m.inter"))
    types = {column.name: column.type for column in proposal.columns}
    assert types == {"user_id": "token", "item_id": "token", "age": "float", "class": "token_seq"}
    assert proposal.tables == {"user_id": str(tmp_path / "m.user"), "item_id": str(tmp_path / "m.item")}
    assert proposal.label.positive_from == 4
    assert [column.name for column in proposal.left_out] == ["timestamp"]
    (sequence,) = (column for column in proposal.columns if column.name == "class")
    assert (sequence.separator, sequence.max_length) == (" ", 2)


def test_words_of_names() -> None:
    assert words("userId") == words("user_id") == words("USER-ID") == ["user", "id"]


@pytest.mark.parametrize(
    ("name", "side"),
    [("user_id", "context"), ("deviceModel", "context"), ("ad_id", "candidate"), ("genres", "candidate"), ("x1", None)],
)
def test_sides_are_suggested_by_words(name: str, side: str | None) -> None:
    suggested = suggested_side(name)
    assert (suggested[0] if suggested else None) == side


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        (_some([12.0, 7.0, None]), ["ids as floats, such as"]),
        (_some([2.0**60, 5.0]), ["ids as floats", "beyond 2^53"]),
        (_some([0.5, 1.5]), []),
        (_some([f"{n:05d}" for n in range(40)]), ["leading zeros, such as"]),
        (_some([str(2**63 - 1 + n) for n in range(1, 5)]), ["beyond 2^63"]),
        (_some([str(2**63 - 1), "7"]), []),
        (pl.Series(RANDOM.integers(0, 9, ROWS).astype(np.uint64) + np.uint64(2**63)), ["beyond 2^63"]),
        (RANDOM.integers(0, 1500, ROWS), []),
        (_some(["red", "green"]), []),
    ],
)
def test_ids_that_are_odd_are_warned_of(tmp_path: Path, values: object, warned: list[str]) -> None:
    column = _one(tmp_path, values)
    assert isinstance(column, Column)
    assert len(column.warnings) == len(warned)
    assert all(part in line for part, line in zip(warned, column.warnings, strict=True))


@pytest.mark.parametrize(
    ("cells", "time_format", "parts"),
    [
        (
            [datetime(2024, 5, 1) + timedelta(hours=n % 90) for n in range(ROWS)],
            None,
            ["hour", "weekday", "is_weekend"],
        ),
        ([f"2024-05-{1 + n % 28:02d}" for n in range(ROWS)], None, ["weekday", "is_weekend"]),
        ([f"2024/5/{1 + n % 28} 07:{n % 60:02d}" for n in range(ROWS)], "%Y/%m/%d %H:%M", ["weekday", "is_weekend"]),
        ([1_700_000_000_000 + n for n in range(ROWS)], None, []),
    ],
)
def test_points_in_time_become_their_parts(
    tmp_path: Path, cells: list[object], time_format: str | None, parts: list[str]
) -> None:
    proposal = _infer(tmp_path, created_at=cells)
    found = [column for column in proposal.columns if column.column == "created_at"]
    assert [(column.name, column.encode, column.time_format) for column in found] == [
        (part, part, time_format) for part in parts
    ]
    assert proposal.time is not None and proposal.time.column == "created_at"
    assert proposal.time.time_format == time_format
    assert "point in time" in next(one.why for one in proposal.left_out if one.name == "created_at")


def test_a_part_has_another_name_where_a_column_is_called_so(tmp_path: Path) -> None:
    stamps = [datetime(2024, 5, 1) + timedelta(hours=n % 90) for n in range(ROWS)]
    proposal = _infer(tmp_path, hour=_some(["early", "late"]), seen_at=stamps, left_at=stamps)
    names = [column.name for column in proposal.columns]
    left = ["left_at_hour", "left_at_weekday", "left_at_is_weekend"]
    assert names == ["hint", "hour", "seen_at_hour", "weekday", "is_weekend", *left]
    assert proposal.time is not None and proposal.time.column == "seen_at"


def test_a_time_in_a_format_of_its_own_is_left_out(tmp_path: Path) -> None:
    column = _one(tmp_path, [f"2024-05-{1 + n % 28:02d} 10:00 h" for n in range(ROWS)])
    assert isinstance(column, LeftOut) and "give hour, weekday and is_weekend a time_format" in column.why
