"""How one phase is optimised: the keys of every training phase."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from dagfm.config.section import Section

Decay = NonNegativeFloat | Literal["auto"]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)] | Literal["auto"]


class PhaseConfig(Section):
    """How one phase is optimised."""

    learning_rate: PositiveFloat | Literal["auto"]
    """Of Adam, at its highest: at the first step unless there are ``warm_up_steps``. auto: from a trial of 150 steps at
    growing rates."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """cosine falls to zero over all epochs."""
    warm_up_steps: NonNegativeInt = 0
    """Steps in which the learning rate first rises to ``learning_rate``, in a line."""
    epochs: PositiveInt | Literal["auto"]
    """At most this many passes over the training rows; auto: as many as make 3,200 steps, 2 to 20; of distillation 12,
    and 48 where the student's embedding starts at random."""
    evaluations_per_epoch: PositiveInt | Literal["auto"] = "auto"
    """Validations in each epoch; the weights of the best are kept. auto: one for every 2,000 steps, 1 to 5."""
    patience: PositiveInt = 3
    """Epochs without a better validation figure before the phase stops, within an epoch if need be."""
    monitor: Literal["auc", "logloss", "logit_mse"] = "auc"
    """Validation figure that chooses the weights; logit_mse, the distance to the teacher's logits, needs a teacher."""
    decay: Decay = 0.0
    """L2 added to the gradient of every embedding row at every step, before Adam's moments; auto: 0.25 over the square
    root of the training rows."""
    updated_rows: Literal["all", "looked_up", "auto"] = "auto"
    """Embedding rows that a step touches: all, or those that its batch looks up, which then make up for the steps
    without them. auto: looked_up where the table has more than 50,000 rows, or ``embedding_optimizer`` is not adam."""
    embedding_optimizer: Literal["adam", "adagrad", "sgd"] = "adam"
    """What moves the embedding; adagrad keeps one sum of squares a row. The network's weights are always moved by
    adam."""
    dropout: Dropout = 0.0
    """Dropout on the embedding's output; auto: 0.3 at 200 training cells an embedding row, 0.1 less a doubling,
    0 to 0.5."""
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Decay a step of an exponential moving average of the weights, which is evaluated and kept in their place; 0: the
    weights themselves are."""

    @model_validator(mode="after")
    def _all_rows_are_moved_by_adam(self) -> Self:
        if self.updated_rows == "all" and self.embedding_optimizer != "adam":
            raise ValueError(f"updated_rows: 'all' comes with adam alone; {self.embedding_optimizer}: looked_up, auto")
        return self


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
