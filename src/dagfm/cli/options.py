"""Options that several verbs have: their help, and what their values mean."""

from __future__ import annotations

from dagfm.errors import InputError

MEMORY_HELP = "Memory that preparation may take, such as 800MB or 4GB; 1.5GB if not said."

_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "b": 1}
_LEAST = 100 * 10**6


def parse_memory(text: str | None) -> int:
    """Bytes that ``--memory`` allows, the default where it is not said. Raises what ``parse_size`` raises."""
    from dagfm.data.prepare import MEMORY

    return parse_size(text) if text else MEMORY


def parse_size(text: str, least: int = _LEAST) -> int:
    """Bytes of ``1.5GB``, ``800 MB`` or ``2GiB``. Raises InputError for anything else, and for less than ``least``."""
    word = text.strip().lower().replace("_", "")
    unit = next((unit for unit in sorted(_UNITS, key=len, reverse=True) if word.endswith(unit)), None)
    try:
        size = int(float(word.removesuffix(unit or "")) * _UNITS[unit or "b"])
    except (ValueError, OverflowError):
        raise InputError(f"'{text}': expected a size such as 800MB, 1.5GB or 2GiB") from None
    if size < least:
        raise InputError(f"'{text}': expected {least // 10**6}MB or more" if least >= 10**6 else f"'{text}': too small")
    return size
