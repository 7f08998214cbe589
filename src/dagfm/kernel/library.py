"""Finding and opening the compiled library, and choosing its version for this processor."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from dagfm.errors import InputError

SWITCH = "DAGFM_KERNEL"
"""The environment variable: ``off``, or the version to use; without it the best that the processor has."""

VERSIONS = ("base", "avx2", "avx512")
"""In the order of the library's numbers; ``base`` is what every processor of its kind has (NEON on arm64)."""

_INTEGERS = "rows fields size depth message connect threads version row_stride field_stride"
_ADDRESSES = (
    "x p q c head bias out grad grad_x grad_p grad_q grad_c grad_head grad_bias"
    " loss labels of_clicks teacher of_distances scratch"
)

_ADDRESS, _INTEGER = ctypes.c_void_p, ctypes.c_int64

_FUNCTIONS: dict[str, list[Any]] = {
    "dagfm_packed": [_ADDRESS],
    "dagfm_pack": [_ADDRESS, _ADDRESS],
    "dagfm_score_scratch": [_ADDRESS, _INTEGER, _INTEGER],
    "dagfm_score": [_ADDRESS, _ADDRESS],
    "dagfm_rank_packed": [_ADDRESS],
    "dagfm_rank_pack": [_ADDRESS, _ADDRESS],
    "dagfm_rank_scratch": [_ADDRESS],
    "dagfm_rank_context": [_ADDRESS],
    "dagfm_rank_candidate": [_ADDRESS],
    "dagfm_keep_contexts": [_ADDRESS, _ADDRESS, _ADDRESS],
    "dagfm_keep_candidates": [_ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS],
    "dagfm_rank": [_ADDRESS, _ADDRESS, _INTEGER, _ADDRESS, _ADDRESS, _INTEGER, _ADDRESS, _ADDRESS],
    "dagfm_rank_once": [_ADDRESS, _ADDRESS, _INTEGER, _ADDRESS, _ADDRESS],
    "dagfm_falling": [_ADDRESS, _INTEGER, _ADDRESS, _ADDRESS],
    "dagfm_index_size": [_INTEGER, _INTEGER],
    "dagfm_index_open": [_ADDRESS, _ADDRESS, _INTEGER],
    "dagfm_index_build": [_ADDRESS, _INTEGER, _INTEGER, _ADDRESS],
    "dagfm_encode_table": [_ADDRESS, _ADDRESS],
    "dagfm_release_values": [_ADDRESS],
}
"""What scoring and encoding call, all with an integer as result."""


class Call(ctypes.Structure):
    """``dagfm_call`` of call.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _INTEGERS.split()),
        *((name, ctypes.c_void_p) for name in _ADDRESSES.split()),
    ]


_TABLE_INTEGERS = "size values bags rows threads version rule"
_TABLE_ADDRESSES = "ids offsets owners shares row starts places weight out grad scratch"
_TABLE_STATE = (
    "mean square last rates path mean_fix square_fix mean_left square_left mean_run average averaged average_left"
)


class TableCall(ctypes.Structure):
    """``dagfm_table`` of table_call.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _TABLE_INTEGERS.split()),
        *((name, ctypes.c_void_p) for name in _TABLE_ADDRESSES.split()),
        ("step", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("decay", "epsilon")),
        *((name, ctypes.c_void_p) for name in _TABLE_STATE.split()),
    ]


class AdamRule(ctypes.Structure):
    """``adam_rule`` of adam_call.h."""

    _fields_ = [(name, ctypes.c_float) for name in ("rate", "mean_left", "square_left", "square_fix", "epsilon")]


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built, cannot be opened or is switched off; the reason is logged, once.

    ctypes lets other Python threads run during a call.
    """
    if os.environ.get(SWITCH) == "off":
        return None
    paths = [Path(__file__).with_name(f"native{suffix}") for suffix in EXTENSION_SUFFIXES]
    path = next((path for path in paths if path.exists()), None)
    slower = "DAGFM trains and scores through torch and NumPy, several times slower"
    if path is None:
        _log().warning("the compiled kernel is missing (no C compiler when dagfm was installed): %s", slower)
        return None
    try:
        found = ctypes.CDLL(str(path))
    except OSError as error:
        _log().warning("the compiled kernel cannot be opened (%s): %s", error, slower)
        return None
    if not _built_from_these_sources(found):
        _log().warning("the compiled kernel was built from other sources (install dagfm again): %s", slower)
        return None
    found.dagfm_best_version.restype = ctypes.c_int64
    found.dagfm_scratch.restype = ctypes.c_int64
    found.dagfm_scratch.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    found.dagfm_group.restype = ctypes.c_int64
    found.dagfm_group.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
    found.dagfm_drop.restype = None
    found.dagfm_drop.argtypes = [
        *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_float),
        ctypes.c_int64,
    ]
    found.dagfm_adam.restype = None
    found.dagfm_adam.argtypes = [
        *(ctypes.c_void_p, ctypes.c_int64, ctypes.c_float),
        *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64),
    ]
    in_place = "forward backward pool scatter catch_up step"
    for function in (getattr(found, f"dagfm_{name}") for name in in_place.split()):
        function.restype = None
        function.argtypes = [ctypes.c_void_p]
    for name, arguments in _FUNCTIONS.items():
        function = getattr(found, name)
        function.restype, function.argtypes = ctypes.c_int64, arguments
    return found


@lru_cache(maxsize=1)
def dict_reader() -> Any:
    """The function that encodes dicts, which holds Python's lock while it reads them and passes on what their own code
    raises; None where Python's headers were missing when the kernel was built, which is logged, once."""
    found = library()
    if found is None:
        return None
    if not hasattr(found, "dagfm_encode_dicts"):
        slower = "rows that come as Python's own dicts, lists and texts are encoded several times slower"
        _log().warning("Python.h was missing when dagfm was installed: %s", slower)
        return None
    function = ctypes.PyDLL(found._name).dagfm_encode_dicts
    function.restype, function.argtypes = ctypes.c_int64, [_ADDRESS, _ADDRESS, ctypes.py_object]
    return function


@lru_cache(maxsize=1)
def text_functions() -> tuple[Any, Any] | None:
    """The functions that join and cut texts of Python; None where ``dict_reader`` is."""
    found = library()
    if dict_reader() is None or found is None:
        return None
    native = ctypes.PyDLL(found._name)
    join, cut = native.dagfm_join_texts, native.dagfm_cut_texts
    join.restype = cut.restype = ctypes.py_object
    join.argtypes = [_ADDRESS, _INTEGER, _INTEGER, ctypes.py_object, _ADDRESS, _ADDRESS]
    cut.argtypes = [ctypes.c_char_p, _INTEGER, _INTEGER]
    return join, cut


def _built_from_these_sources(found: ctypes.CDLL) -> bool:
    """Whether the library is that of this checkout, whose structures it shares; where there are no sources, it is."""
    sources = sorted((Path(__file__).parent / "source").glob("*.[ch]"))
    if not sources:
        return True
    if not hasattr(found, "dagfm_sources"):
        return False
    found.dagfm_sources.restype = ctypes.c_uint64
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).digest()
    return bool(found.dagfm_sources() == int.from_bytes(digest[:8], "big"))


def versions() -> tuple[str, ...]:
    """The versions that this processor can run, the best last; none without the library."""
    found = library()
    return () if found is None else VERSIONS[: found.dagfm_best_version() + 1]


@lru_cache(maxsize=1)
def chosen_version() -> str | None:
    """The version in use: the one that the environment asks for, else the best; None: no kernel.

    Raises InputError when the environment asks for one that this processor does not have.
    """
    asked, found = os.environ.get(SWITCH), versions()
    if asked in (None, "", "off") or not found:
        return found[-1] if found else None
    if asked not in found:
        raise InputError(f"{SWITCH}={asked}: expected off or a version that this processor has: {', '.join(found)}")
    return asked


def _log() -> logging.Logger:
    return logging.getLogger("dagfm.kernel")
