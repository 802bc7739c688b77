"""From a PyTorch module to an ONNX graph, and what is done to the graph afterwards."""

import tempfile
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

OPSET = 17
_HALF_FROM = 256  # smaller tensors (norms, biases of small layers) are not worth a Cast


def trace(
    module: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Export a module whose inputs are named after ``example``, in that order.

    The first axis of every input and output stays free (B), and so does the second of ``coords``
    and ``labels`` (N). Everything else is fixed to the example's sizes. Outputs are float32.
    """
    free = {name: {0: "B"} for name in (*example, *outputs)}
    for name in {"coords", "labels"} & example.keys():
        free[name][1] = "N"
    with (
        torch.no_grad(),
        warnings.catch_warnings(),
        tempfile.NamedTemporaryFile(suffix=".onnx") as file,
    ):
        # It is deprecated in favour of one that is ten times slower and fixes the batch size, and
        # it warns of every Python number that it bakes in; the parity check covers those.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(example.values()),
            file.name,
            input_names=list(example),
            output_names=list(outputs),
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(file.name)
    for node in model.graph.node:
        node.ClearField("doc_string")
    # The exporter loses track of sizes that follow from a free one.
    for info, tensor in zip(model.graph.output, outputs_of(module, example), strict=True):
        sizes = ["B", *tensor.shape[1:]]
        info.CopyFrom(helper.make_tensor_value_info(info.name, TensorProto.FLOAT, sizes))
    return model


@torch.no_grad()
def outputs_of(module: nn.Module, example: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """A module's outputs as a tuple, also when there is one."""
    answer = module(*example.values())
    return answer if isinstance(answer, tuple) else (answer,)


def round_output(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make a graph's one float32 output its float16 rounding, under the same name."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    (info,) = result.graph.output
    name, exact = info.name, f"{info.name}.exact"
    for node in result.graph.node:
        for names in (node.input, node.output):
            for i, tensor in enumerate(names):
                if tensor == name:
                    names[i] = exact
    result.graph.node.append(helper.make_node("Cast", [exact], [name], to=TensorProto.FLOAT16))
    info.type.tensor_type.elem_type = TensorProto.FLOAT16
    return result


def halve_storage(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store as float16 what float16 holds exactly, each tensor behind a Cast to float32.

    The Casts are folded when the graph is loaded: it computes what it computed before, from a file
    of half the size. Give it the weights of :func:`round_weights`.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    casts = []
    for tensor in result.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < _HALF_FROM or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        stored = f"{name}.half"
        tensor.CopyFrom(numpy_helper.from_array(half, stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = list(result.graph.node)
    del result.graph.node[:]
    result.graph.node.extend([*casts, *nodes])
    return result


@torch.no_grad()
def round_weights(module: nn.Module) -> None:
    """Round every larger parameter to the nearest float16, in place; it stays float32."""
    for parameter in module.parameters():
        if parameter.numel() >= _HALF_FROM:
            parameter.copy_(parameter.half())
