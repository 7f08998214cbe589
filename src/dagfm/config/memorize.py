"""Which values and combinations of values are memorised, and what that may cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field as AtLeast
from pydantic import NonNegativeFloat, PositiveInt, field_validator

from dagfm.config.section import Section
from dagfm.errors import listed, suggestion
from dagfm.schema import Field, Schema

Key = tuple[str, ...]
"""Fields whose values, or combinations of values, are told apart."""


class MemorizeConfig(Section):
    """Fields made of click rates: ``auto`` (found by a search), ``none``, or a list of fields and lists of fields."""

    keys: Literal["none", "auto"] | tuple[Key, ...] = "none"
    """auto: those that pay; a list: these, such as ``[user, [user, item]]``."""
    fields: PositiveInt = 8
    """auto: at most so many."""
    megabytes: PositiveInt = 256
    """auto: at most so large are their tables together, about."""
    rows: PositiveInt = 1_000_000
    """auto: at most so many training rows are searched, chosen at random."""
    gain: NonNegativeFloat = 0.0002
    """auto: how much a field has to lower the logloss, on training rows that do not know their own label; and all of
    them together on the validation rows."""
    bins: Annotated[int, AtLeast(ge=2)] = 20
    """Ranges of the click rate that a field tells apart; see ``bins`` of a field."""

    @field_validator("keys", mode="before")
    @classmethod
    def _one_field_is_a_key(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return tuple((one,) if isinstance(one, str) else one for one in value)
        return value


def candidates(schema: Schema, hidden: Iterable[str] = ()) -> list[str]:
    """The fields that keys can be made of: one id a row, no cross or statistic, none of the ``hidden`` ones."""
    kept = set(schema.names) - set(hidden)
    return [one.name for one in schema.of_form("ids") if one.name in kept and one.cross is None and not one.is_target]


def can_stand_alone(field: Field) -> bool:
    """Whether a key may be this field alone: its values have texts that a statistic can share."""
    return field.is_categorical and field.hash is None and field.encode is None


def with_keys(schema: Schema, keys: Iterable[Key], bins: int, hidden: Iterable[str] = ()) -> tuple[Field, ...]:
    """The fields that memorise ``keys``, to stand behind those of ``schema``.

    Raises ValueError naming ``memorize`` for a field that is none, or of which no key can be made.
    """
    valid, names = candidates(schema, hidden), list(schema.names)
    made = []
    for key in keys:
        for name in key:
            if name not in valid:
                raise ValueError(
                    f"memorize: '{name}', expected fields of one id a row that students see: {listed(valid)}."
                    f"{suggestion(name, valid)}"
                )
        field = _field(schema, key, bins, names)
        names.append(field.name)
        made.append(field)
    return tuple(made)


def _field(schema: Schema, key: Key, bins: int, names: list[str]) -> Field:
    name = f"{'_x_'.join(key)}_rate"
    while name in names:
        name += "_"
    if len(key) > 1:
        return Field(name=name, cross=key, encode="target", bins=bins)
    field = schema.named(key[0])
    if not can_stand_alone(field):
        raise ValueError(f"memorize: '{key[0]}' alone, expected a token field without 'hash' and 'encode', or a pair")
    return Field(
        name=name,
        column=field.source,
        vocabulary=field.vocabulary or field.name,
        encode="target",
        bins=bins,
        side=field.side,
    )
