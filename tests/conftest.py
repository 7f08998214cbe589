"""What every test runs under, the small click log, and one finished run of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from clicks import Finished, Silent, click_log, small_config
from hypothesis import settings

# Before torch is imported: two threads a process stall for seconds on a busy two-core machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A deadline measures the machine's load, and speed is never asserted in a test.
settings.register_profile("dagfm", deadline=None)
settings.load_profile("dagfm")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Take back the handler that a command in this process leaves: its stderr is gone when the command is over."""
    logger = logging.getLogger("dagfm")
    before = logger.handlers, logger.level
    yield
    logger.handlers, logger.level = before


@pytest.fixture
def silent() -> Silent:
    return Silent()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that ``.dagfm`` and ``runs`` of a configuration without a file end up there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The click log as a Parquet file; tests must not change it."""
    path = tmp_path_factory.mktemp("log") / "clicks.parquet"
    click_log().write_parquet(path)
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run over given train, valid and test files, with both baselines."""
    import dagfm

    folder = tmp_path_factory.mktemp("finished")
    frame = click_log(3000)
    frame[:2000].write_parquet(folder / "train.parquet")
    frame[2000:2500].write_parquet(folder / "valid.parquet")
    frame[2500:].write_parquet(folder / "test.parquet")
    config = small_config(Path("train.parquet"))
    config["data"] |= {"valid": "valid.parquet", "test": "test.parquet"}
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    run = dagfm.fit(folder / "dagfm.yaml", folder / "run", baselines=["scratch", "fm"], progress=Silent())
    return Finished(folder, config, run.results)
