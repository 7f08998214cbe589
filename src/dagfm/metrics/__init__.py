"""How good scores are: figures of one model, differences between two, and figures within groups; in NumPy alone."""

from dagfm.metrics.figures import Float64, auc, calibration, cross_entropy, logit_mse, logloss, mean, sigmoid
from dagfm.metrics.groups import GroupFigures, figures_within, ndcg_key
from dagfm.metrics.paired import Difference, Standing, auc_difference, logloss_difference, mean_difference
from dagfm.metrics.stability import Shift, shift

__all__ = [
    "Difference",
    "Float64",
    "GroupFigures",
    "Shift",
    "Standing",
    "auc",
    "auc_difference",
    "calibration",
    "cross_entropy",
    "figures_within",
    "logit_mse",
    "logloss",
    "logloss_difference",
    "mean",
    "mean_difference",
    "ndcg_key",
    "shift",
    "sigmoid",
]
