"""The check before a bundle serves: it is whole, and it scores its golden rows as where it was made."""

from __future__ import annotations

import logging
from pathlib import Path

from dagfm.errors import InputError
from dagfm.files import open_sealed
from dagfm.server.sources import fingerprint
from dagfm.serving.bundle import FORMAT, KIND
from dagfm.serving.golden import check_golden
from dagfm.serving.scorer import Scorer, load

log = logging.getLogger(__name__)


def check_whole(bundle: Path) -> None:
    """Raises InputError when a file of ``bundle`` is missing or is not as the manifest says, of every size."""
    open_sealed(bundle, KIND, FORMAT)


def load_checked(bundle: Path, mark: str, verify: bool) -> Scorer:
    """The scorer of ``bundle``, whose fingerprint is ``mark``, warm; ``verify`` reads large files through, too.

    Raises InputError when the bundle is damaged, incomplete, or changed while it was read, and DagfmError when it
    scores its golden rows differently than where it was made.
    """
    if verify:
        check_whole(bundle)
    scorer = load(bundle)
    if fingerprint(bundle) != mark:
        raise InputError(f"{bundle}: was replaced while it was read")
    scorer.warm_up()
    if check_golden(scorer) is None:
        log.info("%s: carries no golden rows, so how it scores is not checked", bundle)
    return scorer
