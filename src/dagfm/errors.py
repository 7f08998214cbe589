"""The errors a user sees: what went wrong, where, what was expected, and the exit code that goes with it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_LONG, _MANY = 100, 1000


class DagfmError(Exception):
    """Something failed that is nobody's mistake in the input, such as a full disk (exit code 1)."""

    exit_code = 1


class InputError(DagfmError):
    """The input or the configuration is wrong; the message names the file, row or key (exit code 2)."""

    exit_code = 2


def needs(command: str, extra: str, missing: ImportError) -> DagfmError:
    """The error of a ``command`` whose packages, those of an ``extra``, are not all installed."""
    return DagfmError(f"{command} needs more packages ({missing}): pip install 'dagfm[{extra}]'")


def listed(valid: Iterable[object]) -> str:
    """The valid values as a readable list: ``a, b, c``."""
    return ", ".join(str(value) for value in valid)


def suggestion(word: str, valid: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for the nearest valid word, or the empty string when none is near.

    Looks at the first thousand only, and for no word that is very long: either may come from a server's client.
    """
    near = get_close_matches(word, list(islice(valid, _MANY)), n=1, cutoff=0.6) if len(word) <= _LONG else []
    return f" Did you mean '{near[0]}'?" if near else ""
