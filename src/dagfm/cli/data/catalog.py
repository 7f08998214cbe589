"""The catalog as ``dagfm data list`` shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from dagfm.data.catalog import DataSet


def print_catalog(datasets: Iterable[DataSet]) -> None:
    """Print one row a data set: name, rows, fields, how to get it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, side in (("name", "left"), ("rows", "right"), ("fields", "right"), ("variants", "left")):
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=True)
    table.add_column("how to get it", no_wrap=True)
    table.add_column("what it is", no_wrap=True)
    for one in datasets:
        variants = ", ".join(one.variants) if len(one.variants) > 1 else ""
        table.add_row(one.name, f"{one.rows:,}", str(one.fields), variants, how(one), one.title)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # rich assumes 80 columns there and would cut what it shows
    console.print(table)
    console.print("'dagfm data get NAME' fetches it, or says where it is and on which terms.")


def how(dataset: DataSet) -> str:
    """How a user gets it, in a few words."""
    return f"dagfm data get {dataset.name}" if dataset.wheel else "by hand"


def told(dataset: DataSet) -> dict[str, Any]:
    """What is known of a data set, for machines."""
    return {
        "name": dataset.name,
        "title": dataset.title,
        "rows": dataset.rows,
        "fields": dataset.fields,
        "fetched_from": dataset.wheel.requirement if dataset.wheel else None,
        "source": [*dataset.source, *filter(None, [dataset.instead])],
        "terms": " ".join(dataset.terms.split()),
        "files": [
            {role: {"name": part.usual, "rows": part.rows} for role, part in edition.parts.items()}
            for edition in dataset.editions
        ],
        "variants": {
            name: {
                "title": variant.title,
                "embedding_size": variant.size,
                "fields": [field for field in variant.fields if not isinstance(field, str)],
                "published": {model: {"auc": auc, "logloss": loss} for model, (auc, loss) in variant.published.items()},
            }
            for name, variant in dataset.variants.items()
        },
    }
