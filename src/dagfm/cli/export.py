"""``dagfm export``: a bundle for other runtimes, or with smaller weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.file_options import Columns, Encoding, Format, Quote, Separator, Tables


def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle, or the run that holds it.")],
    onnx: Annotated[
        Path | None, typer.Option("--onnx", metavar="FILE", help="File to write: one graph, ids to probability.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="KIND", help="Write a bundle with float32, float16 or int8 weights.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="NEW", help="The folder of that bundle.")
    ] = None,
    embedding_only: Annotated[
        bool, typer.Option("--embedding-only", help="Leave the network's own matrices in float32.")
    ] = False,
    no_indexes: Annotated[
        bool, typer.Option("--no-indexes", help="Leave out the indexes of tokens; every process then makes its own.")
    ] = False,
    rows: Annotated[
        str | None,
        typer.Option(metavar="ROWS", help="File of labelled raw rows to measure on; else what the run held back."),
    ] = None,
    allow_loss: Annotated[
        float | None,
        typer.Option(
            metavar="LOSS", min=0, help="Most that AUC or logloss may lose (0.0001); else nothing is written."
        ),
    ] = None,
    table: Tables = None,
    format: Format = None,
    separator: Separator = None,
    columns: Columns = None,
    encoding: Encoding = None,
    quote: Quote = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was measured as JSON.")] = False,
) -> None:
    """Write a bundle as an ONNX graph or with smaller weights, once its scores are compared with the bundle's.

    \b
    dagfm export runs/demo --onnx demo.onnx
    dagfm export runs/demo --weights int8 -o demo-int8
    """
    from dagfm.cli.file_options import file_options
    from dagfm.errors import InputError

    of_file: dict[str, object] = {"table": table, "format": format, "separator": separator, "columns": columns}
    of_file |= {"encoding": encoding, "quote": quote}
    of_weights: dict[str, object] = {"output": output, "rows": rows, "allow-loss": allow_loss}
    of_weights |= {"embedding-only": embedding_only or None, "no-indexes": no_indexes or None, "json": as_json or None}
    if (onnx is None) == (weights is None):
        raise InputError(
            "export needs one thing to write: --onnx FILE, or --weights float32|float16|int8 -o NEW. "
            "For a graph of smaller weights export these first, then NEW with --onnx"
        )
    for given, needed, present in ((of_weights, "weights", weights), (of_file, "rows", rows)):
        for name, value in given.items():
            if value is not None and present is None:
                raise InputError(f"--{name}: is for --{needed}, which is not given")
    if onnx is not None:
        _write_graph(bundle, onnx)
        return
    if output is None:
        raise InputError(f"--weights {weights}: needs -o NEW, the folder of the bundle to write")

    from dagfm.cli.file_options import parse_tables
    from dagfm.cli.smaller import tell, write
    from dagfm.serving.smaller import ALLOWED

    options = file_options(format, separator, columns, encoding, quote)
    done = write(
        bundle,
        output,
        str(weights),
        embedding_only=embedding_only,
        indexes=not no_indexes,
        allowed=ALLOWED if allow_loss is None else allow_loss,
        file=rows,
        options=options,
        tables=parse_tables(table),
    )
    tell(done, as_json)


def _write_graph(bundle: Path, onnx: Path) -> None:
    from dagfm.errors import needs
    from dagfm.progress import size_text

    try:
        from dagfm.serving.onnx import export as exported
    except ImportError as error:
        raise needs("dagfm export --onnx", "onnx", error) from None

    worst = exported(bundle, onnx)
    size = size_text(onnx.stat().st_size)
    typer.echo(f"{onnx}: {size}; on drawn rows within {worst:.1g} of the bundle's probabilities", err=True)
