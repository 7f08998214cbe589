"""A server as many teams write theirs: FastAPI, a dict a field, ONNX Runtime: ``fastapi_server.py FOLDER PORT``.

FOLDER holds model.onnx, from ids (rows, fields) to logits, and vocabulary.json, of each field the id of every token.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

FOLDER = Path(sys.argv[1])
VOCABULARY: dict[str, dict[str, int]] = json.loads((FOLDER / "vocabulary.json").read_text())

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(FOLDER / "model.onnx", options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Rows(BaseModel):
    """The request."""

    rows: list[dict[str, Any]]


class Scores(BaseModel):
    """The answer."""

    scores: list[float]


@app.post("/predict")
def predict(request: Rows) -> Scores:
    """Score the rows."""
    ids = np.array(
        [[tokens.get(str(row[name]), 0) for name, tokens in VOCABULARY.items()] for row in request.rows], np.int64
    )
    logits = session.run(None, {"ids": ids})[0]
    return Scores(scores=(1 / (1 + np.exp(-logits))).tolist())


@app.get("/health")
async def health() -> dict[str, str]:
    """Whether it is there."""
    return {"status": "ok"}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
