"""What a run takes of the machine: a device, threads, and a progress bar that is taken down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dagfm.errors import InputError
from dagfm.progress import Progress


def device_of(name: str) -> torch.device:
    """The device that ``training.device`` means; raises InputError when this machine has none such."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("training.device: 'cuda' is not available on this machine; valid here: auto, cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@contextmanager
def at_work(threads: int, watch: Progress) -> Iterator[None]:
    """Torch's thread count for the length of a run; the caller's setting comes back afterwards.

    However the run ends, its progress bar goes, so that what is printed next is seen.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        watch.finish()
