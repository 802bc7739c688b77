"""Does a graph compute what its module computes?"""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from sammoe.errors import ExportMismatch
from sammoe.export.tracing import outputs_of

EXACT = 1e-4
"""Largest absolute difference, in any output, between a graph and its module in float32."""

HALF = 0.02
"""Largest difference that rounding weights to float16 may make, in any output, relative to the
output's largest magnitude."""


def graph_difference(
    plain: str,
    model: onnx.ModelProto,
    module: nn.Module,
    examples: Iterable[Mapping[str, Tensor]],
) -> float:
    """Run a graph and its module on the same inputs; the largest absolute difference.

    Raises
    ------
    ExportMismatch
        It is more than :data:`EXACT`, or something is not finite. The detail names ``plain``.
    """
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    worst = 0.0
    for example in examples:
        found = session.run(None, {name: value.numpy() for name, value in example.items()})
        for ours, expected in zip(found, outputs_of(module, example), strict=True):
            worst = max(worst, _distance(ours, expected.numpy()))
    if not worst <= EXACT:
        raise ExportMismatch(
            f"{plain}: the ONNX graph differs from the network by {worst:.2g} (at most {EXACT:g} is"
            " allowed); nothing was written"
        )
    return worst


def rounding_difference(
    plain: str, module: nn.Module, rounded: nn.Module, examples: Iterable[Mapping[str, Tensor]]
) -> float:
    """What rounding the weights changes: the largest difference relative to each output's largest
    magnitude.

    Raises
    ------
    ExportMismatch
        It is more than :data:`HALF`, or something is not finite.
    """
    worst = 0.0
    for example in examples:
        for ours, expected in zip(
            outputs_of(rounded, example), outputs_of(module, example), strict=True
        ):
            size = float(expected.abs().max())
            worst = max(worst, _distance(ours.numpy(), expected.numpy()) / max(size, 1e-6))
    if not worst <= HALF:
        raise ExportMismatch(
            f"{plain}: float16 weights change its answers by {worst:.2g} of their largest value (at"
            f" most {HALF:g} is allowed): export it in float32"
        )
    return worst


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest absolute difference; infinite for unequal shapes or anything not finite."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.abs(a - b).max())
