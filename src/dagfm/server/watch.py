"""Looking whether what lies at the models' paths has changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dagfm.server.sources import Signature, signature


class Watch:
    """Of each model what its files looked like when they were last taken for what is served."""

    def __init__(self, models: Mapping[str, str]) -> None:
        """``models``: paths by name; what lies there now is what is served."""
        self._paths = {name: Path(path) for name, path in models.items()}
        self._known: dict[str, Signature | None] = {name: signature(path) for name, path in self._paths.items()}
        self._seen: dict[str, Signature] = {}

    def changed(self, name: str) -> bool:
        """Whether there is something new that already looked so at the last call: who copies is still at it the first
        time. From then on it is known."""
        found = signature(self._paths[name])
        new = found != self._known[name] and found == self._seen.get(name)
        if new:
            self._known[name] = found
        self._seen[name] = found
        return new

    def know(self, name: str) -> None:
        """What lies there now is what is served."""
        self._known[name] = signature(self._paths[name])

    def doubt(self, name: str) -> None:
        """What lies there is to count as new."""
        self._known[name] = None
