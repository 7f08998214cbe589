"""What ``dagfm serve`` is told, as the supervisor hands it to its workers."""

from __future__ import annotations

from msgspec import Struct

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
"""What the environment of a worker says unless it says otherwise."""

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that has prometheus-client share figures between workers; read when it is imported."""

INLINE = 128 << 10
"""Bytes up to which a body is scored where it arrived; a larger one goes to a thread, which costs more, so that probes
and small requests do not wait for it."""

ALONE = 256 << 10
"""The same where no other request is in hand: of one of 1,000 candidates changing threads would be a third."""


class Limits(Struct, frozen=True):
    """What one request may cost; beyond it the answer is a 4xx."""

    body: int = 64 << 20
    """Bytes of a body, as sent and also after decompression (413)."""
    rows: int = 100_000
    """Rows, or candidates, of a request (413)."""
    seconds: float = 30.0
    """For a request's head to arrive, for its body to arrive (408), and for a large one to wait for its turn (429)."""
    pending: int = 256 << 20
    """Bytes of bodies that a worker holds at a time, those that still arrive included (429)."""
    head: int = 64 << 10
    """Bytes of a request's first line and headers (431)."""
    patch: int = 1 << 30
    """Bytes of a patch (413), which goes to a file; ``seconds`` hold for each MiB of it."""


class Settings(Struct, frozen=True):
    """Everything that a worker needs besides its sockets."""

    models: dict[str, str]
    """Path of the bundle, the run or the folder of versions, by the model's name."""
    limits: Limits = Limits()
    token: str | None = None
    """What ``Authorization: Bearer`` must say; None lets everybody in."""
    access_log: bool = True
    drain: float = 5.0
    """Seconds between SIGTERM and the end of listening, in which load balancers notice."""
    unloaded: tuple[str, ...] = ()
    """Models that a call has unloaded, for a worker that replaces another."""
    folder: str | None = None
    """For what does not outlive the server; None where it has none of its own."""
    copies: str | None = None
    """Folder of private copies of the bundles, within that; None serves them where they lie."""
    patches: bool = False
    """Whether clients may patch what is served: who may, decides what is served."""
    current: dict[str, dict[str, str]] = {}
    """What the other workers serve, for one that joins them: of each model the fingerprints by version."""
