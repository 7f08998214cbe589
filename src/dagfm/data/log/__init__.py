"""Reading: a click log in any format and of any size, as one stream of rows with its side tables joined."""

from dagfm.data.log.log import AbsentColumnError, Log, as_frame
from dagfm.data.log.opening import identities, open_log
from dagfm.data.log.paths import told

__all__ = ["AbsentColumnError", "Log", "as_frame", "identities", "open_log", "told"]
