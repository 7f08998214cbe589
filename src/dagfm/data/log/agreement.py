"""Whether two logs hold the same kinds of values, so that what is learned from one means something on the other."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from dagfm.data.log.kinds import is_list, told_kind
from dagfm.data.log.log import Log
from dagfm.errors import InputError


def check_alike(train: Log, other: Log, columns: Iterable[str]) -> None:
    """Raise InputError where one of ``columns`` holds lists in one log and single values in the other.

    Text and numbers may stand for each other: "1" and 1 are one token, and one number. Columns that a log lacks are
    for its reader to miss.
    """
    for name in columns:
        one, two = train.types.get(name), other.types.get(name)
        if one is None or two is None or pa.types.is_null(one) or pa.types.is_null(two):
            continue
        if is_list(one) != is_list(two):
            raise InputError(
                f"{other.origin}: column '{name}' is {told_kind(two)}, but {told_kind(one)} in {train.origin}; "
                f"expected {'lists' if is_list(one) else 'single values'} in both"
            )
