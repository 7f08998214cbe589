"""Fields and the order of nodes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dagfm.schema import Field, Schema


def test_context_comes_first_in_the_files_order() -> None:
    fields = [("a", "candidate"), ("b", None), ("c", "candidate"), ("d", "context")]
    schema = Schema.of(tuple(Field(name=name, side=side) for name, side in fields))  # type: ignore[arg-type]
    assert schema.names == ("b", "d", "a", "c")
    assert [field.side for field in schema] == ["context", "context", "candidate", "candidate"]
    assert (schema.context_size, len(schema), schema.has_candidates) == (2, 4, True)


def test_without_candidates_the_order_and_the_sides_stay() -> None:
    schema = Schema.of((Field(name="b"), Field(name="a", side="context")))
    assert schema.names == ("b", "a")
    assert [field.side for field in schema] == [None, "context"]
    assert (schema.context_size, schema.has_candidates) == (2, False)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"name": ""}, "at least 1 character"),
        ({"name": "a", "separator": "|"}, "'separator' is for type token_seq, this field is token"),
        ({"name": "a", "type": "float", "max_length": 3}, "'max_length' is for type token_seq"),
        (
            {"name": "a", "type": "float", "min_count": 3},
            "'min_count' is for fields with a vocabulary of their own, this field is float",
        ),
        ({"name": "a", "type": "float_seq"}, "needs 'size'"),
        ({"name": "a", "size": 3}, "other types refuse it"),
        ({"name": "a", "min_count": 0}, "'min_count' is 0, expected 1 or more"),
        ({"name": "a", "type": "token_seq", "separator": ""}, "'separator' is empty"),
    ],
)
def test_a_field_refuses_settings_of_another_type(field: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Field(**field)
    assert message in str(refused.value)


@pytest.mark.parametrize(("names", "message"), [([], "'fields' is empty"), (["a", "b", "a"], "'a' is listed twice")])
def test_a_schema_refuses(names: list[str], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Schema.of(tuple(Field(name=name) for name in names))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("field", "is_float", "width"),
    [
        (Field(name="a"), False, 1),
        (Field(name="a", type="token_seq", separator="|"), False, 1),
        (Field(name="a", type="float"), True, 1),
        (Field(name="a", type="float_seq", size=4, separator=" "), True, 4),
    ],
)
def test_width(field: Field, is_float: bool, width: int) -> None:
    assert (field.is_float, field.width) == (is_float, width)


def test_a_schema_survives_json() -> None:
    schema = Schema.of((Field(name="é", type="token_seq", separator=" ", side="candidate"), Field(name="b")))
    assert Schema.model_validate_json(schema.model_dump_json()) == schema
