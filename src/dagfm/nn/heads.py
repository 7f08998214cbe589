"""An embedding's columns divided among heads."""

from __future__ import annotations

import torch
from torch import Tensor


def head_by_head(x: Tensor, heads: int) -> Tensor:
    """Flatten field embeddings (B, F, D) to (B, F·D): the first of ``heads`` shares of the columns of all fields first.

    Shares are equal, or the first ones a column wider where ``heads`` does not divide D.
    """
    return torch.cat([share.flatten(1) for share in x.tensor_split(heads, -1)], 1)
