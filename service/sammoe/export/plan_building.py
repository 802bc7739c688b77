"""A graph becomes a TensorRT plan: what TensorRT is told, and what it must not be asked.

TensorRT itself is handed in: `tensorrt` makes what Triton loads, on the GPU that it is for;
`tensorrt_rtx`, which needs no GPU to read and build a graph, shows in the tests that it can be.
"""

from importlib import import_module
from typing import Any, Final

import torch

from sammoe.errors import BundleInvalid, SettingsInvalid

LONGEST_PROMPT: Final = 1026
"""Prompt tokens of the longest prompt: every click that a segmentation may have, and a box."""

_USUAL_PROMPT: Final = 2
"""What plans are made fastest for: a click, and its padding token."""


def find_tensorrt() -> Any:
    """The module `tensorrt`, on a machine that can make plans.

    Raises
    ------
    SettingsInvalid
        It is not installed, or there is no GPU; the detail says what to do.
    """
    try:
        trt = import_module("tensorrt")
    except ImportError:
        raise SettingsInvalid(
            "TensorRT is not installed here: make plans on a machine with the GPU that will run"
            " them, with the TensorRT of the Triton that will load them (pip install tensorrt==...)"
        ) from None
    if not torch.cuda.is_available():
        raise SettingsInvalid(
            "torch finds no GPU here: a plan is made on the kind of GPU that will run it"
        )
    return trt


def build_plan(trt: Any, plain: str, graph: bytes) -> bytes:
    """Build a plan for one prompt or window at a time, with 1 to ``LONGEST_PROMPT`` tokens.

    Parameters
    ----------
    trt
        The module.
    plain
        The model's plain name, for messages.
    graph
        ONNX, its first axes free, as `sammoe.export.tracing.trace` leaves it. Each layer computes
        in the type that it has there; products of float32 the GPU may round to TF32.

    Raises
    ------
    BundleInvalid
        TensorRT can not read the graph, or can not build it.
    """
    said: list[str] = []
    builder = trt.Builder(_logger(trt, said))
    config = builder.create_builder_config()
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, _logger(trt, said))
    if not parser.parse(graph):
        raise BundleInvalid(f"{plain}: TensorRT can not read it: {parser.get_error(0).desc()}")
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        least, usual, most = (
            [1, *(count if size < 0 else size for size in tuple(tensor.shape)[1:])]
            for count in (1, _USUAL_PROMPT, LONGEST_PROMPT)
        )
        profile.set_shape(tensor.name, least, usual, most)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BundleInvalid(f"{plain}: TensorRT can not build it: {'; '.join(said[:1])}")
    return bytes(plan)


def _logger(trt: Any, said: list[str]) -> Any:
    """Keeps errors instead of printing them."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                said.append(message)

    return Logger()
