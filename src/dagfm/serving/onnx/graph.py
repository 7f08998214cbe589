"""An ONNX graph as it is written down: nodes and constants under names of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

OPSET = 17
"""Of 2022; what every runtime in use reads."""
IR_VERSION = 8

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


class Graph:
    """Grows node by node; every method returns the name of what it made."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []

    def input(self, name: str, kind: int, *shape: str | int) -> str:
        """An input; a dimension by name is free."""
        self._inputs.append(onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, value: Any, kind: type[np.generic] = np.float32, name: str = "") -> str:
        """A constant array."""
        array: NDArray[Any] = np.array(value, kind)  # a copy in order: a mapped or transposed one is written as it is
        name = name or f"constant_{len(self._constants)}"
        self._constants[name] = onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def ids(self, *value: int) -> str:
        """A vector of int64, such as shapes and axes are."""
        return self.constant(value, np.int64)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The output of an operator of ONNX."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def model(self, output: str, name: str, metadata: dict[str, str]) -> Any:
        """The finished ``onnx.ModelProto``, with the float vector ``output`` as its output ``name``, one a row."""
        self._nodes.append(onnx.helper.make_node("Identity", [output], [name], name=name))
        outputs = [onnx.helper.make_tensor_value_info(name, FLOAT, ["rows"])]
        graph = onnx.helper.make_graph(
            self._nodes, "dagfm", self._inputs, outputs, initializer=list(self._constants.values())
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="dagfm"
        )
        onnx.helper.set_model_props(model, metadata)
        return model
