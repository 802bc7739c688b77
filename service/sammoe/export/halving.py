"""A network that computes its products in float16, as torch's autocast does on a GPU."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class InHalf(nn.Module):
    """The same inputs and outputs as ``module``; what lies between is float16 where autocast makes
    it so. Norms and the outputs are float32.

    Traced, its types are written into the graph: TensorRT takes them from there.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """See the class."""
        # Without its cache of cast weights: in a traced graph every cast stands for itself.
        with torch.autocast("cpu", torch.float16, cache_enabled=False), _FloatNorms():
            found = self.module(*inputs)
        if isinstance(found, tuple):
            return tuple(value.float() for value in found)
        exact: Tensor = found.float()
        return exact


def round_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph of an `InHalf` with weights that are only read as float16 stored so: half the size,
    and minutes less for TensorRT, which would do the same."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    stored = {tensor.name: tensor for tensor in result.graph.initializer}
    readers = Counter(name for node in result.graph.node for name in node.input)
    kept = []
    for node in result.graph.node:
        weight = stored.get(node.input[0]) if node.op_type == "Cast" else None
        halves = (
            weight is not None and helper.get_node_attr_value(node, "to") == TensorProto.FLOAT16
        )
        if weight is None or not halves or readers[weight.name] > 1:
            kept.append(node)
            continue
        values = numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(values, node.output[0]))
    del result.graph.node[:]
    result.graph.node.extend(kept)
    return result


class _FloatNorms(TorchFunctionMode):
    """Norms of float32: their weights are, and ONNX wants one type for both."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in (F.layer_norm, F.group_norm):
            args = (args[0].float(), *args[1:])
        return func(*args, **(kwargs or {}))
