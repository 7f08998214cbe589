"""Principal axes: the directions in which vectors differ most."""

from __future__ import annotations

import numpy as np

from dagfm.metrics import Float64


def principal_axes(scatter: Float64) -> tuple[Float64, Float64]:
    """The axes of a scatter matrix (D, D), the longest first: their directions, a column each, and shares (D,).

    The largest number of each is positive, so that equal vectors give equal axes.
    """
    lengths, axes = np.linalg.eigh(scatter)
    lengths, axes = np.maximum(lengths[::-1], 0.0), axes[:, ::-1]
    peaks = axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))]
    return axes * np.sign(peaks), lengths / max(float(lengths.sum()), np.finfo(np.float64).tiny)
