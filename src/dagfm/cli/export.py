"""``dagfm export``: a bundle for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle, or the run that holds it.")],
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help="File to write: one graph, ids to probability.")],
) -> None:
    """Write a bundle as an ONNX graph, once it scores drawn rows as the bundle does.

    \b
    dagfm export runs/demo --onnx demo.onnx
    """
    from dagfm.data.forecast import size_text
    from dagfm.errors import DagfmError

    try:
        from dagfm.serving.onnx import export as exported
    except ImportError as error:
        raise DagfmError(f"dagfm export --onnx needs more packages ({error}): pip install 'dagfm[onnx]'") from None

    worst = exported(bundle, onnx)
    size = size_text(onnx.stat().st_size)
    typer.echo(f"{onnx}: {size}; on drawn rows within {worst:.1g} of the bundle's probabilities", err=True)
