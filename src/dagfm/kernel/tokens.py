"""The index of a vocabulary's tokens: built once, read by the kernel from memory or from a mapped file."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dagfm.errors import InputError
from dagfm.kernel.library import library


class Table(Protocol):
    """Whatever exports Arrow's C stream: a polars frame, a column of texts."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


class Opened(ctypes.Structure):
    """``token_index`` of index.h."""

    _fields_ = [
        ("slots", ctypes.c_uint64),
        ("tokens", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("slot", ctypes.c_void_p),
        ("bytes", ctypes.c_void_p),
    ]


class TokenIndex:
    """From a token's bytes to its rank, as every process that maps the same file shares it."""

    def __init__(self, memory: NDArray[np.uint8], origin: str) -> None:
        """``memory``: what ``built`` made. Raises InputError naming ``origin`` where it is something else."""
        native = library()
        assert native is not None, "callers ask whether the kernel is available"
        self.memory, self.opened = memory, Opened()
        if native.dagfm_index_open(ctypes.addressof(self.opened), memory.ctypes.data, len(memory)):
            raise InputError(f"{origin}: not an index of tokens; the file is damaged")

    @property
    def tokens(self) -> int:
        """How many it has."""
        return int(self.opened.tokens)

    @classmethod
    def mapped(cls, path: Path) -> TokenIndex:
        """The index in a file, which is read as it is needed; raises InputError naming a file that is none."""
        try:
            return cls(np.memmap(path, np.uint8, "r"), str(path))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not an index of tokens ({error}); the file is damaged") from None


def built(tokens: Table, count: int, size: int) -> NDArray[np.uint8] | None:
    """The index of ``count`` distinct tokens, in rank order, with ``size`` bytes of UTF-8 in all.

    None where a token is longer than 16 MB.
    """
    native = library()
    assert native is not None, "callers ask whether the kernel is available"
    memory = np.zeros(native.dagfm_index_size(count, size), np.uint8)
    capsule = tokens.__arrow_c_stream__()
    failed = native.dagfm_index_build(memory.ctypes.data, count, size, stream_address(capsule))
    return None if failed else memory


def stream_address(capsule: Any) -> int:
    """Where the stream lies that ``__arrow_c_stream__`` gave; the capsule has to outlive its use."""
    address: int = _POINTER(capsule, b"arrow_array_stream")
    return address


_POINTER = ctypes.pythonapi.PyCapsule_GetPointer
_POINTER.restype, _POINTER.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
