"""The keys of a run's configuration, their types, limits and defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from dagfm.config.boosted import BoostedConfig
from dagfm.config.data import DataConfig
from dagfm.config.distillation import DistillationConfig, FinetuningConfig
from dagfm.config.evaluation import EvaluationConfig
from dagfm.config.extra_fields import check_extra_fields, have_extra_fields
from dagfm.config.memorize import Key, MemorizeConfig, with_keys
from dagfm.config.networks import FIRST_ORDER, CrossNetConfig, DAGFMConfig, NetworkConfig, NetworkSettings
from dagfm.config.presets import network_named, with_preset
from dagfm.config.scores import ScoresConfig
from dagfm.config.section import Section
from dagfm.config.training import PHASES, PhaseName, TrainingConfig
from dagfm.schema import Field as SchemaField
from dagfm.schema import Schema

Baseline = Literal["scratch", "fm"]
TeacherConfig = Annotated[NetworkConfig | BoostedConfig | ScoresConfig, Field(discriminator="network")]


class EmbeddingConfig(Section):
    """The vectors that stand for the fields' values."""

    size: PositiveInt = 16
    """Numbers a field's vector has (D)."""


TEACHERS: tuple[TeacherConfig, ...] = (
    CrossNetConfig(),
    DAGFMConfig(training={"dropout": 0.0}),
    DAGFMConfig(training={"dropout": 0.0, "decay": 2e-3}),
)
"""Where a configuration names no teacher: the published one, and the student's own network with little and with much
decay. Which decay is the right one differs from log to log, and on each the three are worth more than the best of them
(experiments/defaults)."""


class Config(Section):
    """One run, from a click log to a served student."""

    preset: Literal["default", "paper"] = "default"
    """Where the defaults come from; paper: the reference implementation's recipe."""
    data: DataConfig
    fields: tuple[SchemaField, ...]
    """The nodes of the graph; context first, otherwise in this order."""
    memorize: MemorizeConfig = MemorizeConfig()
    """Click rates of values and combinations of values as further fields; a run's configuration holds them as such."""
    embedding: EmbeddingConfig = EmbeddingConfig()
    teacher: tuple[TeacherConfig, ...] = Field(default=TEACHERS, min_length=1)
    """One network, or a list whose (weighted) mean logit is the teacher, ``boosted`` is trees over a network; or the
    scores of another model."""
    student: tuple[DAGFMConfig, ...] = Field(default=(DAGFMConfig(),), min_length=1)
    """One student, or a list of them."""
    distillation: DistillationConfig = DistillationConfig()
    finetuning: FinetuningConfig = FinetuningConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    phase: PhaseName | None = None
    """Run this phase alone."""
    warm_up: str | None = None
    """With ``phase``: the run or phase directory whose weights it starts from."""

    @model_validator(mode="before")
    @classmethod
    def _start_from_the_preset(cls, value: Any) -> Any:
        return with_preset(value) if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _rows_with_extra_fields_are_not_recombined_unasked(cls, value: Any) -> Any:
        """A recombined row's extra fields tell of a row with another user or another item, and the teacher's logit with
        them."""
        if not isinstance(value, dict) or not have_extra_fields(value.get("teacher")):
            return value
        how = value.get("distillation", {})
        if isinstance(how, DistillationConfig):
            how = how.model_dump(exclude_unset=True)
        return {**value, "distillation": {"recombined": 0.0, **how}} if isinstance(how, dict) else value

    @field_validator("memorize", mode="before")
    @classmethod
    def _keys_alone_are_said_directly(cls, value: Any) -> Any:
        return {"keys": value} if isinstance(value, str | list | tuple) else value

    @field_validator("teacher", "student", mode="before")
    @classmethod
    def _one_network_is_a_list_of_one(cls, value: Any, info: Any) -> Any:
        members = [value] if isinstance(value, str | dict | BaseModel) else value
        if not isinstance(members, list | tuple):
            return members
        default = "crossnet" if info.field_name == "teacher" else "dagfm"
        named = [{"network": member} if isinstance(member, str) else member for member in members]
        return [_with_network(member, default) for member in named]

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
        begun = self.phase == "finetuning" or (self.phase == "distillation" and self.scores is None)
        if begun and self.warm_up is None:
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
    def _students_have_no_settings_of_teachers(self) -> Self:
        for student in self.student:
            for key in ("seeds", "training", "extra_fields"):
                if getattr(student, key) == type(student).model_fields[key].default:
                    continue
                raise ValueError(f"student: '{key}' is of teachers; a student has none")
        return self

    @model_validator(mode="after")
    def _evaluated_fields_exist(self) -> Self:
        self.evaluation.check(self.schema_)
        return self

    @model_validator(mode="after")
    def _extra_fields_are_no_part_of_others(self) -> Self:
        views = [("students do", self.extra_fields)]
        views += [(f"teacher '{name}' does", self.hidden_from(network)) for name, network in self.named("teacher")]
        check_extra_fields(self.schema_, self.extra_fields, views)
        return self

    @model_validator(mode="after")
    def _candidates_can_be_drawn(self) -> Self:
        drawn = self.distillation.recombined_from == "uniform" and self.distillation.recombined > 0
        if drawn and (self.recombination != "sides" or not self.student_schema.candidate_ids):
            raise ValueError(
                "distillation.recombined_from: 'uniform' draws candidates, which needs context fields, a candidate "
                "field of one id a row, and a pool of sides; valid here: popularity"
            )
        return self

    @model_validator(mode="after")
    def _listed_keys_can_be_memorised(self) -> Self:
        if not isinstance(self.memorize.keys, str):
            with_keys(self.schema_, self.memorize.keys, self.memorize.bins, self.extra_fields)
        return self

    @model_validator(mode="after")
    def _trees_start_from_nothing(self) -> Self:
        if self.warm_up is not None and any(one.network == "boosted" for one in self.teacher):
            raise ValueError("warm_up: boosted trees start from no earlier weights; take 'boosted' from 'teacher'")
        return self

    @model_validator(mode="after")
    def _a_frozen_embedding_fits(self) -> Self:
        if self.distillation.embedding != "teacher_frozen" or self.scores is not None:
            return self
        if any(student.first_order for student in self.student):
            raise ValueError(
                "distillation.embedding: 'teacher_frozen', but a student has first_order weights, which no teacher has "
                "and which would stay zero; valid here: teacher_trainable, own"
            )
        if all(one.network == "boosted" for one in self.teacher):
            raise ValueError(
                "distillation.embedding: 'teacher_frozen', but boosted trees have no embedding; "
                "valid here: teacher_trainable, own"
            )
        if all(one.network in FIRST_ORDER for one in self.teacher):
            raise ValueError(
                f"distillation.embedding: 'teacher_frozen', but an {self.teacher[0].network}'s embedding holds "
                "first-order weights too and cannot be a student's; valid here: teacher_trainable, own"
            )
        networks = [one.over if isinstance(one, BoostedConfig) else one for one in self.teacher]
        sizes = {self.size_of(one) for one in networks if not isinstance(one, ScoresConfig)}
        for student in self.student:
            if self.size_of(student) not in sizes:
                raise ValueError(
                    f"distillation.embedding: 'teacher_frozen', but a student has {self.size_of(student)} numbers a "
                    f"field and the teachers have {', '.join(map(str, sorted(sizes)))}; give both one 'size', or take "
                    "teacher_trainable or own"
                )
        return self

    @model_validator(mode="after")
    def _a_served_head_of_its_own_keeps_no_distance(self) -> Self:
        if self.distillation.head == "separate" and self.training.finetuning.monitor == "logit_mse":
            raise ValueError(
                "training.finetuning.monitor: 'logit_mse', but with distillation.head 'separate' the served logit is "
                "not to be near the teacher's; valid here: auc, logloss"
            )
        return self

    @model_validator(mode="after")
    def _scores_stand_alone(self) -> Self:
        given = [one for one in self.teacher if isinstance(one, ScoresConfig)]
        if not given:
            return self
        if len(self.teacher) > 1:
            raise ValueError("teacher: 'scores' is the whole teacher; average what is to be averaged in its column")
        if given[0].key is None and given[0].scores in self.data.label.columns:
            raise ValueError(f"teacher.scores: '{given[0].scores}' is the label")
        if self.distillation.embedding == "teacher_frozen":
            raise ValueError(
                "distillation.embedding: 'teacher_frozen', but a teacher of scores has no embedding; valid here: own"
            )
        if self.phase == "teacher_training":
            raise ValueError("phase: 'teacher_training', but a teacher of scores is not trained")
        return self

    @property
    def scores(self) -> ScoresConfig | None:
        """The teacher, where it is the scores of another model."""
        return self.teacher[0] if isinstance(self.teacher[0], ScoresConfig) else None

    @property
    def random_start(self) -> bool:
        """Whether students' embeddings start at random: there is none of a teacher's, or it is not wanted."""
        return self.distillation.embedding == "own" or self.scores is not None

    @property
    def schema_(self) -> Schema:
        """The fields as an ordered schema, without their pretrained vectors: these are for training alone."""
        return Schema.of(tuple(field.model_copy(update={"pretrained": None}) for field in self.fields))

    @property
    def extra_fields(self) -> frozenset[str]:
        """The fields that a teacher sees and students and baselines do not."""
        return frozenset(name for one in self.teacher if not isinstance(one, ScoresConfig) for name in one.extra_fields)

    def memorizing(self, keys: Iterable[Key]) -> Config:
        """The same with the fields that memorise ``keys``, and nothing left to search."""
        made = with_keys(self.schema_, keys, self.memorize.bins, self.extra_fields)
        settled = self.memorize.model_copy(update={"keys": "none"})
        written = self.model_dump(exclude_unset=True) | {"fields": (*self.fields, *made), "memorize": settled}
        return type(self).model_validate(written)

    def hidden_from(self, network: NetworkSettings | ScoresConfig | None = None) -> frozenset[str]:
        """The extra fields that a network does not see; without one, that students and baselines do not."""
        return self.extra_fields.difference(network.extra_fields if isinstance(network, NetworkSettings) else ())

    @property
    def unseen(self) -> Literal["mean", "hidden"]:
        """What ``training.unseen`` comes to."""
        said = self.training.unseen
        if said != "auto":
            return said
        crossed = any(field.cross is not None and not field.is_target for field in self.fields)
        return "hidden" if crossed and self.preset == "default" else "mean"

    @property
    def student_schema(self) -> Schema:
        """The fields that students see, and whoever scores with them has to have."""
        return self.schema_.without(self.extra_fields)

    def size_of(self, network: NetworkSettings) -> int:
        """Numbers a field's vector has in a network's embedding (D)."""
        return network.size or self.embedding.size

    def named(self, role: Literal["teacher", "student"] | str) -> list[tuple[str, Any]]:
        """The teachers or students, one by one, with the names they have in folders and tables."""
        members = [(member, copy) for member in getattr(self, role) for copy in range(1, member.seeds + 1)]
        if len(members) == 1:
            return [(members[0][0].name or role, members[0][0])]
        found = []
        for index, (member, copy) in enumerate(members, 1):
            name = f"{member.network}-{index}" if member.name is None else member.name
            several = member.name is not None and member.seeds > 1
            found.append((f"{name}-{copy}" if several else name, member.model_copy(update={"seeds": 1})))
        return found

    @property
    def recombination(self) -> Literal["sides", "fields"] | None:
        """How distillation makes rows that nobody logged; None where it has none: scores are of the log's rows."""
        how, schema = self.distillation, self.student_schema
        if how.recombined == 0 or self.scores is not None:
            return None
        if how.pool != "fields" and schema.has_sides:
            return "sides"
        return "fields" if how.pool != "sides" and len(schema.columns) > 1 else None


def _with_network(member: Any, default: str) -> Any:
    if not isinstance(member, dict):
        return member
    return {**member, "network": network_named(member, default)}
