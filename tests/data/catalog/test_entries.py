"""What the catalog says of its data sets is whole and consistent."""

from __future__ import annotations

from typing import Any

import pytest

from dagfm.data.catalog import CATALOG, DataSet, find
from dagfm.data.catalog.entry import MAIN_ROLES
from dagfm.errors import InputError
from dagfm.schema import Field, Schema

every_dataset = pytest.mark.parametrize("dataset", CATALOG.values(), ids=list(CATALOG))


def _fields(variant: Any) -> tuple[Field, ...]:
    return tuple(Field(**field) for field in variant.fields if not isinstance(field, str))


@every_dataset
def test_the_fields_are_a_schema_of_columns_that_the_files_have(dataset: DataSet) -> None:
    for variant in dataset.variants.values():
        schema = Schema.of(_fields(variant))
        for edition in dataset.editions:
            columns = {name.partition(":")[0] for part in edition.parts.values() for name in part.layout.columns}
            derived = {"year", "genres"} if any(part.derived for part in edition.parts.values()) else set()
            assert set(schema.columns) <= columns | derived
            assert edition.label["column"] in columns
            assert edition.label["column"] not in schema.columns


@every_dataset
def test_the_rows_of_every_edition_are_the_data_set(dataset: DataSet) -> None:
    for edition in dataset.editions:
        assert sum(part.rows or 0 for part in edition.main.values()) == dataset.rows
        assert set(edition.main) in ({"train"}, set(MAIN_ROLES))


@every_dataset
def test_source_and_terms_are_said(dataset: DataSet) -> None:
    assert dataset.source
    assert len(dataset.terms) > 40
    assert dataset.fields in (7, 10, 24, 39)


def test_criteo_and_avazu_follow_their_protocols() -> None:
    criteo = {name: _fields(variant) for name, variant in find("criteo-x4").variants.items()}
    assert [variant.size for variant in find("criteo-x4").variants.values()] == [16, 40]
    assert {field.min_count for field in criteo["001"]} == {10}
    assert {field.min_count for field in criteo["002"]} == {2}
    assert [field.encode for field in criteo["001"]] == ["log_squared"] * 13 + [None] * 26
    avazu = _fields(find("avazu-x4").variants["001"])
    assert [field.name for field in avazu if field.source == "hour"] == ["hour", "weekday", "is_weekend"]
    assert {field.min_count for field in avazu if field.encode is None} == {2}
    assert "id" not in {field.source for field in avazu}


@pytest.mark.parametrize("name", ["Criteo_x4", "CRITEO-X4", "criteo-x4"])
def test_case_and_dashes_of_a_name_do_not_matter(name: str) -> None:
    assert find(name) is CATALOG["criteo-x4"]


def test_a_name_without_its_split_is_enough_where_there_is_one() -> None:
    assert find("frappe") is CATALOG["frappe-x1"]
    with pytest.raises(
        InputError, match=r"no data set 'criteo' in the catalog; valid: ml-100k, .*Did you mean 'criteo"
    ):
        find("criteo")
