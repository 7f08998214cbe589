"""A bundle as one ONNX graph, from row ids to probabilities; needs the extra ``[onnx]``."""

from dagfm.serving.onnx.feeds import feed
from dagfm.serving.onnx.writing import export

__all__ = ["export", "feed"]
