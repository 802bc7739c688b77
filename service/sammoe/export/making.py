"""Making graphs and putting them into a folder, each checked against its network first."""

import copy
from dataclasses import dataclass
from pathlib import Path

import onnx
from pydantic import JsonValue
from torch import nn

from sammoe.bundle import ENCODER, TENSORRT_CONFIG, tensorrt_pbtxt
from sammoe.export.parity import EXACT, HALF, graph_difference, rounding_difference
from sammoe.export.parts import Part
from sammoe.export.tracing import (
    halve_storage,
    outputs_of,
    round_output,
    round_weights,
    trace,
)


@dataclass(frozen=True, eq=False)
class Made:
    """A finished graph.

    Attributes
    ----------
    files
        Of its model folder: path within -> content.
    module
        What the graph computes: the network, its weights rounded where the graph's are.
    measured
        How far the graph is from its network and, with float16 weights, that from the original.
    """

    files: dict[str, bytes | Path]
    module: nn.Module
    measured: dict[str, JsonValue]


def make(plain: str, part: Part, *, half: bool) -> Made:
    """Export one part.

    Raises
    ------
    ExportMismatch
        The graph differs from its network by more than its bound.
    """
    module, measured = part.module, dict[str, JsonValue]()
    answers = [outputs_of(module, example) for example in part.examples]
    if half:
        module, exact = copy.deepcopy(part.module), answers
        round_weights(module)
        answers = [outputs_of(module, example) for example in part.examples]
        measured["rounding"] = rounding_difference(plain, exact, answers)
    graph = trace(module, part.examples[-1], [spec.name for spec in part.outputs])
    if half:
        graph = halve_storage(graph)
    measured["graph"] = graph_difference(plain, graph, part.examples, answers)
    if plain == ENCODER:
        # Inside the graph: a cached embedding and a fresh one are the same bytes.
        graph = round_output(graph)
    return Made(_files(part, graph), module, measured)


def bounds(*, half: bool) -> dict[str, JsonValue]:
    """Of what :attr:`Made.measured` holds."""
    return {"graph": EXACT, "rounding": HALF} if half else {"graph": EXACT}


def _files(part: Part, graph: onnx.ModelProto) -> dict[str, bytes | Path]:
    config = part.config()
    return {
        "config.pbtxt": config.encode(),
        TENSORRT_CONFIG: tensorrt_pbtxt(config).encode(),
        "1/model.onnx": graph.SerializeToString(deterministic=True),
    }
