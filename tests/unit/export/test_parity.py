from collections.abc import Mapping

import onnx
import pytest
import torch
from torch import Tensor, nn

from sammoe.errors import ExportMismatch
from sammoe.export.parity import EXACT, graph_difference, rounding_difference
from sammoe.export.tracing import outputs_of, trace

X = {"x": torch.linspace(-1, 1, 12).reshape(3, 4)}


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([factor]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def difference(graph: onnx.ModelProto, module: nn.Module, *examples: Mapping[str, Tensor]) -> float:
    answers = [outputs_of(module, example) for example in examples]
    return graph_difference("scale", graph, examples, answers)


def test_equal_graphs_pass_and_report_how_equal() -> None:
    graph = trace(Scale(2.0), X, ["y"])

    assert difference(graph, Scale(2.0), X) < EXACT
    assert difference(graph, Scale(2.0 + 5e-5), X) == pytest.approx(5e-5, rel=0.1)


def test_a_graph_that_differs_is_refused_by_name() -> None:
    graph = trace(Scale(2.0), X, ["y"])

    with pytest.raises(ExportMismatch, match=r"scale: the ONNX graph differs .* by 0\.0002"):
        difference(graph, Scale(2.0 + 2e-4), X)


def test_one_bad_example_is_enough() -> None:
    graph = trace(Scale(2.0), X, ["y"])
    large = {"x": X["x"] * 1e5}

    with pytest.raises(ExportMismatch):
        difference(graph, Scale(2.0 + 5e-5), X, large, X)


def test_numbers_that_are_none_are_refused() -> None:
    graph = trace(Scale(float("nan")), X, ["y"])

    with pytest.raises(ExportMismatch, match="by inf"):
        difference(graph, Scale(float("nan")), X)


def test_rounding_is_measured_against_the_largest_value() -> None:
    exact, near, far = ([outputs_of(Scale(factor), X)] for factor in (100.0, 101.0, 103.0))

    assert rounding_difference("scale", exact, near) == pytest.approx(0.01)
    with pytest.raises(ExportMismatch, match="export it in float32"):
        rounding_difference("scale", exact, far)
