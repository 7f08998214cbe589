"""What is measured beside AUC and logloss over all rows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from dagfm.config.section import Section
from dagfm.errors import listed, suggestion
from dagfm.schema import Field as SchemaField
from dagfm.schema import Schema


class EvaluationConfig(Section):
    """What is measured beside AUC and logloss over all rows; nothing is trained anew for it."""

    group: str | None = None
    """Field of one id a row, such as the user: AUC and NDCG among the rows that share its value."""
    ndcg: tuple[Annotated[int, Field(ge=1)], ...] = (5, 10)
    """With ``group``: ranks up to which NDCG counts."""
    by: tuple[str, ...] = ()
    """Fields by whose values the served student and its teacher are measured; one may stand without a list."""

    @field_validator("by", "ndcg", mode="before")
    @classmethod
    def _one_value_is_a_list_of_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | int) else value

    def check(self, schema: Schema) -> None:
        """Raise ValueError when a name is no field of ``schema`` that can be measured by, with those that can."""
        names = [("group", self.group, _groups), *(("by", name, _has_values) for name in self.by)]
        for key, name, fits in names:
            valid = [field.name for field in schema if fits(field)]
            if name is not None and name not in valid:
                what = "a field of one id a row" if key == "group" else "a field whose values have names"
                raise ValueError(
                    f"evaluation.{key}: '{name}' is not {what}; valid here: {listed(valid) or 'none'}."
                    f"{suggestion(name, valid)}"
                )


def _groups(field: SchemaField) -> bool:
    return field.form == "ids" and not field.is_target


def _has_values(field: SchemaField) -> bool:
    """Of a hash or a cross it is not known which value a row of the embedding stands for."""
    return field.form != "numbers" and not field.is_target and field.hash is None and field.cross is None
