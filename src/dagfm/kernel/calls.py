"""Calls of the compiled kernel: NumPy arrays in, logits, summed states and gradients out, without copies."""

from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.library import VERSIONS, Call, chosen_version, library

Floats = NDArray[np.float32]

MESSAGES = ("inner", "outer")
COMPUTED = (*MESSAGES, "cross")
"""In the order of call.h's numbers; CrossNet is no DAGFM, but called like one."""
CONNECTS = ("none", "causal", "full")


def available(message: str) -> bool:
    """Whether the kernel is there and computes messages of this type, or "cross"."""
    return message in COMPUTED and chosen_version() is not None


def processor_threads() -> int:
    """How many threads a process without torch uses: as NumPy's products, ``OMP_NUM_THREADS`` or every processor."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Weights:
    """The parameters of a DAGFM of F fields and D columns, all float32 and contiguous, as ``nn.DAGFM`` documents them.

    Of a CrossNet, whose message is "cross" and connect "none", ``p`` is W, ``q`` is b, and there is a head, all as
    ``nn.CrossNet`` documents them. Raises ValueError when an array is of another shape or type, or would have to be
    copied.
    """

    message: str
    connect: str
    p: Floats
    """(depth, pairs, D)."""
    fields: int
    q: Floats | None = None
    """(depth, pairs, D), of outer messages."""
    c: Floats | None = None
    """(pairs,) where connect is causal, (F, F) where it is full."""
    head: Floats | None = None
    """(1, F·(depth+1)); without it the summed states themselves are the result."""
    bias: Floats | None = None
    """(1,), with ``head``."""
    call: Call = field(init=False, repr=False, compare=False)
    """The parts of a call that stay."""

    def __post_init__(self) -> None:
        depth, pairs, size = self.p.shape
        if self.message == "cross":
            width, size = size, size // self.fields
            if self.head is None or width != size * self.fields:
                raise ValueError(f"W is {width} wide, expected {self.fields} fields of some size and a head")
            shapes = {"p": (depth, width, width), "q": (depth, width)}
        else:
            shapes = {"p": (depth, self.fields * (self.fields + 1) // 2, size)}
            shapes |= {"q": shapes["p"]} if self.message == "outer" else {}
        expected: dict[str, tuple[int, ...] | None] = {
            "q": None,
            **shapes,
            "c": {"none": None, "causal": (pairs,), "full": (self.fields, self.fields)}[self.connect],
            "head": None if self.head is None else (1, self.sums),
            "bias": None if self.head is None else (1,),
        }
        call = Call(fields=self.fields, size=size, depth=depth)
        call.message, call.connect = COMPUTED.index(self.message), CONNECTS.index(self.connect)
        for name, shape in expected.items():
            array = getattr(self, name)
            if shape is not None:
                setattr(call, name, _address(name, array, shape))
            elif array is not None:
                raise ValueError(f"{name} is given, expected none")
        if min(depth, pairs, size) < 1:
            raise ValueError(f"p has shape {self.p.shape}, expected at least one layer, field and column")
        object.__setattr__(self, "call", call)

    @property
    def sums(self) -> int:
        """How many numbers of a row the head weighs."""
        return self.p.shape[2] if self.message == "cross" else self.fields * (len(self.p) + 1)


@dataclass(frozen=True)
class Gradients:
    """Of everything that takes part, in the shapes of the arrays themselves."""

    x: Floats | None
    p: Floats
    q: Floats | None
    c: Floats | None
    head: Floats | None
    bias: Floats | None


@dataclass(frozen=True)
class Terms:
    """A loss of B logits: ``Σ of_clicks · cross-entropy(label) + Σ of_distances · (logit - teacher)²``, float32 (B,).

    A row with a weight of zero has no such term, whatever its label or teacher's logit is. Without both of a pair its
    sum is left out.
    """

    labels: Floats | None = None
    of_clicks: Floats | None = None
    teacher: Floats | None = None
    of_distances: Floats | None = None


@dataclass(frozen=True)
class Descent:
    """A loss, the logits (B,) that it is of, and its gradients: of the logits (B,), and of everything else."""

    loss: float
    logits: Floats
    of_logits: Floats
    gradients: Gradients


def forward(weights: Weights, x: Floats, threads: int = 1, version: str | None = None) -> Floats:
    """Field embeddings (B, F, D) to logits (B,), or without a head to summed states (B, F·(depth+1)).

    ``x`` may have strides of its own, but for the last axis. ``version`` is one of ``library.versions()``.
    """
    call = _call(weights, x, threads, version)
    out = np.empty(len(x) if weights.head is not None else (len(x), weights.sums), np.float32)
    call.out = out.ctypes.data
    _run(call, backward=False)
    return out


def backward(
    weights: Weights, x: Floats, grad: Floats, threads: int = 1, version: str | None = None, wants_x: bool = True
) -> Gradients:
    """The gradients of everything, from that of ``forward``'s result; all layers are computed again on the way."""
    call = _call(weights, x, threads, version)
    call.grad = _address("grad", grad, (len(x),) if weights.head is not None else (len(x), weights.sums))
    found = _gradients(call, weights, x, wants_x)
    _run(call, backward=True)
    return found


def descend(
    weights: Weights, x: Floats, terms: Terms, threads: int = 1, version: str | None = None, wants_x: bool = True
) -> Descent:
    """A loss of the logits of ``x`` (B, F, D) and all its gradients, each layer computed once; with a head alone."""
    if weights.head is None:
        raise ValueError("a loss is one of logits: weights have no head")
    call = _call(weights, x, threads, version)
    logits, of_logits, loss = np.empty(len(x), np.float32), np.empty(len(x), np.float32), np.zeros(1)
    call.out, call.grad, call.loss = logits.ctypes.data, of_logits.ctypes.data, loss.ctypes.data
    for name, value in vars(terms).items():
        if value is not None:
            setattr(call, name, _address(name, value, (len(x),)))
    if (terms.labels is None) != (terms.of_clicks is None) or (terms.teacher is None) != (terms.of_distances is None):
        raise ValueError("labels come with of_clicks, teacher with of_distances")
    found = _gradients(call, weights, x, wants_x)
    _run(call, backward=True)
    return Descent(float(loss[0]), logits, of_logits, found)


def _gradients(call: Call, weights: Weights, x: Floats, wants_x: bool) -> Gradients:
    """Room for all gradients, which ``call`` is told of."""
    found = Gradients(
        np.empty(x.shape, np.float32) if wants_x else None,
        np.empty(weights.p.shape, np.float32),
        *(None if part is None else np.empty(part.shape, np.float32) for part in _optional(weights)),
    )
    for name, made in vars(found).items():
        if made is not None:
            setattr(call, f"grad_{name}", made.ctypes.data)
    return found


def _optional(weights: Weights) -> tuple[Floats | None, ...]:
    return weights.q, weights.c, weights.head, weights.bias


def _call(weights: Weights, x: Floats, threads: int, version: str | None) -> Call:
    version = version or chosen_version()
    assert version is not None, "callers ask whether the kernel is available"
    call = Call.from_buffer_copy(weights.call)
    if x.dtype != np.float32 or x.ndim != 3 or x.shape[1:] != (call.fields, call.size):
        raise ValueError(f"x is {x.dtype} {x.shape}, expected float32 (rows, {call.fields}, {call.size})")
    if x.size and ((call.size > 1 and x.strides[2] != 4) or x.strides[0] % 4 or x.strides[1] % 4):
        raise ValueError(f"x has strides {x.strides} in bytes, expected numbers beside each other")
    call.rows, call.threads, call.version = len(x), threads, VERSIONS.index(version)
    call.x, call.row_stride, call.field_stride = x.ctypes.data, x.strides[0] // 4, x.strides[1] // 4
    return call


def _run(call: Call, backward: bool) -> None:
    native = library()
    assert native is not None
    address = ctypes.addressof(call)
    call.scratch = _scratch(native.dagfm_scratch(address, backward))
    (native.dagfm_backward if backward else native.dagfm_forward)(address)


_LOCAL = threading.local()


def _scratch(size: int) -> int:
    """The address of so many bytes, a multiple of 64, which stay with the thread: new ones would be faulted in anew."""
    if getattr(_LOCAL, "size", -1) < size:
        _LOCAL.memory, _LOCAL.size = np.empty(size + 64, np.uint8), size
        _LOCAL.address = _LOCAL.memory.ctypes.data + -_LOCAL.memory.ctypes.data % 64
    address: int = _LOCAL.address
    return address


def _address(name: str, array: Floats | None, shape: tuple[int, ...]) -> int:
    if array is None or array.dtype != np.float32 or array.shape != shape or not array.flags.c_contiguous:
        found = "nothing" if array is None else f"{array.dtype} {array.shape}"
        raise ValueError(f"{name} is {found}, expected contiguous float32 {shape}")
    address: int = array.ctypes.data
    return address
