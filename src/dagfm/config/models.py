"""The keys of a run's configuration, their types, limits and defaults."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dagfm.config.networks import CrossNetConfig, DAGFMConfig, NetworkConfig
from dagfm.config.presets import with_preset
from dagfm.schema import Field as SchemaField
from dagfm.schema import Schema

PhaseName = Literal["teacher_training", "distillation", "finetuning"]
PHASES: tuple[PhaseName, ...] = ("teacher_training", "distillation", "finetuning")
Baseline = Literal["scratch", "fm"]
Decay = NonNegativeFloat | Literal["auto"]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)] | Literal["auto"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LabelConfig(_Section):
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


class SplitConfig(_Section):
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
    values: dict[Literal["train", "valid", "test"], tuple[Value, ...]] = {}
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


FormatName = Literal["parquet", "csv", "tsv", "recbole", "libsvm", "libffm"]


class FileOptions(_Section):
    """How files are read, where their suffixes do not say it or they are text of another kind than usual."""

    format: FormatName | None = None
    """Format of the files, where their suffixes do not say it; a separator or columns alone mean csv."""
    separator: str | None = Field(default=None, min_length=1)
    """Between the cells of csv and tsv, one or several characters such as ``::``; else a comma or a tab."""
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the columns of csv and tsv files without a header line."""
    encoding: str = "utf-8"
    """Encoding of text files, by any name that Python knows: latin-1, utf-16, cp1252."""
    quote: str | None = '"'
    """Character around csv and tsv cells that hold separators or line breaks, written twice inside; null: none."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            text = codecs.lookup(encoding)._is_text_encoding
        except LookupError:
            text = False
        if not text:
            raise ValueError(f"'{encoding}' is not an encoding; valid are Python's, such as utf-8, latin-1, utf-16")
        return encoding

    @field_validator("separator", "quote")
    @classmethod
    def _within_a_line(cls, characters: str | None, info: ValidationInfo) -> str | None:
        if characters is not None and set("\r\n\0") & set(characters):
            raise ValueError(f"{characters!r} holds a line break or a null; it stands within a line")
        if (
            info.field_name == "quote"
            and characters is not None
            and not (len(characters) == 1 and characters.isascii())
        ):
            raise ValueError(f"{characters!r} is not one ASCII character; null means that cells are not quoted")
        return characters

    @field_validator("columns")
    @classmethod
    def _different_columns(cls, columns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        repeated = [name for index, name in enumerate(columns or ()) if name in (columns or ())[:index]]
        if repeated:
            raise ValueError(f"'{repeated[0]}' occurs twice")
        return columns

    @property
    def files(self) -> FileOptions:
        """These options alone, without what a section that has them says besides."""
        return FileOptions(**{name: getattr(self, name) for name in FileOptions.model_fields})


AS_SUFFIXES_SAY = FileOptions()
"""The options of files that need none."""


class TableConfig(FileOptions):
    """A side table: its file, and how it is read where that is not as the click log."""

    path: str
    """Path or glob."""


class NegativesConfig(_Section):
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
    tables: dict[str, TableConfig] = {}
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


class EmbeddingConfig(_Section):
    """The vectors that stand for the fields' values."""

    size: PositiveInt = 16
    """Numbers a field's vector has (D)."""


class DistillationConfig(_Section):
    """loss = alpha * BCE on labelled rows + beta * mean((teacher logit - student logit)^2) on all rows."""

    alpha: NonNegativeFloat = 0.0
    """Weight of the clicks; 0 learns from the teacher alone."""
    beta: PositiveFloat = 1.0
    """Weight of the teacher."""
    embedding: Literal["teacher_trainable", "teacher_frozen", "own"] = "teacher_trainable"
    """Where the student's embedding starts: the teacher's, which then trains or stays frozen, or its own random one."""
    recombined: NonNegativeFloat = 1.0
    """Unlabelled rows per labelled row: context fields of one training row, candidate fields of another."""
    recombined_cap: PositiveInt = 20_000_000
    """At most this many recombined rows are scored by the teacher; further epochs cycle through them."""


class FinetuningConfig(_Section):
    """loss = BCE + kd_weight * mean((teacher logit - student logit)^2) on labelled rows."""

    kd_weight: NonNegativeFloat = 1.0
    """Weight of the teacher; 0 finetunes on the clicks alone."""


class PhaseConfig(_Section):
    """How one phase is optimised."""

    learning_rate: PositiveFloat
    """Of Adam, at the first step."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """cosine falls to zero over all epochs."""
    epochs: PositiveInt
    """At most this many passes over the training rows."""
    patience: PositiveInt = 3
    """Epochs without a better validation figure before the phase stops."""
    monitor: Literal["auc", "logloss", "logit_mse"] = "auc"
    """Validation figure that chooses the epoch; logit_mse, the distance to the teacher's logits, needs a teacher."""
    decay: Decay = 0.0
    """L2 added to the gradient of the whole embedding table at every step, before Adam's moments; auto: 0.25 over the
    square root of the training rows."""
    dropout: Dropout = 0.0
    """Dropout on the embedding's output; auto: 0.3 at 200 training cells an embedding row, 0.1 less with every doubling,
    0 to 0.5."""


class ScratchConfig(PhaseConfig):
    """Training on clicks alone; of several decays and dropouts the pair that is best on validation counts."""

    decay: tuple[Decay, ...] = Field(default=(3e-4, 1e-3, 2e-3), min_length=1)  # type: ignore[assignment]
    """As in the other phases, or a list of them to try."""
    dropout: tuple[Dropout, ...] = Field(default=(0.0, 0.2), min_length=1)  # type: ignore[assignment]
    """As in the other phases, or a list of them to try."""

    @field_validator("decay", "dropout", mode="before")
    @classmethod
    def _one_value_is_a_list_of_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, int | float | str) else value


class TrainingConfig(_Section):
    """How everything is trained, and on what."""

    seed: NonNegativeInt = 2022
    """Seeds initialisation, shuffling, dropout and recombination; never the split."""
    batch_size: PositiveInt | Literal["auto"] = "auto"
    """auto: about a 150th of the training rows, a power of two from 64 to 4096."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU where there is one."""
    threads: PositiveInt = 1
    """Threads of the trainer; more than one stalls on a small busy machine."""
    initialisation: Literal["default", "reference"] = "default"
    """reference: the distributions of the reference implementation."""
    teacher_training: PhaseConfig = PhaseConfig(learning_rate=1e-2, epochs=20, patience=5, decay="auto", dropout="auto")
    distillation: PhaseConfig = PhaseConfig(learning_rate=1e-2, epochs=12, monitor="logit_mse")
    # By logloss: AUC on validation rows is noisier, and the best of a few epochs by it was worse than no finetuning.
    finetuning: PhaseConfig = PhaseConfig(learning_rate=5e-4, epochs=3, monitor="logloss")
    scratch: ScratchConfig = ScratchConfig(learning_rate=1e-2, epochs=14, patience=5)
    fm: ScratchConfig = ScratchConfig(learning_rate=1e-2, epochs=14, patience=5)

    @model_validator(mode="before")
    @classmethod
    def _a_phase_keeps_the_defaults_it_does_not_name(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        filled = dict(value)
        for name in (*PHASES, "scratch", "fm"):
            if isinstance(filled.get(name), dict):
                filled[name] = {**cls.model_fields[name].default.model_dump(), **filled[name]}
        return filled

    @model_validator(mode="after")
    def _only_students_have_a_teacher(self) -> Self:
        for name in ("teacher_training", "scratch", "fm"):
            if getattr(self, name).monitor == "logit_mse":
                raise ValueError(f"{name}.monitor: 'logit_mse' needs a teacher; valid here: auc, logloss")
        return self


class Config(_Section):
    """One run, from a click log to a served student."""

    preset: Literal["default", "paper"] = "default"
    """Where the defaults come from; paper: the reference implementation's recipe."""
    data: DataConfig
    fields: tuple[SchemaField, ...]
    """The nodes of the graph; context first, otherwise in this order."""
    embedding: EmbeddingConfig = EmbeddingConfig()
    teacher: tuple[NetworkConfig, ...] = Field(default=(CrossNetConfig(),), min_length=1)
    """One network, or a list whose mean logit is the teacher."""
    student: tuple[DAGFMConfig, ...] = Field(default=(DAGFMConfig(),), min_length=1)
    """One student, or a list of them."""
    distillation: DistillationConfig = DistillationConfig()
    finetuning: FinetuningConfig = FinetuningConfig()
    training: TrainingConfig = TrainingConfig()
    phase: PhaseName | None = None
    """Run this phase alone."""
    warm_up: str | None = None
    """With ``phase``: the run or phase directory whose weights it starts from."""

    @model_validator(mode="before")
    @classmethod
    def _start_from_the_preset(cls, value: Any) -> Any:
        return with_preset(value) if isinstance(value, dict) else value

    @field_validator("teacher", "student", mode="before")
    @classmethod
    def _one_network_is_a_list_of_one(cls, value: Any, info: Any) -> Any:
        members = [value] if isinstance(value, dict | BaseModel) else value
        if not isinstance(members, list | tuple):
            return members
        default = "crossnet" if info.field_name == "teacher" else "dagfm"
        return [_with_network(member, default) for member in members]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        schema = self.schema_
        for column in self.data.label.columns:
            for field in schema:
                if field.cross is None and field.source == column:
                    raise ValueError(f"fields: '{column}' is the label; a field must not hold the answer")
        for role in ("teacher", "student"):
            names = [name for name, _ in self.named(role)]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{role}: two members are called '{name}'; give each a 'name'")
            if role == "teacher" and len(names) > 1 and "ensemble" in names:
                raise ValueError(
                    "teacher: 'ensemble' is what the mean of several teachers is called; rename that member"
                )
        if self.phase in ("distillation", "finetuning") and self.warm_up is None:
            raise ValueError(f"phase '{self.phase}' starts from earlier weights: set 'warm_up' to a run directory")
        teacherless = self.phase == "finetuning" and self.finetuning.kd_weight == 0
        if teacherless and self.training.finetuning.monitor == "logit_mse":
            raise ValueError(
                "training.finetuning.monitor: 'logit_mse' needs a teacher, and with finetuning.kd_weight 0 this phase "
                "alone has none; valid here: auc, logloss"
            )
        if self.warm_up is not None and self.phase is None:
            raise ValueError(f"'warm_up' goes with 'phase'; valid phases: {', '.join(PHASES)}")
        return self

    @model_validator(mode="after")
    def _a_frozen_embedding_fits(self) -> Self:
        if self.distillation.embedding == "teacher_frozen" and all(one.network == "fm" for one in self.teacher):
            raise ValueError(
                "distillation.embedding: 'teacher_frozen', but an fm's embedding holds first-order weights too and "
                "cannot be a student's; valid here: teacher_trainable, own"
            )
        return self

    @property
    def schema_(self) -> Schema:
        """The fields as an ordered schema, without their pretrained vectors: these are for training alone."""
        return Schema.of(tuple(field.model_copy(update={"pretrained": None}) for field in self.fields))

    def named(self, role: Literal["teacher", "student"] | str) -> list[tuple[str, Any]]:
        """The teachers or students with the names they have in folders and tables."""
        members = getattr(self, role)
        if len(members) == 1:
            return [(members[0].name or role, members[0])]
        return [(member.name or f"{member.network}-{index}", member) for index, member in enumerate(members, 1)]

    @property
    def recombines(self) -> bool:
        """Whether distillation also learns from recombined rows: the schema must name candidate fields."""
        return self.distillation.recombined > 0 and 0 < self.schema_.context_size < len(self.schema_)


def _with_network(member: Any, default: str) -> Any:
    if not isinstance(member, dict):
        return member
    network = member.get("network", default)
    return {**member, "network": network.lower() if isinstance(network, str) else network}
