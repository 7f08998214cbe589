"""Smaller bundles: the same student in narrower numbers, measured before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dagfm.errors import DagfmError, InputError
from dagfm.files import MANIFEST, digest
from dagfm.serving.bundle import Bundle, bundle_in, check_target, read_bundle, sizes, write_bundle
from dagfm.serving.comparison import Comparison, Sample, compared, measured
from dagfm.serving.drawn import drawn
from dagfm.serving.golden import with_golden
from dagfm.serving.quantised import expanded, halves, quantised
from dagfm.serving.scorer import Scorer

ALLOWED = 1e-4
"""Loss of AUC, or of logloss, that nobody has to allow."""
QUICK = 1 << 16
"""Tokens whose index is made in a few milliseconds, and takes as much room as their vectors."""
_DRAWN = 5000
"""Rows on which scores are compared where there are no labelled ones."""


@dataclass(frozen=True)
class Exported:
    """What became of a smaller bundle."""

    kind: tuple[str, str]
    """Of the table's numbers, before and after."""
    sizes: tuple[Mapping[str, int], Mapping[str, int]]
    """As ``bundle.sizes`` gives them, before and after."""
    comparison: Comparison


def export(
    path: str | Path,
    new: str | Path,
    kind: str,
    *,
    embedding_only: bool = False,
    sample: Sample | None = None,
    allowed: float = ALLOWED,
    indexes: bool = True,
) -> Exported:
    """Write to ``new`` the bundle at ``path``, or in the run ``path``, with weights of this kind, as ``narrowed``.

    Its card says what it was made from and what was measured on ``sample``; without one the scores of drawn rows are
    compared, and no accuracy is known. It has golden rows of its own. ``indexes`` False leaves out the indexes of large
    vocabularies too; those of small ones are left out always, as they are made in an instant.
    Raises InputError where the bundle is damaged or small already, or ``new`` holds something else, and DagfmError
    where AUC or logloss is worse by more than ``allowed``; nothing is written then.
    """
    directory, target = bundle_in(path), Path(new)
    if target.exists() and target.resolve() == directory.resolve():
        raise InputError(f"{target}: is the bundle itself, whose numbers would be gone; name another folder")
    check_target(target)
    bundle = read_bundle(directory, verify=True)
    before, smaller = Scorer(bundle), narrowed(bundle, kind, embedding_only)
    after = Scorer(smaller)
    if sample is None:
        comparison = compared(before, after, drawn(bundle, _DRAWN))
    else:
        comparison = measured(before, after, sample)
        _check(comparison, kind, allowed)
    weights = {
        "kind": kind,
        "embedding_only": embedding_only,
        "bundle": digest(directory / MANIFEST),
        **({"weights": bundle.card["weights"]} if "weights" in bundle.card else {}),
        "measured": comparison.told(),
    }
    card = {**bundle.card, "weights": weights}
    write_bundle(target, with_golden(replace(smaller, card=card), after), QUICK if indexes else np.inf)
    return Exported((_kind(bundle), kind), (sizes(directory), sizes(target)), comparison)


def narrowed(bundle: Bundle, kind: str, embedding_only: bool = False) -> Bundle:
    """``bundle`` with a table of this kind, without golden rows.

    Where the table is narrower than float32, so are the network's matrices, as half floats, unless ``embedding_only``
    says otherwise. Raises InputError for another kind, and for numbers that were made narrower before: to do so again
    would lose more than is measured.
    """
    if kind != "float32" and any(one.dtype != np.float32 for one in bundle.arrays.values()):
        raise InputError(
            f"the bundle's weights are {_kind(bundle)} already; make {kind} ones from the float32 bundle that these "
            "were made from"
        )
    table = quantised(expanded(bundle.table), kind)
    arrays = {"embedding.weight": table.rows}
    if table.scales is not None:
        arrays["embedding.scales"] = table.scales
    for name, array in bundle.arrays.items():
        if not name.startswith("embedding."):
            small = kind != "float32" and not embedding_only and array.ndim > 1
            arrays[name] = halves(array) if small else np.asarray(array, np.float32)
    return replace(bundle, arrays=arrays, golden=None)


def _kind(bundle: Bundle) -> str:
    """What the table's numbers are; where these are float32 alone, that the network's are not."""
    kinds = {str(one.dtype) for one in bundle.arrays.values()}
    table = str(bundle.table.rows.dtype)
    return table if table != "float32" or kinds == {"float32"} else ", ".join(sorted(kinds))


def _check(comparison: Comparison, kind: str, allowed: float) -> None:
    found = comparison.measured
    assert found is not None, "of labelled rows"
    if not found.loss <= allowed:
        raise DagfmError(
            f"{kind} weights make the bundle worse by {found.loss:.2g}, allowed is {allowed:g}: on {comparison.rows:,} "
            f"{found.on} AUC goes from {found.before.auc:.5f} to {found.after.auc:.5f} (standard error of the "
            f"difference {found.auc.standard_error:.1g}), logloss from {found.before.logloss:.5f} to "
            f"{found.after.logloss:.5f}. Nothing was written; try wider weights, more rows where they are few, or "
            "allow it with --allow-loss"
        )
