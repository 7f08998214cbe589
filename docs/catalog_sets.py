"""The sections of ``docs/catalog.md``, one a data set, made of the catalog."""

from __future__ import annotations

from collections.abc import Iterator

from dagfm.data.catalog import CATALOG, DataSet


def catalog_sets() -> Iterator[str]:
    """Where each data set is, on which terms, which files its recipe reads and what others reached."""
    for dataset in CATALOG.values():
        yield from _section(dataset)


def _section(dataset: DataSet) -> Iterator[str]:
    yield ""
    yield f"### {dataset.name}"
    yield ""
    yield f"{dataset.title}: {dataset.rows:,} rows, {dataset.fields} fields."
    yield ""
    for number, step in enumerate(dataset.source, 1):
        yield f"{number}. {step}"
    if dataset.instead:
        yield ""
        yield f"Or, {dataset.instead}."
    yield ""
    yield f"Terms: {' '.join(dataset.terms.split())}"
    yield ""
    yield "| files | what they are | rows |"
    yield "|---|---|---|"
    for edition in dataset.editions:
        names = ", ".join(part.usual for part in edition.parts.values())
        titles = ", ".join(dict.fromkeys(part.layout.title for part in edition.parts.values()))
        rows = " + ".join(f"{part.rows:,}" for part in edition.main.values())
        yield f"| {names} | {titles} | {rows} |"
    for name, variant in dataset.variants.items():
        if not variant.published:
            continue
        option = f"`--variant {name}`, " if len(dataset.variants) > 1 else ""
        yield ""
        yield f"Published, {option}vectors of {variant.size} numbers:"
        yield ""
        yield "| model | test AUC | test logloss |"
        yield "|---|---|---|"
        yield from (f"| {model} | {auc} | {loss} |" for model, (auc, loss) in variant.published.items())
