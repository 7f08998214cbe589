"""Writing a bundle as an ONNX file, which gets its name once it scores as the bundle does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from dagfm import __version__
from dagfm.errors import DagfmError, InputError
from dagfm.files import MANIFEST, digest, replacing
from dagfm.schema import Schema
from dagfm.serving.bundle import Bundle, bundle_in, read_bundle
from dagfm.serving.forward import Network
from dagfm.serving.onnx.checking import difference, runner
from dagfm.serving.onnx.feeds import FLOATS, SCORE, TOKENS, items_input
from dagfm.serving.onnx.graph import Graph
from dagfm.serving.onnx.lookup import embedded
from dagfm.serving.onnx.network import logit
from dagfm.serving.scorer import Scorer

TOLERANCE = 1e-5
"""How far a probability may be from the scorer's."""
_LARGEST = 2_000_000_000
"""Bytes that a file of protocol buffers can hold, about."""


def export(path: str | Path, file: str | Path) -> float:
    """Write the bundle at ``path``, or in the run ``path``, to ``file`` as one graph from row ids to probabilities.

    Its inputs are those of ``feed``, its output ``score`` (B,) float32. The bundle's card, the order of the fields and
    the bundle's fingerprint are in its metadata. Returns the largest difference to the scorer's probabilities that was
    found on drawn rows. Raises InputError where the bundle is damaged, or too large for ONNX, and DagfmError where the
    difference is beyond ``TOLERANCE``; there is no new file then.
    """
    directory = bundle_in(path)
    bundle = read_bundle(directory, verify=True)
    size = bundle.table.rows.nbytes
    if size > _LARGEST:
        raise InputError(f"{directory}: a table of {size:,} bytes; an ONNX file holds {_LARGEST:,}")
    model = built(bundle, {"dagfm.bundle": digest(directory / MANIFEST)})
    with replacing(Path(file)) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(temporary), full_check=True)
        worst = difference(Scorer(bundle), runner(temporary))
        if not worst <= TOLERANCE:
            raise DagfmError(
                f"{file}: its probabilities differ from the bundle's by up to {worst:.2g}, allowed is {TOLERANCE:g}; "
                "it was not written"
            )
    return worst


def built(bundle: Bundle, metadata: Mapping[str, str]) -> Any:
    """The ``onnx.ModelProto`` of a bundle."""
    graph, schema, table = Graph(), bundle.encoder.schema, bundle.table
    network = Network(bundle.network, bundle.parameters, len(schema), table.rows.shape[1], compiled=False)
    found = logit(graph, network, embedded(graph, table, schema, bundle.encoder.spans))
    scale, shift = graph.constant(bundle.calibration["scale"]), graph.constant(bundle.calibration["shift"])
    served = graph.op("Sigmoid", graph.op("Add", graph.op("Mul", found, scale), shift))
    told = {
        "dagfm.version": __version__,
        "dagfm.card": json.dumps(dict(bundle.card), ensure_ascii=False),
        "dagfm.fields": json.dumps(_fields(bundle), ensure_ascii=False),
    }
    return graph.model(served, SCORE, {**told, **metadata})


def _fields(bundle: Bundle) -> list[dict[str, Any]]:
    """Where each field is fed, in node order."""
    schema: Schema = bundle.encoder.schema
    told, tokens, floats = [], 0, 0
    for one, rows in zip(schema, bundle.encoder.spans.sizes.tolist(), strict=True):
        if one.form == "ids":
            told.append({"name": one.name, "input": TOKENS, "column": tokens, "rows": rows})
            tokens += 1
        elif one.form == "items":
            told.append({"name": one.name, "input": items_input(one.name), "rows": rows})
        else:
            told.append({"name": one.name, "input": FLOATS, "column": floats, "width": one.width})
            floats += one.width
    return told
