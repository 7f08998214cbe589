"""How fast, and in how much memory, does a click log become training rows, beside the same work in Polars and DuckDB?

    python benchmarks/preparation.py
    python benchmarks/preparation.py --rows 10_000_000 --ids 10_000_000 --rounds 1

Goals, at 39 fields, 10M rows and 10M ids on two cores: `dagfm data prepare` holds at most 1.5 GB of anonymous memory,
makes at least 250,000 rows/s from Parquet and 120,000 from CSV, and takes at most 1.3 times as long as the faster of
the others. `--flat` instead prepares logs of several sizes with the same ids: their peaks differ by less than 15 %. Not
a goal: to beat them at what they are for; they keep no split, checksums or resumable state here, DuckDB not even the
order of the rows.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

TRAINING = "timestamp % 10 < 8"
"""Which rows the vocabularies of the others are made of: as many as ours, known without a first pass."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--ids", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", nargs="+", default=["parquet", "csv"], choices=["parquet", "csv"])
    parser.add_argument("--flat", nargs="+", type=int, metavar="ROWS", help="only peaks, of logs of these sizes")
    parser.add_argument("--worker", nargs=3, metavar=("NAME", "LOG", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, log, out = options.worker
        {"polars": with_polars, "duckdb": with_duckdb}[name](Path(log), Path(out))
        return
    with tempfile.TemporaryDirectory(prefix="preparation-") as scratch:
        if options.flat:
            flat(Path(scratch), options.flat, options.fields, options.ids)
            return
        for kind in options.formats:
            compare(Path(scratch), kind, options)


def compare(scratch: Path, kind: str, options: argparse.Namespace) -> None:
    """One format: everybody in turns."""
    log = simulated(scratch / kind, kind, options.rows, options.fields, options.ids)
    seconds: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    for _ in range(options.rounds):
        for name in ("dagfm", "polars", "duckdb"):
            shutil.rmtree(log / ".dagfm", ignore_errors=True)
            out = scratch / "out.parquet"
            out.unlink(missing_ok=True)
            if name == "dagfm":
                command = [*DAGFM, "--quiet", "data", "prepare", str(log / "dagfm.yaml")]
            else:
                command = [sys.executable, __file__, "--worker", name, str(log), str(out)]
            took, peak = watched(command)
            seconds.setdefault(name, []).append(took)
            peaks[name] = max(peak, peaks.get(name, 0.0))
    print(f"\n{kind}: {options.rows:,} rows x {options.fields} fields, {options.ids:,} ids, {options.rounds} rounds")
    print(f"{'':8}{'rows/s':>12}{'seconds':>10}{'peak MB':>10}{'of ours':>10}")
    ours = statistics.median(seconds["dagfm"])
    for name, times in seconds.items():
        took = statistics.median(times)
        print(f"{name:8}{options.rows / took:12,.0f}{took:10.1f}{peaks[name]:10,.0f}{took / ours:10.2f}")
    others = min(statistics.median(times) for name, times in seconds.items() if name != "dagfm")
    print(f"ours over the faster of the others: {ours / others:.2f} (goal: at most 1.30)")
    shutil.rmtree(log)


def flat(scratch: Path, sizes: list[int], fields: int, ids: int) -> None:
    """Peaks of preparation for logs of several sizes with the same ids."""
    found = {}
    for rows in sizes:
        log = simulated(scratch / str(rows), "parquet", rows, fields, ids)
        took, found[rows] = watched([*DAGFM, "--quiet", "data", "prepare", str(log / "dagfm.yaml")])
        print(f"{rows:12,} rows: peak {found[rows]:,.0f} MB, {rows / took:,.0f} rows/s", flush=True)
        shutil.rmtree(log)
    print(f"largest over smallest peak: {max(found.values()) / min(found.values()):.3f} (goal: below 1.15)")


DAGFM = [sys.executable, "-m", "dagfm"]


def simulated(folder: Path, kind: str, rows: int, fields: int, ids: int) -> Path:
    """A log of `dagfm data simulate`."""
    what = ["--rows", str(rows), "--fields", str(fields), "--ids", str(ids), "--format", kind, "-o", str(folder)]
    subprocess.run([*DAGFM, "--quiet", "data", "simulate", *what], check=True, stdout=subprocess.DEVNULL)
    return folder


def watched(command: list[str]) -> tuple[float, float]:
    """Seconds, and the peak of anonymous memory in MB (RssAnon: mapped file pages do not count)."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))])
        time.sleep(0.02)
    if process.wait():
        raise SystemExit(f"{' '.join(command)} left with {process.returncode}")
    return time.perf_counter() - started, peak / 1000


def fields_of(log: Path) -> tuple[list[str], list[str]]:
    """Names of the token and of the float fields."""
    fields = yaml.safe_load((log / "dagfm.yaml").read_text())["fields"]
    tokens = [field["name"] for field in fields if field["type"] == "token"]
    return tokens, [field["name"] for field in fields if field["type"] == "float"]


def with_polars(log: Path, out: Path) -> None:
    """Vocabularies of the training rows, most frequent first; every row as row ids and standardised numbers."""
    import polars as pl  # noqa: PLC0415 - a worker pays for its own library alone

    tokens, floats = fields_of(log)
    rows = (
        pl.scan_parquet(log / "clicks-*.parquet")
        if list(log.glob("*.parquet"))
        else pl.scan_csv(log / "clicks-*.csv", schema_overrides=dict.fromkeys(tokens, pl.String))
    )
    training = rows.filter(pl.col("timestamp") % 10 < 8)
    for name in tokens:
        counted = training.group_by(name).len().sort(["len", name], descending=[True, False])
        known = counted.select(name, (pl.int_range(pl.len()) + 2).cast(pl.Int32).alias(f"{name}_row"))
        rows = rows.join(known.collect(engine="streaming").lazy(), on=name, how="left", maintain_order="left")
    figures = training.select(
        *(pl.col(name).mean().alias(f"{name}_mean") for name in floats),
        *(pl.col(name).std().alias(f"{name}_std") for name in floats),
    ).collect(engine="streaming")
    rows.select(
        *(pl.col(f"{name}_row").fill_null(0) for name in tokens),
        *(
            ((pl.col(name) - figures[f"{name}_mean"][0]) / figures[f"{name}_std"][0]).cast(pl.Float32)
            for name in floats
        ),
        pl.col("click").cast(pl.Float32),
    ).sink_parquet(out, engine="streaming")


def with_duckdb(log: Path, out: Path) -> None:
    """The same in SQL."""
    import duckdb  # noqa: PLC0415

    tokens, floats = fields_of(log)
    base = duckdb.connect()
    base.execute("SET memory_limit = '1.2GB'; SET preserve_insertion_order = false")
    if list(log.glob("*.parquet")):
        source = f"read_parquet('{log}/clicks-*.parquet')"
    else:
        kinds = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in tokens) + "}"
        source = f"read_csv('{log}/clicks-*.csv', types = {kinds})"
    for name in tokens:
        base.execute(
            f"CREATE TEMP TABLE known_{name} AS SELECT {name} AS value, "
            f"(row_number() OVER (ORDER BY count(*) DESC, {name}) + 1)::INTEGER AS row "
            f"FROM {source} WHERE {TRAINING} GROUP BY {name}"
        )
    figures = ", ".join(f"avg({name}), stddev({name})" for name in floats)
    found = base.execute(f"SELECT {figures} FROM {source} WHERE {TRAINING}").fetchone() if floats else ()
    columns = [f"coalesce(known_{name}.row, 0) AS {name}" for name in tokens]
    columns += [
        f"(({name} - {found[2 * index]}) / {found[2 * index + 1]})::FLOAT AS {name}"
        for index, name in enumerate(floats)
    ]
    joins = " ".join(f"LEFT JOIN known_{name} ON log.{name} = known_{name}.value" for name in tokens)
    base.execute(f"COPY (SELECT {', '.join(columns)}, click::FLOAT AS click FROM {source} log {joins}) TO '{out}'")


if __name__ == "__main__":
    main()
