import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor, nn

from sammoe.export.tracing import (
    halve_storage,
    outputs_of,
    round_output,
    round_weights,
    trace,
)


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wide = nn.Linear(16, 32)
        self.narrow = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.narrow(torch.relu(self.wide(x)))
        return out


def run(model: onnx.ModelProto, x: Tensor) -> NDArray[np.float32]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: NDArray[np.float32] = session.run(None, {"x": x.numpy()})[0]
    return found


X = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))


def test_a_trace_says_nothing_of_where_it_was_made() -> None:
    model = trace(Layers(), {"x": X}, ["y"])

    assert [i.name for i in model.graph.input] == ["x"]
    assert [o.name for o in model.graph.output] == ["y"]
    assert all(not node.doc_string for node in model.graph.node)
    assert b"site-packages" not in model.SerializeToString()


def test_inputs_and_outputs_say_their_sizes() -> None:
    model = trace(Layers(), {"x": X}, ["y"])

    def sizes(info: onnx.ValueInfoProto) -> list[int | str]:
        return [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]

    assert sizes(model.graph.input[0]) == ["B", 16]
    assert sizes(model.graph.output[0]) == ["B", 2]


def test_one_output_is_a_tuple_too() -> None:
    (found,) = outputs_of(Layers(), {"x": X})

    assert found.shape == (5, 2)


def test_the_same_weights_give_the_same_bytes() -> None:
    first, second = (
        trace(Layers(), {"x": X}, ["y"]).SerializeToString(deterministic=True) for _ in range(2)
    )

    assert first == second


def test_a_rounded_output_is_the_nearest_half() -> None:
    model = trace(Layers(), {"x": X}, ["y"])

    rounded = run(round_output(model), X)

    assert rounded.dtype == np.float16
    assert np.array_equal(rounded, run(model, X).astype(np.float16))


def test_halved_storage_computes_the_same_from_half_the_bytes() -> None:
    layers = Layers()
    round_weights(layers)
    model = trace(layers, {"x": X}, ["y"])

    halved = halve_storage(model)

    assert np.array_equal(run(halved, X), run(model, X))
    kinds = {tensor.name: tensor.data_type for tensor in halved.graph.initializer}
    assert sorted(kinds.values()).count(TensorProto.FLOAT16) == 1
    assert kinds["narrow.weight"] == TensorProto.FLOAT


def test_weights_that_half_precision_can_not_hold_stay_whole() -> None:
    model = trace(Layers(), {"x": X}, ["y"])

    halved = halve_storage(model)

    assert halved.SerializeToString() == model.SerializeToString()


class Shifted(Layers):
    """With whole numbers among its constants, and a number beyond half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("order", torch.arange(31, -1, -1))
        self.register_buffer("large", torch.full((32, 32), 1e6))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.wide(x)[:, self.order] @ self.large
        return out


def test_whole_numbers_and_large_ones_are_left_alone() -> None:
    layers = Shifted()
    round_weights(layers)
    model = trace(layers, {"x": X}, ["y"])

    halved = halve_storage(model)

    assert np.array_equal(run(halved, X), run(model, X))
    kinds = [tensor.data_type for tensor in halved.graph.initializer]
    assert kinds.count(TensorProto.FLOAT16) == 1
    assert TensorProto.INT64 in kinds
    assert TensorProto.FLOAT in kinds


def test_rounding_touches_large_parameters_alone() -> None:
    layers, before = Layers(), Layers()
    round_weights(layers)

    assert torch.equal(layers.wide.weight, before.wide.weight.half().float())
    assert not torch.equal(layers.wide.weight, before.wide.weight)
    assert torch.equal(layers.narrow.weight, before.narrow.weight)
    assert torch.equal(layers.wide.bias, before.wide.bias)
