"""The ``data`` section: where the rows are, what is predicted, how rows are divided, weighed and sampled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, field_validator, model_validator

from dagfm.config.files import FileOptions, TableConfig
from dagfm.config.section import Section


class LabelConfig(Section):
    """Which column says click or no click, and by which rule; or how many clicks and impressions a row stands for."""

    column: str | None = None
    """Column of the click log; it must not be a field."""
    positive_from: float | None = None
    """Values from this one on are clicks; without it the column must hold 0 and 1 (or false and true)."""
    drop: tuple[float, ...] = ()
    """Rows with one of these values are left out, such as a neutral rating."""
    clicks: str | None = None
    """Of aggregated rows, instead of ``column``: the column that counts the clicks."""
    impressions: str | None = None
    """Of aggregated rows: the column that counts how often the row was shown; rows of 0 are left out."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.column is None) == (self.clicks is None):
            raise ValueError("give either 'column', or 'clicks' and 'impressions' of aggregated rows")
        if (self.clicks is None) != (self.impressions is None):
            raise ValueError("'clicks' and 'impressions' go together")
        if self.clicks is not None and (self.positive_from is not None or self.drop):
            raise ValueError("'positive_from' and 'drop' are for 'column', not for aggregated rows")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rule reads."""
        return tuple(name for name in (self.column, self.clicks, self.impressions) if name is not None)


Value = str | int | float
"""A value in a list of them; what counts is its token text."""


class SplitConfig(Section):
    """How rows are divided when validation and test files are not both given."""

    by: Literal["random", "time", "group", "column"] = "random"
    """random: a NumPy permutation of the rows that the label rule keeps. time: the last rows by ``column`` are test,
    those before them valid. group: all rows of one value of ``column`` in one part. column: by ``values``."""
    column: str | None = None
    """Column of the time, the group or the values; it need not be a field."""
    ratios: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (0.8, 0.1, 0.1)
    """Shares of train, valid and test; of groups they hold on average."""
    gap: NonNegativeFloat = 0.0
    """by time: rows of this span before valid, and before test, are left out; in seconds where the column holds dates,
    else in its own unit."""
    time_format: str | None = None
    """by time: how the text tells the time, as in ``fields``."""
    values: dict[Literal["train", "valid", "test"], tuple[Value, ...]] = Field(default={})
    """by column: the values of each part; train may be left out and is then all others."""
    seed: NonNegativeInt = 2022
    """Seeds the permutation and the choice of groups; ``--seeds`` never changes it."""

    @field_validator("ratios")
    @classmethod
    def _add_up(cls, ratios: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(ratios) - 1) > 1e-9:
            raise ValueError(f"the three shares add up to {sum(ratios):g}, expected 1")
        return ratios

    @field_validator("values", mode="before")
    @classmethod
    def _one_value_is_a_list_of_one(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {part: [value] if isinstance(value, Value) else value for part, value in values.items()}

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        if (self.by == "random") != (self.column is None):
            raise ValueError(f"by '{self.by}' {'takes no' if self.column else 'needs a'} 'column'")
        if self.by != "time" and (self.gap or self.time_format):
            raise ValueError(f"'gap' and 'time_format' are for by 'time', not '{self.by}'")
        if (self.by == "column") != bool(self.values):
            raise ValueError("'values' says which values of 'column' are valid and test; it goes with by 'column'")
        if self.by == "column" and not {"valid", "test"} <= set(self.values):
            raise ValueError("'values' must name those of valid and of test; train may be left out")
        said = [str(value) for values in self.values.values() for value in values]
        if len(set(said)) < len(said):
            raise ValueError("'values': one value is in two parts")
        return self


class NegativesConfig(Section):
    """Fewer non-clicks to train on; the served probabilities are those of the whole log (He et al., ADKDD 2014)."""

    keep: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Keep each non-click of the training rows with this probability; validation and test rows all stay."""
    already_kept: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """The log itself, validation and test rows too, was sampled so before we see it."""
    seed: NonNegativeInt = 2022
    """Seeds the choice of ``keep``; ``--seeds`` never changes it."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.keep is None) == (self.already_kept is None):
            raise ValueError("give either 'keep' (we sample) or 'already_kept' (the log is a sample)")
        return self

    @property
    def share(self) -> float:
        """The share of the non-clicks that training sees."""
        share = self.keep if self.keep is not None else self.already_kept
        assert share is not None, "the model refuses neither"
        return share


class DataConfig(FileOptions):
    """Where the rows are and what is to be predicted."""

    train: tuple[str, ...] = Field(min_length=1)
    """Path, glob or list of them; one path may stand without a list."""
    valid: tuple[str, ...] | None = None
    """Validation rows, as ``train``; together with ``test`` they replace the split."""
    test: tuple[str, ...] | None = None
    """Test rows, as ``train``; never used to choose anything. Without ``valid``, that is cut from ``train``."""
    tables: dict[str, TableConfig] = Field(default={})
    """Side tables by the key column that joins them to every row: ``{user_id: users.csv}``; a file, or a mapping with
    ``path`` and the keys that say how it is read."""
    label: LabelConfig
    weight: str | None = None
    """Column of the rows' weights in loss and figures, numbers of 0 or more."""
    negatives: NegativesConfig | None = None
    """Down-sampling of non-clicks, and the correction of what a model trained on the sample says."""
    split: SplitConfig = SplitConfig()

    @field_validator("train", "valid", "test", mode="before")
    @classmethod
    def _one_path_is_a_list_of_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | Path) else value

    @field_validator("tables", mode="before")
    @classmethod
    def _a_path_is_a_table(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: {"path": str(table)} if isinstance(table, str | Path) else table for key, table in value.items()}

    @field_validator("label", mode="before")
    @classmethod
    def _a_name_is_a_column(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _valid_goes_with_test(self) -> Self:
        if self.valid is not None and self.test is None:
            raise ValueError("give 'test' too, or neither: 'split' cuts what is not given from the rows of 'train'")
        return self

    @model_validator(mode="after")
    def _aggregated_rows_are_not_sampled(self) -> Self:
        if self.label.clicks is not None and self.negatives is not None and self.negatives.keep is not None:
            raise ValueError(
                "negatives.keep: aggregated rows hold clicks and non-clicks together, so leaving rows out samples "
                "neither alone; they are few already, train on all of them"
            )
        return self
