import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import fitted

from dagfm.encoding.encoder_file import read_encoder, write_encoder
from dagfm.encoding.frames import to_frame
from dagfm.encoding.rows import Rows
from dagfm.errors import InputError
from dagfm.schema import Field, Schema

SCHEMA = Schema.of(
    (
        Field(name="item/id", side="candidate", min_count=2),
        Field(name="user"),
        Field(name="Größe 🙂", type="float"),
        Field(name="tags", type="token_seq", separator="|", max_length=2, side="candidate"),
        Field(name="place", type="float_seq", size=2, side="candidate"),
    )
)
TRAINING = [
    {"item/id": 7, "user": "u1", "Größe 🙂": 1.0, "tags": "a|b", "place": [0, 1]},
    {"item/id": 7, "user": "u2", "Größe 🙂": 3.0, "tags": "b|c|d", "place": [2, 1]},
    {"item/id": 8, "user": "u1", "Größe 🙂": None, "tags": "", "place": None},
    {"item/id": None, "user": "007", "Größe 🙂": 2.0, "tags": None, "place": [1, 1]},
]
ENCODER = fitted(SCHEMA, to_frame(TRAINING), "clicks.csv")


def same(one: Rows, other: Rows) -> None:
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_array_equal(one.floats, other.floats)
    assert len(one.sequences) == len(other.sequences)
    for mine, theirs in zip(one.sequences, other.sequences, strict=True):
        np.testing.assert_array_equal(mine.offsets, theirs.offsets)
        np.testing.assert_array_equal(mine.values, theirs.values)


def test_training_rows() -> None:
    rows = ENCODER.encode(to_frame(TRAINING))
    assert SCHEMA.names == ("user", "Größe 🙂", "item/id", "tags", "place")
    assert rows.tokens.tolist() == [[2, 2], [4, 2], [2, 0], [3, 1]]  # 007 before u2 by text; 8 is rarer than min_count
    deviation = np.sqrt(2 / 3)
    nan = np.nan
    expected = np.array([[-1, -1, 0], [1, 1, 0], [nan, nan, nan], [0, 0, 0]]) / deviation
    np.testing.assert_allclose(rows.floats, expected, rtol=1e-6)
    assert rows.sequences[0].offsets.tolist() == [0, 2, 4, 5, 6]
    assert rows.sequences[0].values.tolist() == [3, 2, 2, 4, 1, 1]  # d was cut and is unknown
    assert (rows.tokens.dtype, rows.floats.dtype) == (np.int32, np.float32)
    assert rows.tokens.flags.c_contiguous and rows.floats.flags.c_contiguous


def test_rows_of_and_offsets() -> None:
    sizes = [ENCODER.rows_of(name) for name in SCHEMA.names]
    assert sizes == [5, 3, 3, 5, 4]
    assert ENCODER.spans.starts.tolist() == [0, 5, 8, 11, 16]
    assert ENCODER.spans.total == 20
    assert ENCODER.spans.starts.dtype == np.int64


def test_zero_rows_and_one_field() -> None:
    for nothing in (to_frame([]), to_frame(TRAINING).clear()):
        rows = ENCODER.encode(nothing)
        assert (len(rows), rows.tokens.shape, rows.floats.shape) == (0, (0, 2), (0, 3))
        assert rows.sequences[0].offsets.tolist() == [0]
    for field, frame in (
        (Field(name="x"), {"x": ["a"]}),
        (Field(name="x", type="float"), {"x": [1.5]}),
        (Field(name="x", type="token_seq"), {"x": [["a", "b"]]}),
    ):
        alone = fitted(Schema.of((field,)), to_frame(frame), "rows")
        assert len(alone.encode(to_frame(frame))) == 1
        assert len(alone.encode(to_frame({"x": [None]}))) == 1


def test_extra_columns_are_ignored_whatever_they_hold() -> None:
    extra = [{**row, "note": {"deep": [object()]}} for row in TRAINING]
    same(ENCODER.encode(to_frame(extra)), ENCODER.encode(to_frame(TRAINING)))


def test_a_missing_field_is_named() -> None:
    frame = to_frame(TRAINING).rename({"user": "usr"})
    message = r"rows.csv: field 'user' is missing; columns found: item/id, usr, .* Did you mean 'usr'\?"
    with pytest.raises(InputError, match=message):
        ENCODER.encode(frame, "rows.csv")


def test_all_missing_fields_are_named_at_once() -> None:
    frame = to_frame(TRAINING).rename({"user": "usr"}).drop("item/id")
    message = r"field 'user', field 'item/id' are missing; columns found: usr, .* Did you mean 'usr'\?$"
    with pytest.raises(InputError, match=message):
        ENCODER.encode(frame)


def test_text_in_a_float_field_is_named() -> None:
    rows = [TRAINING[0], {**TRAINING[1], "Größe 🙂": "tall"}]
    with pytest.raises(InputError, match=r"rows\.csv: row 2: column 'Größe 🙂' holds 'tall', expected a number"):
        ENCODER.encode(to_frame(rows), "rows.csv")


def test_lists_in_a_token_field_are_refused() -> None:
    with pytest.raises(InputError, match=r"rows: column 'user' holds List"):
        ENCODER.encode(to_frame([{**TRAINING[0], "user": ["u1"]}]))


@pytest.mark.parametrize("wrong", [{"deep": 1}, {"u1"}, frozenset(), [{"deep": 1}]])
@pytest.mark.parametrize("name", ["user", "Größe 🙂", "tags", "place"])
def test_what_is_no_value_is_refused_whatever_stands_beside_it(name: str, wrong: object) -> None:
    for rows in ([{**TRAINING[0], name: wrong}], [TRAINING[0], {**TRAINING[1], name: wrong}]):
        with pytest.raises(InputError, match=f"column '{name}'.* holds "):
            ENCODER.encode(to_frame(rows), "rows")


TOKEN = st.none() | st.text() | st.integers() | st.floats() | st.booleans() | st.sampled_from(["u1", 7, 7.0, "7", ""])
NUMBER = (
    st.none() | st.floats(allow_infinity=False) | st.integers(-(10**20), 10**20) | st.sampled_from(["", "1.5", " 2 "])
)
ROW = st.fixed_dictionaries(
    {
        "item/id": TOKEN,
        "user": TOKEN,
        "Größe 🙂": NUMBER,
        "tags": st.none() | st.lists(TOKEN, max_size=4),
        "place": st.none() | st.lists(NUMBER, min_size=2, max_size=2),
    }
)


@given(st.lists(ROW, min_size=1, max_size=6))
def test_encoding_is_total_and_the_same_alone_as_in_company(rows: list[dict[str, Any]]) -> None:
    together = ENCODER.encode(to_frame(rows))
    for index, row in enumerate(rows):
        same(ENCODER.encode(to_frame([row])), together.take(np.array([index])))
    for column, name in enumerate(("user", "item/id")):
        assert together.tokens[:, column].min(initial=0) >= 0
        assert together.tokens[:, column].max(initial=0) < ENCODER.rows_of(name)
    assert not np.isinf(together.floats).any()


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "item/id": st.none() | st.integers(0, 9),
                "user": st.none() | st.sampled_from(["u1", "u2", "", "007", "7"]),
                "Größe 🙂": st.none() | st.floats(-1e6, 1e6),
                "tags": st.none() | st.lists(st.sampled_from(["a", "b", "z"]), max_size=3),
                "place": st.none() | st.lists(st.floats(-9, 9), min_size=2, max_size=2),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_kind_of_table_encodes_alike(rows: list[dict[str, Any]]) -> None:
    expected = ENCODER.encode(to_frame(rows))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for table in (
        columns,
        pd.DataFrame(rows),
        pl.DataFrame(rows, infer_schema_length=None),
        pa.Table.from_pylist(rows),
    ):
        same(ENCODER.encode(to_frame(table)), expected)


def test_written_and_read_alike(tmp_path: Path) -> None:
    names = write_encoder(ENCODER, tmp_path)
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert set(names) == there == {"encoder.json", *(f"vocabulary/00{index}.parquet" for index in (0, 2, 3))}
    again = read_encoder(tmp_path)
    assert again.schema == ENCODER.schema
    assert again.scales == ENCODER.scales
    same(again.encode(to_frame(TRAINING)), ENCODER.encode(to_frame(TRAINING)))
    assert write_encoder(again, tmp_path / "again") == names
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_damaged_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"encoder\.json: no such file"):
        read_encoder(tmp_path)
    write_encoder(ENCODER, tmp_path)
    path = tmp_path / "encoder.json"
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "format": 99}))
    with pytest.raises(InputError, match=r"encoder\.json: encoder format 99, but this dagfm reads up to 3; upgrade"):
        read_encoder(tmp_path)
    path.write_text(json.dumps({**value, "scales": {}}))
    with pytest.raises(InputError, match=r"encoder\.json: not an encoder .*damaged"):
        read_encoder(tmp_path)
    path.write_text(json.dumps(value))
    (tmp_path / "vocabulary/002.parquet").unlink()
    with pytest.raises(InputError, match=r"002\.parquet: no such file"):
        read_encoder(tmp_path)
