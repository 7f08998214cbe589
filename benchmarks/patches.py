"""Measures patches between two bundles of many ids: ``python benchmarks/patches.py``.

A drawn bundle against itself after a day: some rows of the table changed; some tokens more, all counts grown and with
them the order of the tokens; all of it moved a little, as after training all rows. Sizes as shares of the newer bundle.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
from scoring import network_arrays

from dagfm.encoding.correspondence import NOWHERE
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.files import digest
from dagfm.schema import Field, Schema
from dagfm.serving import patches
from dagfm.serving.bundle import Bundle, write_bundle
from dagfm.serving.patches.differences import table_rows

DEPTH = 3


def drawn(ids: int, fields: int, size: int) -> Bundle:
    """A bundle whose fields have ``ids`` tokens together, as frequent as Zipf has it."""
    draw, each = np.random.default_rng(0), ids // fields
    schema = Schema(fields=tuple(Field(name=f"f{index}") for index in range(fields)))
    vocabularies = {}
    for name in schema.names:
        tokens = pl.Series(draw.choice(10 * ids, each, replace=False)).cast(pl.String)
        counts = (each / np.arange(1, each + 1)).astype(np.int64) + 1
        vocabularies[name] = Vocabulary.ranked(tokens, counts)
    encoder = Encoder(schema, vocabularies)
    table = draw.normal(scale=0.05, size=(encoder.spans.total, size)).astype(np.float32)
    config, arrays = network_arrays("inner", "full", fields, size, DEPTH)
    own = {f"network.{name}": array for name, array in arrays.items()}
    return Bundle(encoder, config, {"embedding.weight": table, **own}, {"scale": 1.0, "shift": 0.0}, {})


def with_rows(bundle: Bundle, share: float) -> Bundle:
    """A share of the table's rows changed, all of the network."""
    draw = np.random.default_rng(1)
    table = np.array(bundle.arrays["embedding.weight"])
    rows = draw.choice(len(table), int(share * len(table)), replace=False)
    table[rows] += draw.normal(scale=0.005, size=(len(rows), table.shape[1])).astype(np.float32)
    others = {name: array + np.float32(0.001) for name, array in bundle.arrays.items()}
    return replace(bundle, arrays={**others, "embedding.weight": table})


def with_tokens(bundle: Bundle, share: float) -> Bundle:
    """A share of tokens more, counts grown by a hundredth at random, vectors kept by token."""
    draw = np.random.default_rng(2)
    vocabularies = {}
    for name, old in bundle.encoder.vocabularies.items():
        more = pl.Series([f"new-{index}" for index in range(int(share * len(old.tokens)))])
        counts = old.counts.to_numpy() + draw.poisson(old.counts.to_numpy() / 100)
        vocabularies[name] = Vocabulary.ranked(
            pl.concat([old.tokens, more]), np.append(counts, np.ones(len(more), np.int64))
        )
    encoder = Encoder(bundle.encoder.schema, vocabularies)
    rows = table_rows(bundle.encoder, encoder)
    table = bundle.arrays["embedding.weight"]
    fresh = draw.normal(scale=0.05, size=(len(rows), table.shape[1])).astype(np.float32)
    table = np.where((rows == NOWHERE)[:, None], fresh, table[np.maximum(rows, 0)])
    return replace(bundle, encoder=encoder, arrays={**bundle.arrays, "embedding.weight": table})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--fields", type=int, default=10)
    parser.add_argument("--size", type=int, default=16)
    args = parser.parse_args()
    first = drawn(args.ids, args.fields, args.size)
    cases = {
        "1 % of the rows": lambda: with_rows(first, 0.01),
        "10 % of the rows": lambda: with_rows(first, 0.1),
        "1 % of the rows, 1 % more tokens": lambda: with_tokens(with_rows(first, 0.01), 0.01),
        "all rows": lambda: with_rows(first, 1.0),
        "all rows, 1 % more tokens": lambda: with_tokens(with_rows(first, 1.0), 0.01),
    }
    with TemporaryDirectory() as folder:
        top = Path(folder)
        write_bundle(top / "old", first)
        print(f"{'changed':34}{'bundle MB':>10}{'patch MB':>10}{'share':>8}{'portable':>10}{'make s':>8}{'apply s':>9}")
        for name, case in cases.items():
            write_bundle(top / "new", case())
            started = time.perf_counter()
            found = patches.make(top / "old", top / "new", top / "patch")
            made = time.perf_counter()
            patches.apply(top / "old", top / "patch", top / "result")
            applied = time.perf_counter()
            assert digest(top / "result" / "manifest.json") == digest(top / "new" / "manifest.json")
            portable = patches.make(top / "old", top / "new", top / "patch", portable=True)
            print(
                f"{name:34}{found.bundle / 1e6:10.1f}{found.size / 1e6:10.2f}{found.size / found.bundle:8.1%}"
                f"{portable.size / found.bundle:10.1%}{made - started:8.1f}{applied - made:9.1f}"
            )


if __name__ == "__main__":
    main()
