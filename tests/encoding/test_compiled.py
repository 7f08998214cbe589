"""The kernel's encoder against the plain one: for every kind of field, every kind of column and any cell."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import build

from dagfm.encoding.beta import Beta
from dagfm.encoding.bins import Bins
from dagfm.encoding.compiled import CompiledEncoder, index_of
from dagfm.encoding.crosses import Crosses, HashedCrosses, cross_keys
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.frames import to_frame
from dagfm.encoding.rows import Rows
from dagfm.encoding.scale import Scale
from dagfm.encoding.statistics import Grid, Statistics
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.errors import InputError
from dagfm.kernel.library import versions
from dagfm.schema import Field, Schema

pytestmark = pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")

TOKENS = ["a", "b", "5", "-3", "true", "false", "0.5", "ü", "long enough for two registers", "x" * 300, "0", "1", "2"]

FIELDS = (
    Field(name="token"),
    Field(name="hashed", hash=7),
    Field(name="twin", column="token", hash=1000),
    Field(name="cut", type="token_seq", separator="|", max_length=2),
    Field(name="tail", type="token_seq", separator=", ", max_length=3, keep="last", column="cut"),
    Field(name="history", type="token_seq", vocabulary="token"),
    Field(name="marks", type="token_seq", hash=50),
    Field(name="amount", type="float"),
    Field(name="binned", type="float", encode="quantile", column="amount"),
    Field(name="logged", type="float", encode="log_squared", column="amount"),
    Field(name="place", type="float_seq", size=2),
    Field(name="hour", encode="hour"),
    Field(name="pair", cross=("token", "binned")),
    Field(name="hashed pair", cross=("token", "hashed"), hash=11),
    Field(name="rate", encode="target", column="token"),
    Field(name="cell", encode="target", bins=4, column="token"),
    Field(name="pair's rate", encode="target", cross=("token", "hashed")),
)

ORDINARY_DECIMALS = st.decimals(allow_infinity=False).filter(lambda value: not value.is_snan())
"""pandas itself raises where it meets a signalling NaN."""


def encoder_of(names: set[str]) -> Encoder:
    """Of the fields of these names, and what they are made of, as if training rows had taught it."""
    by_name = {one.name: one for one in FIELDS}
    wanted = names | {other for name in names for other in by_name[name].made_of}
    schema = Schema(fields=tuple(one for one in FIELDS if one.name in wanted))
    vocabulary = build(pl.Series(TOKENS))
    encoder = Encoder(
        schema,
        {one.name: vocabulary for one in schema if one.has_vocabulary},
        {one.name: Scale((0.3,) * one.width, (1.7,) * one.width) for one in schema if one.form == "numbers"},
        {one.name: Bins((-1.0, 0.0, 0.5, 3.0)) for one in schema if one.encode == "quantile"},
    )
    crosses: dict[str, Any] = {}
    for one in schema:
        if one.cross is not None and one.hash is None:
            sizes = [encoder.source_rows(schema.named(member)) for member in one.cross]
            ids = np.array([(first, second) for first in range(sizes[0]) for second in range(sizes[1])][::2])
            keys = np.unique(cross_keys([ids[:, 0], ids[:, 1]], sizes))
            crosses[one.name] = Crosses(keys[keys >= 0], np.ones((keys >= 0).sum(), np.int64))
        elif one.cross is not None:
            crosses[one.name] = HashedCrosses(one.hash or 0)
    encoder = Encoder(schema, encoder.vocabularies, encoder.scales, encoder.bins, crosses)
    statistics = {}
    for one in schema:
        if one.is_target:
            rows = np.arange(encoder.source_rows(one), dtype=np.float64)
            form = Scale((0.1, 0.2), (1.0, 2.0)) if one.bins is None else Grid(one.bins, 3)
            statistics[one.name] = Statistics(rows / 3, rows, Beta(1.0, 2.0), form)
    return Encoder(schema, encoder.vocabularies, encoder.scales, encoder.bins, crosses, statistics)


def same(found: Rows, expected: Rows) -> None:
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    assert found.tokens.dtype == np.int32
    np.testing.assert_array_equal(found.floats, expected.floats)
    assert found.floats.dtype == np.float32
    assert len(found.sequences) == len(expected.sequences)
    for mine, theirs in zip(found.sequences, expected.sequences, strict=True):
        np.testing.assert_array_equal(mine.offsets, theirs.offsets)
        np.testing.assert_array_equal(mine.values, theirs.values)


def coded(frame: pl.DataFrame) -> Any:
    """The table as Parquet gives it, texts in dictionaries; as it is where it has no columns."""
    if not frame.width:
        return frame
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    for index, field in enumerate(table.schema):
        if pa.types.is_large_string(field.type):
            table = table.set_column(index, field.name, table.column(index).dictionary_encode())
    return table


def check(encoder: Encoder, rows: Any) -> None:
    """Tables, with dictionaries and without, dicts and columns, with the plain encoder's result or its error."""
    compiled = CompiledEncoder(encoder, {})
    if isinstance(rows, list):  # as a table, a column of no field may be refused
        rows = [{name: row[name] for name in encoder.schema.columns} for row in rows]
    ways = [lambda: compiled.encode(to_frame(rows)), lambda: compiled.encode(coded(to_frame(rows)))]
    if isinstance(rows, list):
        ways += [
            lambda form=form: compiled.encode_dicts(form) or compiled.encode(to_frame(form))
            for form in (rows, {name: [row[name] for row in rows] for name in encoder.schema.columns})
        ]
    try:
        expected = encoder.encode(to_frame(rows))
    except InputError as error:
        for way in ways:
            with pytest.raises(InputError) as raised:
                way()
            assert str(raised.value) == str(error)
        return
    for way in ways:
        same(way(), expected)


def any_text() -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(TOKENS), st.text(max_size=20), st.sampled_from(["", " ", "a|b", "\0", "\u2003a\xa0"])
    )


def any_cell() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.none(), any_text(), st.integers(-5, 5), st.integers(), st.booleans(), st.floats(), st.floats(-5, 5),
        st.sampled_from([5.0, -3.0, 2.0**53, 2.0**53 - 1, 1e16, -0.0, math.nan]),
        st.sampled_from([np.int64(5), np.float64(0.5), np.float32(0.1), np.bool_(True), np.str_("a")]),
        st.dates(), ORDINARY_DECIMALS, st.binary(max_size=4),
    )  # fmt: skip


def any_list() -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.lists(any_cell(), max_size=6), st.tuples(any_text(), any_text()))


CELLS: dict[str, st.SearchStrategy[Any]] = {
    "token": any_cell(),
    "hashed": any_cell(),
    "cut": st.one_of(
        any_text(), st.lists(any_text(), max_size=6).map("|".join), st.lists(any_text(), max_size=6).map(", ".join),
        st.none(), any_list(), any_cell(),
    ),
    "history": st.one_of(any_list(), any_list(), any_cell()),
    "marks": any_list(),
    "amount": st.one_of(st.none(), st.floats(-5, 5), st.floats(), st.integers(-5, 5), st.integers(), any_cell()),
    "place": st.one_of(st.none(), st.just([]), st.tuples(st.floats(-5, 5), st.floats(-5, 5))),
    "hour": st.one_of(st.none(), st.datetimes(), st.sampled_from(["2026-11-28 03:14:15", "2026-11-28"])),
}  # fmt: skip

ROWS = st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=5)
"""Rows whose columns may hold anything: mostly the errors agree."""

CLEAN = st.lists(
    st.fixed_dictionaries(
        {
            "token": any_cell(),
            "hashed": st.one_of(any_text(), st.integers(), st.none()),
            "cut": any_text(),
            "history": any_list(),
            "marks": st.lists(any_text(), max_size=6),
            "amount": st.one_of(st.none(), st.floats(-9, 9), st.integers(-9, 9)),
            "place": CELLS["place"],
            "hour": st.one_of(st.none(), st.datetimes()),
        }
    ),
    min_size=1,
    max_size=12,
)
NAMES = st.sets(st.sampled_from([one.name for one in FIELDS]), min_size=1)


@settings(max_examples=150)
@given(names=NAMES, rows=ROWS)
def test_whatever_rows_hold_the_kernel_encodes_or_refuses_it_alike(names: set[str], rows: list[dict[str, Any]]) -> None:
    check(encoder_of(names), rows)


@settings(max_examples=150)
@given(names=NAMES, rows=CLEAN)
def test_rows_that_can_be_encoded_are_encoded_alike(names: set[str], rows: list[dict[str, Any]]) -> None:
    check(encoder_of(names), rows)


@settings(max_examples=100)
@given(cell=any_cell())
@example(cell="\0")
@example(cell=2**63)
@example(cell=-(2**63))
@example(cell="\ud800")
@example(cell="x" * 300)
def test_any_one_cell(cell: Any) -> None:
    for name in ("token", "hashed"):
        check(encoder_of({name}), [{name: cell}])
        check(encoder_of({name}), [{name: "a"}, {name: cell}, {name: None}])


TYPES = [
    pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64,
    pl.Boolean, pl.String, pl.Null, pl.Categorical, pl.Date, pl.Datetime("ms"), pl.Decimal(10, 2), pl.Binary,
]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_columns_of_every_type_sliced_and_in_chunks(kind: Any) -> None:
    values: list[Any] = [None, 0, 1, 5, 100, 2, None, 1]
    if kind == pl.Null:
        values = [None] * 8
    series = pl.Series("token", values)
    if kind in (pl.String, pl.Categorical, pl.Binary):
        series = series.cast(pl.String)
    series = series.cast(kind)
    whole = pl.DataFrame({"token": series, "amount": pl.Series([None, 0, 1, 2, 3, 4, 5, math.nan], strict=False)})
    for frame in (whole, whole[3:], whole[1:2], whole[:0], pl.concat([whole, whole[2:5]], rechunk=False)):
        check(encoder_of({"token", "twin", "amount", "binned"}), frame)
        lists = frame.select(pl.col("token").map_batches(lambda column: column.reshape((-1, 1)).arr.to_list()))
        check(encoder_of({"marks"}), lists.rename({"token": "marks"}))
        if kind != pl.Null and frame.height:
            amounts = frame.select(pl.col("token").alias("amount"))
            check(encoder_of({"amount", "binned"}), amounts)


def test_dictionaries_of_other_texts_in_every_chunk() -> None:
    """Shorter and longer than their chunk, sliced, with codes of every width, nulls among the texts, and what no row
    holds."""
    encoder = encoder_of({"token", "hashed", "cut", "tail", "hashed pair"})
    draw = np.random.default_rng(0)
    cells = ["a", "b|a", "", None, "5", " a | | 2", "never seen", "long enough for two registers", "b, 5, 1, a"]
    chunks, plain = [], []
    for count, index in ((1, pa.int8()), (40, pa.uint8()), (3, pa.int32()), (0, pa.int64()), (25, pa.uint16())):
        codes = [None if code == len(cells) else code for code in draw.integers(0, len(cells) + 1, count + 2).tolist()]
        column = pa.DictionaryArray.from_arrays(pa.array(codes, index), pa.array(cells)).slice(2)
        chunks.append(pa.table(dict.fromkeys(("token", "hashed", "cut"), column)))
        plain += [None if code is None else cells[code] for code in codes[2:]]
    expected = encoder.encode(
        pl.DataFrame(dict.fromkeys(("token", "hashed", "cut"), pl.Series(plain, dtype=pl.String)))
    )
    compiled, whole = CompiledEncoder(encoder, {}), []
    for table in chunks:
        same(compiled.encode(table), encoder.encode(to_frame(table)))
        whole.append(table.cast(chunks[2].schema))
    same(compiled.encode(pa.concat_tables(whole)), expected)


def test_edges_of_numbers() -> None:
    odd = [-1.0, -0.0, 0.0, 0.5, 3.0, 1e30, -1e30, 1e308, math.nan, 2.0**63, 2.0**53 + 2, 0.1]
    encoder = encoder_of({"token", "amount", "binned"})
    for kind in (pl.Float64, pl.Float32):
        series = pl.Series(odd).cast(kind)
        series = series.set(series.is_infinite(), 7.0)
        check(encoder, pl.DataFrame({"token": series, "amount": series}))
    check(encoder, pl.DataFrame({"token": ["a"], "amount": [math.inf]}))
    large = pl.Series([2**64 - 1, 2**63, 5], dtype=pl.UInt64)
    check(encoder, pl.DataFrame({"token": large, "amount": large}))


def test_spaces_of_every_script_are_cut_off() -> None:
    spaces = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000 and chr(code).isspace()]
    others = ["\x1c", "\x1f", "\u200b", "\ufeff", "\u180e", "\x85x", "é"]
    cells = [f"{space}a{space}|{space}|b{space * 2}" for space in [*spaces, *others]]
    check(encoder_of({"cut", "tail"}), pl.DataFrame({"cut": cells}))
    check(encoder_of({"cut", "tail"}), [{"cut": cell} for cell in cells if "\0" not in cell])


def test_columns_of_the_present_way_stand_beside_the_kernels() -> None:
    """A field that is refused by the kernel does not spoil the others of its rows."""
    frame = pl.DataFrame({"token": [0.5, 5.0, None], "hashed": ["a", "b", None], "amount": ["1", "0.25", ""]})
    check(encoder_of({"token", "hashed", "amount", "binned", "hashed pair", "cell"}), frame)


def test_a_list_of_many_dicts() -> None:
    rows = [
        {"token": TOKENS[i % 11], "cut": "a|b|ü"[: i % 6], "amount": i / 7, "history": ["a"] * (i % 3)}
        for i in range(700)
    ]
    check(encoder_of({"token", "cut", "amount", "history", "rate"}), rows)


class Row(dict[str, Any]):
    """A dict of a caller's own."""


class Computed(Mapping[str, Any]):
    """No dict at all."""

    def __init__(self, cells: dict[str, Any], first: Any = None) -> None:
        self.cells, self.first = cells, first or (lambda: None)

    def __getitem__(self, key: str) -> Any:
        self.first()
        return self.cells[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)


class Text(str):
    """A text of a caller's own."""

    __slots__ = ()


@settings(max_examples=60)
@given(names=NAMES, rows=CLEAN, kinds=st.lists(st.sampled_from([dict, Row, OrderedDict, Computed]), min_size=12))
def test_rows_may_be_any_mappings(names: set[str], rows: list[dict[str, Any]], kinds: list[Any]) -> None:
    encoder = encoder_of(names)
    wanted = [{name: row[name] for name in encoder.schema.columns} for row in rows]
    compiled = CompiledEncoder(encoder, {})
    expected, made = encoder.encode(to_frame(wanted)), [kind(row) for kind, row in zip(kinds, wanted, strict=False)]
    same(compiled.encode_dicts(made) or compiled.encode(to_frame(made)), expected)


def test_dicts_that_are_read_cell_by_cell_and_those_that_are_not() -> None:
    """What is not read leaves None, for the table's way to encode or to refuse it."""
    encoder = encoder_of({"token", "hashed", "cut", "history", "amount", "binned"})
    compiled = CompiledEncoder(encoder, {})
    row: dict[str, Any] = {"token": "a", "hashed": 1, "cut": "a|b", "history": ["a", 5, None, 0.5], "amount": 1}
    read = [
        {}, {"token": Text("a"), "hashed": "zero\0byte"}, {"token": 2**70, "amount": 2**70}, {"token": np.float64(0.1)},
        {"token": np.int64(5), "amount": np.int64(-2)}, {"cut": None, "history": None}, {"cut": [], "history": ()},
        {"cut": ["a", ""], "history": ("a", "ü" * 9)}, {"amount": np.float64(0.5)}, {"extra": object()},
        {"history": [np.float64(0.25), 2**70, -7]}, {"token": True, "hashed": 1e300},
    ]  # fmt: skip
    for change in read:
        found = compiled.encode_dicts([row | change] * 3)
        assert found is not None
        same(found, encoder.encode(to_frame([{name: (row | change)[name] for name in row}] * 3)))
    refused = [
        {"token": np.float32(0.1)}, {"token": b"a"}, {"token": "\ud800"}, {"token": ["a"]}, {"amount": "1"},
        {"amount": True}, {"amount": math.inf}, {"amount": 10**400}, {"history": "a"}, {"history": [["a"]]},
    ]  # fmt: skip
    for change in refused:
        assert compiled.encode_dicts([row, row | change, row]) is None
    assert compiled.encode_dicts([row, row | {"cut": []}]) is None  # text and list in one column
    assert compiled.encode_dicts([row, {name: row[name] for name in row if name != "hashed"}]) is None
    for no_rows in ([row, None], [row, "text"], [row, 5], [[row]], []):
        assert compiled.encode_dicts(no_rows) is None


def test_columns_that_are_read_cell_by_cell_and_those_that_are_not() -> None:
    encoder = encoder_of({"token", "cut", "amount"})
    compiled = CompiledEncoder(encoder, {})
    columns: dict[Any, Any] = {"token": ["a", None, 5], "cut": ["a|b", "", None], "amount": [1, 2.5, None]}
    for change in ({}, {"extra": [object()] * 3}):
        found = compiled.encode_dicts(columns | change)
        assert found is not None
        same(found, encoder.encode(to_frame(columns)))
    assert compiled.encode_dicts({name: cells * 3000 for name, cells in columns.items()}) is None  # too many
    others: list[dict[Any, Any]] = [
        {"token": ["a"]}, {"token": ("a", "b", "c")}, {"token": "abc"}, {"extra": []}, {"extra": None}, {5: ["a"] * 3},
        {"amount": ["1", 2, 3]}, {"token": [b"a"] * 3}, {"token": np.array(["a"] * 3)}, {"cut": ["a", ["b"], None]},
    ]  # fmt: skip
    for change in others:
        assert compiled.encode_dicts(columns | change) is None
    for fewer in ({}, {"token": columns["token"]}, {"token": [], "cut": [], "amount": []}):
        assert compiled.encode_dicts(fewer) is None


def test_rows_code_may_encode_others_raise_and_take_rows_out() -> None:
    encoder = encoder_of({"token", "history"})
    compiled = CompiledEncoder(encoder, {})
    rows = [{"token": TOKENS[i], "history": TOKENS[:i]} for i in range(9)]
    expected = encoder.encode(to_frame(rows))

    def others() -> None:
        same(compiled.encode_dicts(rows[:4]) or rows, encoder.encode(to_frame(rows[:4])))

    found = compiled.encode_dicts([*rows[:5], Computed(rows[5], others), *rows[6:]])
    assert found is not None
    same(found, expected)
    with pytest.raises(ZeroDivisionError):
        compiled.encode_dicts([*rows, Computed(rows[0], lambda: 1 / 0)])
    fewer: list[Any] = [rows[0]]
    fewer += [Computed(rows[1], fewer.pop), *rows]
    assert compiled.encode_dicts(fewer) is None


def test_reading_dicts_keeps_no_cell_and_loses_none() -> None:
    """Counted: a reference too many is memory that never comes back, one too few a crash."""
    compiled = CompiledEncoder(encoder_of({"token", "history", "amount"}), {})
    row = {"token": 123456.5, "history": ["é" * 5, 98765.25, 2**80], "amount": 0.125}
    cells = [*row.values(), *row["history"], row, *row]
    compiled.encode_dicts([row])  # what keeps the keys is made once
    before = [sys.getrefcount(cell) for cell in cells]
    columns = {name: [cell] * 70 for name, cell in row.items()}
    for rows in ([row] * 70, [Computed(row)] * 3, [row, {**row, "amount": "text"}], [row, {"token": 5}], [row, 5]):
        compiled.encode_dicts(rows)
    for table in (columns, {**columns, "amount": ["text"] * 70}, {"token": columns["token"]}):
        compiled.encode_dicts(table)
    del rows, columns, table
    assert [sys.getrefcount(cell) for cell in cells] == before


SERIES: dict[str, Callable[[list[Any]], Any]] = {
    "objects": lambda cells: pd.Series(cells, dtype=object),
    "inferred": pd.Series,
    "texts of pyarrow": lambda cells: pd.Series([None if cell is None else str(cell) for cell in cells], dtype="str"),
    "texts of python": lambda cells: pd.Series(
        [None if cell is None else str(cell) for cell in cells], dtype=pd.StringDtype("python")
    ),
    "categories": lambda cells: pd.Series([None if cell is None else str(cell) for cell in cells], dtype="category"),
    "arrow": lambda cells: pd.Series(
        [None if cell is None else str(cell) for cell in cells], dtype=pd.ArrowDtype(pa.large_string())
    ),
    "whole numbers": lambda cells: pd.Series([None if cell is None else len(str(cell)) for cell in cells]).astype(
        "Int64"
    ),
    "numbers": lambda cells: pd.Series([0 if cell is None else len(str(cell)) for cell in cells], dtype="uint16"),
    "objects and pandas' nothing": lambda cells: pd.Series([NOTHING.get(cell, cell) for cell in map(text, cells)]),
    "categories of objects": lambda cells: pd.Series(
        pd.Categorical(pd.Series(list(map(text, cells)), dtype=object), ordered=True)
    ),
    "categories of numbers": lambda cells: pd.Series(
        [None if cell is None else len(str(cell)) / 2 for cell in cells], dtype="category"
    ),
    "fractions": lambda cells: pd.Series([None if cell is None else len(str(cell)) / 2 for cell in cells]).astype(
        "Float32"
    ),
    "truths": lambda cells: pd.Series([None if cell is None else len(str(cell)) > 3 for cell in cells]).astype(
        "boolean"
    ),
}


def text(cell: Any) -> str | None:
    return None if cell is None else str(cell)


NOTHING = {None: None, "": pd.NA, "5": float("nan"), "a": np.float64("nan"), "b": pd.NaT}


@settings(max_examples=50)
@given(names=NAMES, rows=st.one_of(CLEAN, ROWS), kinds=st.lists(st.sampled_from(sorted(SERIES)), min_size=8))
def test_tables_of_pandas_are_read_as_they_lie_or_made_tables_of_polars(
    names: set[str], rows: list[dict[str, Any]], kinds: list[str]
) -> None:
    encoder = encoder_of(names)
    compiled = CompiledEncoder(encoder, {})
    columns = encoder.schema.columns
    frame = pd.DataFrame(
        {name: SERIES[kind]([row[name] for row in rows]) for name, kind in zip(columns, kinds, strict=False)}
    )
    for table in (frame, frame[1:], frame.assign(other=1)):
        found = compiled.encode_pandas(table)
        if found is not None:
            same(found, encoder.encode(to_frame(table)))


def test_which_tables_are_read_as_they_lie() -> None:
    compiled = CompiledEncoder(encoder_of({"token", "cut", "amount", "history"}), {})
    frame = pd.DataFrame(
        {"token": ["a", None, "5"], "cut": ["a|b", "", None], "amount": [1, 2, 3], "history": ["a", "b", None]}
    )
    frame["history"] = [["a", "b"], None, []]
    expected = compiled.encode(to_frame(frame))
    for read in (frame, frame.astype({"token": object}), frame.astype({"cut": pd.ArrowDtype(pa.string())})):
        found = compiled.encode_pandas(read)
        assert found is not None
        same(found, expected)
    found = compiled.encode_pandas(frame[["cut"]], frozenset({"token", "amount", "history"}))
    assert found is not None
    assert (found.tokens == 1).all()
    twice, numbered = frame.copy(), frame.assign(other=1)
    twice.columns, numbered.columns = pd.Index(["token", "cut", "amount", "amount"]), pd.Index([*frame.columns, 5])
    for other in (frame[["token", "cut"]], twice, numbered, frame.assign(amount="text"), {"token": []}, None):
        assert compiled.encode_pandas(other) is None
    assert CompiledEncoder(encoder_of({"token", "logged"}), {}).encode_pandas(frame) is None


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    "kind",
    [object, pd.StringDtype("pyarrow"), pd.StringDtype("python"), "category", pd.ArrowDtype(pa.string())],
    ids=str,
)
def test_texts_of_pandas_do_not_go_by_way_of_polars(kind: Any, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not direct:  # as a pandas to come may have it
        monkeypatch.setattr(pd.DataFrame, "_get_column_array", None)
    compiled = CompiledEncoder(encoder_of({"token", "cut", "amount"}), {})
    frame = pd.DataFrame({"token": ["a", None, "b", "a"], "cut": ["a|b", "", None, "b"], "amount": [1, 2, None, 4]})
    expected = compiled.encode(to_frame(frame))
    frame = frame.astype({"token": kind, "cut": kind, "amount": "Int64"})
    monkeypatch.delattr("dagfm.encoding.pandas_tables.pandas_column")
    found = compiled.encode_pandas(frame)
    assert found is not None
    same(found, expected)


def test_without_pythons_headers_dicts_become_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagfm.kernel.encoding.dict_reader", lambda: None)
    assert CompiledEncoder(encoder_of({"token"}), {}).encode_dicts([{"token": "a"}]) is None


@pytest.mark.parametrize("extra", [[], ["hour"], ["pair", "rate"]], ids=str)
def test_columns_that_are_left_out_are_missing(extra: list[str]) -> None:
    encoder = encoder_of({"token", "hashed", "cut", "amount", "binned", "history", *extra})
    rows = [{"token": "a", "hashed": "b", "cut": "a|b", "amount": 1.5, "history": ["a"], "hour": None}] * 5
    without = ["hashed", "cut", "amount"]
    frame = to_frame(rows).drop("hashed")
    expected = encoder.encode(frame.with_columns(pl.lit(None).alias(name) for name in without))
    compiled = CompiledEncoder(encoder, {})
    same(compiled.encode(frame, without=without), expected)
    same(compiled.encode(frame[:0], without=without), encoder.encode(to_frame([])))
    same(compiled.encode(pl.DataFrame(), without=without), encoder.encode(to_frame([])))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    fewer = {name: cells for name, cells in columns.items() if name not in without}
    for dicts in (rows, [{name: row[name] for name in row if name not in without} for row in rows], columns, fewer):
        found = compiled.encode_dicts(dicts, without=frozenset(without))
        assert found is not None
        same(found, expected)
    with pytest.raises(InputError, match="'hashed' is missing"):
        compiled.encode(frame, without=["cut"])


def test_threads_share_an_encoder() -> None:
    encoder = encoder_of({"token", "cut", "amount", "history"})
    compiled = CompiledEncoder(encoder, {})
    rows = [{"token": TOKENS[i % 11], "cut": "a|b", "amount": i, "history": ["b"] * (i % 4)} for i in range(200)]
    expected = [encoder.encode(to_frame([row])) for row in rows]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(lambda row: compiled.encode_dicts([row]), rows), expected, strict=True):
            assert found is not None
            same(found, wanted)


def test_a_large_vocabulary_finds_every_token_and_nothing_else() -> None:
    tokens = pl.Series([f"{i}" for i in range(30000)] + [f"token number {i}" for i in range(30000)])
    vocabulary = Vocabulary(tokens, pl.Series(np.ones(len(tokens), np.int64)))
    schema = Schema(fields=(Field(name="x"),))
    compiled = CompiledEncoder(Encoder(schema, {"x": vocabulary}), {})
    cells = pl.concat([tokens, pl.Series([f"{i}!" for i in range(5000)])])
    found = compiled.encode(pl.DataFrame({"x": cells})).tokens[:, 0]
    np.testing.assert_array_equal(found, vocabulary.encode(cells))


def test_an_empty_vocabulary_knows_nothing() -> None:
    vocabulary = Vocabulary(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.Int64))
    compiled = CompiledEncoder(Encoder(Schema(fields=(Field(name="x"),)), {"x": vocabulary}), {})
    assert compiled.encode(pl.DataFrame({"x": ["a", None]})).tokens.tolist() == [[0], [1]]


def test_a_token_too_long_for_an_index_leaves_its_field_to_the_plain_way() -> None:
    vocabulary = build(pl.Series(["a", "x" * (1 << 24)]))
    assert index_of(vocabulary) is None
    encoder = Encoder(Schema(fields=(Field(name="x"),)), {"x": vocabulary})
    check(encoder, [{"x": "a"}, {"x": "x" * (1 << 24)}, {"x": None}])
