"""Does a graph compute what its module computes?"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from sammoe.errors import ExportMismatch

Answer = Sequence[Tensor]
"""The outputs of a module for one input; see :func:`sammoe.export.tracing.outputs_of`."""

EXACT = 1e-4
"""Largest absolute difference, in any output, between a graph and its module in float32."""

HALF = 0.02
"""Largest difference that rounding weights to float16 may make, in any output, relative to the
output's largest magnitude."""


def graph_difference(
    plain: str,
    model: onnx.ModelProto,
    examples: Iterable[Mapping[str, Tensor]],
    answers: Iterable[Answer],
) -> float:
    """Run a graph; the largest absolute difference from what its module answered.

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
    for example, answer in zip(examples, answers, strict=True):
        found = session.run(None, {name: value.numpy() for name, value in example.items()})
        for ours, expected in zip(found, answer, strict=True):
            worst = max(worst, _distance(ours, expected.numpy()))
    if not worst <= EXACT:
        raise ExportMismatch(
            f"{plain}: the ONNX graph differs from the network by {worst:.2g} (at most {EXACT:g} is"
            " allowed); nothing was written"
        )
    return worst


def rounding_difference(plain: str, exact: Iterable[Answer], rounded: Iterable[Answer]) -> float:
    """What rounding the weights changed of a module's answers to the same inputs: the largest
    difference relative to each output's largest magnitude.

    Raises
    ------
    ExportMismatch
        It is more than :data:`HALF`, or something is not finite.
    """
    worst = 0.0
    for wanted, found in zip(exact, rounded, strict=True):
        for ours, expected in zip(found, wanted, strict=True):
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
