"""How a student learns from its teacher, and how it is finetuned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from dagfm.config.section import Section


class DistillationConfig(Section):
    """loss = alpha * BCE on labelled rows + beta * mean((teacher logit - student logit)^2) on all rows."""

    alpha: NonNegativeFloat = 0.0
    """Weight of the clicks; 0 learns from the teacher alone."""
    beta: PositiveFloat = 1.0
    """Weight of the teacher."""
    embedding: Literal["teacher_trainable", "teacher_frozen", "own"] = "teacher_trainable"
    """Where the student's embedding starts: the teacher's, which then trains or stays frozen, or its own random one.
    Where no teacher has its size, from the principal axes of the first one's."""
    network: Literal["teacher", "own"] = "teacher"
    """Where the rest of the student starts: from a teacher that is the same network at the same size, the best of them
    on validation rows, or at random where there is none; or always at random."""
    head: Literal["shared", "separate"] = "shared"
    """separate: a second head, which is not served, learns the teacher's logit; the served head learns the clicks on
    the same states, which get ``alpha`` times its gradient, and in finetuning it alone."""
    recombined: NonNegativeFloat = 1.0
    """Unlabelled rows per labelled row, of two training rows each; 0 if not said where teachers have extra fields."""
    recombined_cap: PositiveInt = 20_000_000
    """At most this many recombined rows are scored by the teacher: every epoch has fresh ones until they are used up,
    then they come again."""
    recombined_from: Literal["popularity", "uniform"] = "popularity"
    """Of pools by sides, how candidates are drawn: popularity, as often as training rows hold them; uniform, each as
    often as any other, by the candidate field of most ids."""
    pool: Literal["auto", "sides", "fields"] = "auto"
    """What a recombined row is: sides, the context fields of one training row with the candidate fields of another;
    fields, a training row with one column of another; auto: sides where the fields name two, else fields."""
    combine: Literal["auto", "mean", "weighted"] = "auto"
    """How several teachers' logits become one: mean; weighted, by the weights (none negative, 1 in all) of the lowest
    logloss on validation rows; auto: weighted where that gains more than two standard errors."""
    calibrate: bool | Literal["auto"] = "auto"
    """Multiply the teacher's logits by the number with the lowest logloss on validation rows; auto: where that gains
    more than two standard errors."""
    clip: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    """Clip the teacher's logits to this quantile of the training rows' logits and to 1 minus it; 0 leaves them."""


class FinetuningConfig(Section):
    """loss = BCE + kd_weight * mean((teacher logit - student logit)^2) on labelled rows."""

    kd_weight: NonNegativeFloat = 1.0
    """Weight of the teacher; 0 finetunes on the clicks alone."""
