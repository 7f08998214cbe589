"""How everything is trained, phase by phase."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from dagfm.config.phases import PhaseConfig, ScratchConfig
from dagfm.config.section import Section

PhaseName = Literal["teacher_training", "distillation", "finetuning"]
PHASES: tuple[PhaseName, ...] = ("teacher_training", "distillation", "finetuning")


class TrainingConfig(Section):
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
    unseen: Literal["auto", "mean", "hidden"] = "auto"
    """What stands for an id that training rows do not hold. mean: the mean of the field's vectors by frequency; hidden:
    a vector that is learned, from training rows whose id no other row holds. auto: hidden where a field is a cross with
    vectors of its own, whose combinations mostly come once."""
    teacher_training: PhaseConfig = PhaseConfig(
        learning_rate=1e-2, epochs="auto", patience=5, decay="auto", dropout="auto", ema=0.999
    )
    distillation: PhaseConfig = PhaseConfig(learning_rate=1e-2, epochs="auto", monitor="logit_mse")
    # By logloss: AUC on validation rows is noisier, and the best of a few epochs by it was worse than no finetuning.
    finetuning: PhaseConfig = PhaseConfig(learning_rate=5e-4, epochs=3, monitor="logloss", ema=0.999)
    scratch: ScratchConfig = ScratchConfig(learning_rate=1e-2, epochs=14, patience=5, ema=0.999)
    # Nothing scales the products of an FM's vectors: decay that suits other networks leaves few directions of them, and
    # the best one differs a hundredfold between logs.
    fm: ScratchConfig = ScratchConfig(learning_rate=1e-2, epochs=14, patience=5, ema=0.999, decay=(3e-6, 3e-5, 3e-4))

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
