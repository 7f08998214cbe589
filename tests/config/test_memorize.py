"""What `memorize` accepts, and which fields it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from dagfm.config import Config, load_config
from dagfm.errors import InputError

FIELDS: list[dict[str, Any]] = [
    {"name": "user", "side": "context"},
    {"name": "device", "hash": 10, "side": "context"},
    {"name": "item", "column": "item_id", "side": "candidate"},
    {"name": "last", "vocabulary": "item", "side": "context"},
    {"name": "price", "type": "float", "side": "candidate"},
    {"name": "age", "type": "float", "encode": "quantile", "side": "context"},
]


def config(memorize: Any, **more: Any) -> Config:
    return load_config(
        {"data": {"train": "log.parquet", "label": "click"}, "fields": FIELDS, "memorize": memorize, **more}
    )


@pytest.mark.parametrize("said", ["none", "auto", {"keys": "auto", "fields": 3}, {"fields": 3}])
def test_a_search_changes_no_field_before_it_is_made(said: Any) -> None:
    assert len(config(said).fields) == len(FIELDS)


def test_listed_keys_become_fields() -> None:
    found = config(["user", ["user", "item"], ["last"], ["user", "age", "device"]])
    user, pair, last, triple = found.fields[len(FIELDS) :]
    assert (user.name, user.column, user.vocabulary, user.side) == ("user_rate", "user", "user", "context")
    assert (pair.name, pair.cross, pair.encode) == ("user_x_item_rate", ("user", "item"), "target")
    assert (last.column, last.vocabulary) == ("last", "item")
    assert triple.cross == ("user", "age", "device") and triple.bins == 20
    assert found.memorize.keys == "none"
    assert found.schema_.named("user_x_item_rate").side == "candidate"
    assert found.schema_.named("user_x_age_x_device_rate").side == "context"


def test_the_resolved_configuration_means_the_same() -> None:
    found = config({"keys": [["user", "item"]], "bins": 7})
    assert load_config(found.model_dump(mode="json")) == found
    assert found.fields[-1].bins == 7


def test_names_that_are_taken_stay_free() -> None:
    fields = [*FIELDS, {"name": "user_rate"}]
    found = load_config({"data": {"train": "a.parquet", "label": "click"}, "fields": fields, "memorize": ["user"]})
    assert [field.name for field in found.fields][-2:] == ["user_rate", "user_rate_"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["usr"], r"memorize: 'usr', expected fields of one id a row that students see: .*Did you mean 'user'"),
        ([["user", "price"]], r"memorize: 'price', expected fields of one id a row"),
        (["device"], r"memorize: 'device' alone, expected a token field without 'hash' and 'encode', or a pair"),
        (["age"], r"memorize: 'age' alone"),
        ([["user", "user"]], r"'cross' is \['user', 'user'\], expected two or more different fields"),
        ("all", r"memorize\.keys: 'all' is not valid; valid: none, auto"),
        ({"keys": "auto", "field": 3}, r"unknown key 'memorize\.field'\. Did you mean 'fields'"),
        ({"keys": "auto", "fields": 0}, r"memorize\.fields"),
    ],
)
def test_what_is_wrong_is_told(said: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        config(said)


def test_fields_that_teachers_alone_see_are_no_keys() -> None:
    teacher = {"network": "crossnet", "extra_fields": ["device"]}
    with pytest.raises(InputError, match=r"memorize: 'device'"):
        config([["user", "device"]], teacher=teacher)
