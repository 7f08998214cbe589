"""Down-sampled non-clicks: from what a model of the sample says to what is true of the whole log."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dagfm.config.data import NegativesConfig
from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Float32


@dataclass(frozen=True)
class Sampling:
    """Which share of the non-clicks training sees, and whether validation and test rows hold no more of them.

    With a share w of the non-clicks the odds of a click are 1/w times the true ones, so the true logit is the model's
    plus log(w), exactly: q = p / (p + (1 - p) / w) (He et al., "Practical Lessons from Predicting Clicks on Ads at
    Facebook", ADKDD 2014, section 6.3). Models, checkpoints and teacher logits are all of the sample; what is told and
    served is corrected.
    """

    share: float = 1.0
    everywhere: bool = False

    @classmethod
    def of(cls, negatives: NegativesConfig | None) -> Sampling:
        """What the configuration says."""
        return cls() if negatives is None else cls(negatives.share, negatives.keep is None)

    @property
    def shift(self) -> float:
        """What is added to a model's logit; 0 where nothing is sampled."""
        return math.log(self.share)

    @property
    def negatives_weigh(self) -> float:
        """How many non-clicks of the log each one of validation and test stands for."""
        return 1 / self.share if self.everywhere else 1.0

    def judged(self, dataset: Dataset) -> tuple[Float32, Float32 | None]:
        """Labels and weights (n,) of validation or test rows as the whole log has them.

        A row that stands for clicks and non-clicks (a label between 0 and 1) stands for more non-clicks.
        """
        labels, weights = dataset.labels, dataset.weights
        if self.negatives_weigh == 1:
            return labels, weights
        grown: Float32 = labels + (1 - labels) * np.float32(self.negatives_weigh)
        clicks: Float32 = labels / grown
        return clicks, grown if weights is None else weights * grown
