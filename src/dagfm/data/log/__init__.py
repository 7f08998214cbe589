"""Reading: a click log in any format and of any size, as one stream of rows with its side tables joined."""

from dagfm.data.log.agreement import check_alike
from dagfm.data.log.beginning import first_rows
from dagfm.data.log.formats import format_of
from dagfm.data.log.log import AbsentColumnError, Log, as_frame
from dagfm.data.log.opening import identities, open_log
from dagfm.data.log.paths import expand, told
from dagfm.data.log.spooling import spool

__all__ = [
    "AbsentColumnError",
    "Log",
    "as_frame",
    "check_alike",
    "expand",
    "first_rows",
    "format_of",
    "identities",
    "open_log",
    "spool",
    "told",
]
