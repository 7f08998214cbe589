"""The check before a bundle serves: it is whole, and it scores its golden rows as where it was made."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from dagfm.errors import DagfmError, InputError
from dagfm.server.sources import fingerprint
from dagfm.serving.scorer import Scorer, load

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Of a probability: processors add in different orders, which at worst changes it by a few 1e-5."""


def load_checked(bundle: Path) -> tuple[Scorer, str]:
    """The scorer of ``bundle``, warm, and its fingerprint.

    Raises InputError when the bundle is damaged, incomplete, or changed while it was read, and DagfmError when it
    scores its golden rows differently than where it was made.
    """
    before = fingerprint(bundle)
    scorer = load(bundle)
    if fingerprint(bundle) != before:
        raise InputError(f"{bundle}: was replaced while it was read")
    warm_up = getattr(scorer, "warm_up", None)
    if warm_up is not None:
        warm_up()
    golden = getattr(scorer.bundle, "golden", None)
    if golden is None:
        log.info("%s: carries no golden rows, so how it scores is not checked", bundle)
        scorer.predict([dict.fromkeys(scorer.schema.columns)])  # warm, at least
        return scorer, before
    scores = scorer.predict(golden.columns)
    worst = float(np.abs(scores - np.array(golden.probabilities)).max(initial=0.0))
    if not worst <= TOLERANCE:
        raise DagfmError(
            f"{bundle}: its golden rows score otherwise than where it was made, by up to {worst:.2g}, "
            f"allowed is {TOLERANCE:g}"
        )
    return scorer, before
