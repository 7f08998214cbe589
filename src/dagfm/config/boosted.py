"""A teacher that is no network: boosted trees over the logit of one."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from dagfm.config.networks import CrossNetConfig, NetworkConfig, NetworkSettings


class BoostedConfig(NetworkSettings):
    """LightGBM over a network's out-of-fold logit, target statistics and the plain encoded columns."""

    network: Literal["boosted"] = "boosted"
    over: NetworkConfig = CrossNetConfig()
    """The network whose logit the trees see; its folds' mean scores rows that none of them was trained on."""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """So many models of ``over`` are trained, each on the rows of the other folds."""
    trees: PositiveInt = 335
    """How many there are; nothing stops earlier."""
    leaves: Annotated[int, Field(ge=2)] = 31
    """Of a tree, at most."""
    learning_rate: PositiveFloat = 0.05
    """What every tree is multiplied by."""
    min_rows: PositiveInt = 200
    """Training rows of a leaf, at least."""
    columns: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Share of the columns that a tree may split by, drawn for each."""
    statistics: Literal["auto"] | tuple[str | tuple[str, ...], ...] = "auto"
    """Fields, and combinations of them as lists, whose click rate and count the trees see; auto: every field of one id
    a row, and of the pairs of them (where there are sides, of a context with a candidate field) that have no more
    combinations than there are training rows the 20 with most."""

    @field_validator("over", mode="before")
    @classmethod
    def _crossnet_unless_named(cls, value: Any) -> Any:
        return {"network": "crossnet", **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _what_is_of_the_network_is_said_there(self) -> Self:
        for key in ("size", "training"):
            if getattr(self, key):
                raise ValueError(f"'{key}' is of the network below the trees: write it into 'over'")
        for key in ("seeds", "name", "extra_fields"):
            if getattr(self.over, key) == type(self.over).model_fields[key].default:
                continue
            raise ValueError(f"over.{key}: is of the whole teacher; write it beside 'over'")
        return self

    @property
    def below(self) -> NetworkConfig:
        """The network ``over``, which sees the fields that the trees see."""
        return self.over.model_copy(update={"extra_fields": self.extra_fields})
