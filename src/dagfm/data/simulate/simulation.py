"""One simulation, from options to a folder with shards, truth, configuration and the best reachable figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from dagfm.data.simulate.best import best_reachable
from dagfm.data.simulate.blocks import Source
from dagfm.data.simulate.columns import Column, columns, configuration
from dagfm.data.simulate.folder import CONFIG, LOCK, check, clear, earlier, save
from dagfm.data.simulate.options import Options
from dagfm.data.simulate.shards import shard_names, truth_path, write_shard
from dagfm.files import remove_leftovers, write_bytes


class Progress(Protocol):
    """Something that shows how many rows are written; the one that training is watched by will do."""

    def start(self, title: str, rows: int, done: int = 0) -> None: ...

    def advance(self, rows: int) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True)
class Simulation:
    """A finished simulation."""

    directory: Path
    options: Options
    state: Mapping[str, Any]
    """What ``simulation.json`` holds."""

    @property
    def config(self) -> Path:
        """The configuration that trains on it."""
        return self.directory / CONFIG

    @property
    def shards(self) -> list[Path]:
        """The files of the log, in order."""
        return [self.directory / name for name in shard_names(self.options)]

    @property
    def best(self) -> Mapping[str, Any]:
        """The best reachable figures on the test rows: auc, logloss, expected_auc, expected_logloss."""
        test: Mapping[str, Any] = self.state["best"]["test"]
        return test


def simulate(
    output: str | Path, *, force: bool = False, progress: Progress | None = None, **options: Any
) -> Simulation:
    """Write a click log with a known truth into the folder ``output``; ``options`` are those of ``Options``.

    An interrupted simulation continues at the last finished shard; a finished one with the same options is left alone.
    ``force`` makes it anew, also where the folder holds a simulation with other options. Raises InputError for wrong
    options, and for a folder that holds anything else.
    """
    chosen, directory = Options(**options), Path(output)
    check(directory, chosen, force)
    directory.mkdir(parents=True, exist_ok=True)
    with FileLock(directory / LOCK):
        # Again, for another process may have written there while this one waited; from here on it is ours.
        check(directory, chosen, force)
        remove_leftovers(directory)
        if force:
            clear(directory)
        state = earlier(directory)
        if state is None or not _is_whole(directory, chosen, state):
            state = _written(directory, chosen, progress)
    return Simulation(directory, chosen, state)


def _is_whole(directory: Path, options: Options, state: Mapping[str, Any]) -> bool:
    return bool(state["complete"]) and (directory / CONFIG).exists() and not _missing(directory, options)


def _missing(directory: Path, options: Options) -> list[int]:
    """The shards that are yet to be written."""
    names = enumerate(shard_names(options))
    return [at for at, name in names if not ((directory / name).exists() and truth_path(directory, name).exists())]


def _written(directory: Path, options: Options, progress: Progress | None) -> dict[str, Any]:
    fields = columns(options)
    save(directory, options, False, {})
    source = Source(options, fields)
    facts = {"fields": [_told(column) for column in fields], "truth": source.truth.told(source.probability)}
    if not (directory / CONFIG).exists():
        write_bytes(directory / CONFIG, configuration(options, fields, f"clicks-*.{options.format}").encode())
    missing, names = _missing(directory, options), shard_names(options)
    ranges = [
        range(at * options.shard_rows, min((at + 1) * options.shard_rows, options.rows)) for at in range(len(names))
    ]
    if progress is not None:
        progress.start("simulate", options.rows, done=options.rows - sum(len(ranges[at]) for at in missing))
    try:
        for at in missing:
            advance = progress.advance if progress is not None else _unwatched
            write_shard(directory, names[at], source, options.seed, ranges[at], advance)
    finally:
        if progress is not None:
            progress.finish()
    best = best_reachable(directory, names, options.rows)
    return save(directory, options, True, {**facts, "best": best, "shards": names})


def _told(column: Column) -> dict[str, Any]:
    kind = {"type": "float", "mean": column.mean, "std": column.std} if column.is_number else {
        "type": "token", "ids": column.ids
    }  # fmt: skip
    return {"name": column.name, "side": column.side, **kind}


def _unwatched(rows: int) -> None:
    """Progress that nobody watches."""
