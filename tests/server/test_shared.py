"""Workers are forked from a process that holds the modules of other packages once for all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOOK = """
import json, os, sys
from dagfm.server.shared import import_shared
import_shared(sys.argv[1])
shared, threads = set(sys.modules), len(os.listdir("/proc/self/task"))
import polars
with_polars = set(sys.modules)
import dagfm.server.worker
packages = {name.partition(".")[0] for name in set(sys.modules) - with_polars}
print(json.dumps({"shared": sorted(shared), "threads": threads, "each": sorted(packages), "environ": dict(os.environ)}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "MKL_NUM_THREADS": "3"}
    command = [sys.executable, "-c", LOOK, str(tmp_path_factory.mktemp("figures"))]
    return json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)


def test_none_of_them_starts_a_thread(found: Any) -> None:
    assert found["threads"] == 1
    assert "polars" not in found["shared"]


def test_a_worker_imports_nothing_of_other_packages_but_polars_itself(found: Any) -> None:
    assert found["each"] == ["dagfm"]


def test_workers_compute_in_one_thread_unless_the_environment_says_otherwise(found: Any) -> None:
    assert found["environ"]["OMP_NUM_THREADS"] == "1"
    assert found["environ"]["MKL_NUM_THREADS"] == "3"
