"""From a PyTorch module to an ONNX graph, and what is done to the graph afterwards."""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

OPSET = 17
WEIGHTS = "weights"
"""Metadata of a graph, JSON, on the tensors of its module that it does not store: ``aliases``, name
-> name of the stored one that is equal; ``unused``, names of those that it does not read."""

HALF_SUFFIX = ".half"
"""Ends the name of a tensor that is stored in float16; its Cast's output has the name itself."""

_HALF_FROM = 256  # smaller tensors (norms, biases of small layers) are not worth a Cast


def trace(
    module: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Export a module whose inputs are named after ``example``, in that order.

    The first axis of every input and output stays free (B), and so does the second of ``coords``
    and ``labels`` (N). Everything else is fixed to the example's sizes. Outputs are float32.
    Every tensor that the graph uses keeps its name of the module's ``state_dict``, so that the
    module can be read back; of equal tensors one is stored and the rest are in :data:`WEIGHTS`.
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
            # It would leave transposed weights without a name. ONNX Runtime folds when it loads.
            do_constant_folding=False,
            dynamo=False,
        )
        model = onnx.load(file.name)
    for node in model.graph.node:
        node.ClearField("doc_string")
    # The exporter loses track of sizes that follow from a free one.
    for info, tensor in zip(model.graph.output, outputs_of(module, example), strict=True):
        sizes = ["B", *tensor.shape[1:]]
        info.CopyFrom(helper.make_tensor_value_info(info.name, TensorProto.FLOAT, sizes))
    helper.set_model_props(model, {WEIGHTS: json.dumps(_not_stored(model, module))})
    return model


def _not_stored(model: onnx.ModelProto, module: nn.Module) -> dict[str, Any]:
    """Why tensors of the module are not in the graph: the exporter merges equal ones."""
    state = module.state_dict()
    held = {tensor.name for tensor in model.graph.initializer}
    stored = {_content(state[name]): name for name in sorted(held & state.keys())}
    missing = {name: stored.get(_content(state[name])) for name in state if name not in held}
    return {
        "aliases": {name: found for name, found in missing.items() if found},
        "unused": [name for name, found in missing.items() if not found],
    }


def _content(tensor: Tensor) -> tuple[tuple[int, ...], str, bytes]:
    values = (tensor + 0).numpy()  # to the exporter, -0 equals 0
    return values.shape, str(values.dtype), hashlib.sha256(values.tobytes()).digest()


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
        stored = f"{name}{HALF_SUFFIX}"
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
