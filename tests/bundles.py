"""Small valid bundles whose graphs really run, made with ``onnx.helper`` alone (no torch).

The decoder is arithmetic instead of a network: its mask is a ball around every positive point, cut
back around every negative one, plus the inside of the box, plus a quarter of the prior. So a test
can say where the mask must be, on the real ONNX Runtime.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sammoe.bundle import (
    PROMPT_KINDS,
    Bundle,
    Expert,
    Manifest,
    ModelConfig,
    Provenance,
    Routing,
    TensorSpec,
    WindowSettings,
    add_model,
    config_pbtxt,
    load_bundle,
    write_manifest,
)
from sammoe.bundle.assembling import assemble
from sammoe.bundle.features import FEATURES_FILE, ReferenceFeatures
from sammoe.bundle.manifest import SelfTest
from sammoe.bundle.self_test import record_self_test
from sammoe.bundle.triton import DataType
from sammoe.engine.local import LocalEngine
from sammoe.engine.verifying import EngineRunner

SIDE = 32
PATCH = 8
GRID = SIDE // PATCH
CELLS = 4 * GRID
CHANNELS = 4
WIDTH = 2
FEATURES = 5 * WIDTH
SPACINGS = (1.5, 3.0)

BALL_VOXELS = 6.0
"""Radius of the general decoder's ball around a positive point, in window voxels."""

EXPERT_BALL_VOXELS = 9.0
"""The same of every expert's decoder."""

BITE_VOXELS = 3.0
"""Radius that a negative point takes away, in window voxels."""


def write_test_bundle(
    root: Path,
    *,
    experts: Sequence[str] = (),
    fusion: Literal["probability", "logit"] = "probability",
    tau: float = 0.5,
    broken: str | None = None,
    gate: Literal["heads", "joint", "paper"] = "heads",
    slack: float | None = None,
    own_slack: Mapping[str, float | None] | None = None,
    agreement: float | None = None,
    distance: float | None = None,
    modalities: Mapping[str, tuple[Literal["CT", "MR"], ...]] | None = None,
    reference: bool = False,
    boxes: bool = True,
    radii: Mapping[str, float] | None = None,
) -> Bundle:
    """Write a bundle into the empty folder ``root`` and load it.

    Parameters
    ----------
    experts
        Names of experts. With m of them the gate gives expert e the score
        ``sigmoid(8 - |16 m x - 16 e - 8|)``, x = the first token's first coordinate over the
        window's side: above .5 within its own m-th part of the window, nearly 1 in its middle.
    fusion, tau
        As in the manifest.
    broken
        Plain name of a model whose output is NaN, for tests of the output checks.
    gate, slack, own_slack, agreement, distance
        As in the manifest; the slacks hold for every kind of prompt. The expert's ball is 3 voxels
        larger than the general one, so a slack of -5 rejects it.
    modalities
        Of the experts named; both of any other.
    reference
        Whether reference features ship: those of prompts whose x is within the middle half.
    boxes
        As in the manifest.
    radii
        Of the balls of the experts named, voxels, in place of `EXPERT_BALL_VOXELS`.
    """
    balls = dict.fromkeys(experts, EXPERT_BALL_VOXELS) | dict(radii or {})
    graphs = {
        "image_encoder": _encoder(),
        "decoder_general": _decoder(BALL_VOXELS, gate_features=True),
        **{f"decoder_{name}": _decoder(balls[name]) for name in experts},
    }
    if experts:
        graphs["gate"] = _gate(len(experts), reads_features=gate == "heads")
    if broken is not None:
        graphs[broken] = _poisoned(graphs[broken])
    models: dict[str, str] = {}
    files: dict[str, str] = {}
    for plain, graph in graphs.items():
        config = config_pbtxt(
            _specs(graph.graph.input), _specs(graph.graph.output), instances=1, threads=1
        )
        parts: dict[str, bytes | Path] = {
            "config.pbtxt": config.encode(),
            "1/model.onnx": graph.SerializeToString(),
        }
        if reference and plain == "decoder_general":
            parts[FEATURES_FILE] = reference_features().to_bytes()
        models[plain], digests = add_model(root, plain, parts)
        files |= digests
    manifest = Manifest(
        name="balls",
        model=ModelConfig(
            embedding_channels=CHANNELS, width=WIDTH, grid=GRID, boxes=boxes, architecture={}
        ),
        window=WindowSettings(
            side=SIDE,
            patch=PATCH,
            spacings=SPACINGS,
            default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
            antialias=True,
            preprocessing_version=1,
        ),
        routing=Routing(
            gate=gate,
            fusion=fusion,
            tau=dict.fromkeys(PROMPT_KINDS, tau),
            slack=dict.fromkeys(PROMPT_KINDS, slack),
            own_slack={n: dict.fromkeys(PROMPT_KINDS, s) for n, s in (own_slack or {}).items()},
            agreement=agreement,
            distance=distance,
        ),
        models=models,
        files=files,
        experts=tuple(
            Expert(
                name=name,
                label=name.capitalize(),
                modalities=(modalities or {}).get(name, ("CT", "MR")),
                training_data="none",
                licence="Apache-2.0",
            )
            for name in experts
        ),
        provenance=Provenance(
            source="arithmetic",
            licence="Apache-2.0",
            created=date(2026, 1, 2),
            training_data="none",
        ),
    )
    write_manifest(root, manifest)
    return load_bundle(root)


def with_self_test(bundle: Bundle) -> Bundle:
    """Record what an engine answers to a bundle's self-test, as exporting does, so that the bundle
    can be published.
    """
    manifest = bundle.manifest
    experts = tuple(expert.name for expert in manifest.experts)

    async def record() -> SelfTest:
        engine = LocalEngine(bundle)
        try:
            runner = EngineRunner(engine, asyncio.get_running_loop())
            return await asyncio.to_thread(
                record_self_test, manifest.model, manifest.window.side, experts, runner
            )
        finally:
            await engine.close()

    new = manifest.model_copy(update={"self_test": asyncio.run(record())})
    return assemble(bundle, new, {}, out=bundle.path, replace=True)


def reference_features() -> ReferenceFeatures:
    """Features of prompts whose x lies within the middle half of the window."""
    x = np.linspace(0.25, 0.75, 9, dtype=np.float32)
    features = np.repeat(x[:, None], FEATURES, axis=1)
    return ReferenceFeatures.of(features, ("balls",), np.zeros(len(x), np.int64))


class _Graph:
    """An ONNX graph written line by line; a call adds a node and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type[np.generic] = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def __call__(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def model(
        self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "test", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model


def _tensor(name: str, kind: int, *dims: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, dims)


def _encoder() -> onnx.ModelProto:
    """Mean of every patch, times 1 .. CHANNELS."""
    g = _Graph()
    mean = g("AveragePool", "image", kernel_shape=[PATCH] * 3, strides=[PATCH] * 3)
    gains = np.arange(1, CHANNELS + 1).reshape(1, CHANNELS, 1, 1, 1)
    g("Cast", g("Mul", mean, g.constant(gains)), out="embedding", to=TensorProto.FLOAT16)
    return g.model(
        [_tensor("image", TensorProto.FLOAT, "B", 1, SIDE, SIDE, SIDE)],
        [_tensor("embedding", TensorProto.FLOAT16, "B", CHANNELS, GRID, GRID, GRID)],
    )


def _decoder(radius: float, *, gate_features: bool = False) -> onnx.ModelProto:
    """Logit = how many voxels deep in the ball or box, and out of the bite, a cell's centre is."""
    g = _Graph()
    tokens_axis = g.constant([1], np.int64)
    last_axis = g.constant([-1], np.int64)
    far = g.constant(-20.0)
    zero = g.constant(0.0)
    # Tokens [B, N, 1, 3] minus cell centres [1, 1, L^3, 3].
    tokens = g("Unsqueeze", "coords", g.constant([2], np.int64))
    offset = g("Sub", tokens, g.constant(_cell_centres()[None, None]))
    distance = g("ReduceL2", offset, last_axis, keepdims=0)

    def is_label(label: int, axes: list[int]) -> str:
        same = g("Equal", "labels", g.constant(label, np.int32))
        return g("Unsqueeze", same, g.constant(axes, np.int64))

    def deepest(label: int, size: float) -> str:
        depth = g("Where", is_label(label, [2]), g("Sub", g.constant(size), distance), far)
        return g("ReduceMax", depth, tokens_axis, keepdims=0)

    def to_corner(label: int) -> str:
        only = g("Where", is_label(label, [2, 3]), offset, zero)
        return g("ReduceSum", only, tokens_axis, keepdims=0)

    inside = g("Min", g("Neg", to_corner(2)), to_corner(3))
    in_box = g("ReduceMin", inside, last_axis, keepdims=0)
    corners = g("Cast", is_label(2, [2]), to=TensorProto.FLOAT)
    has_box = g("Cast", g("ReduceMax", corners, tokens_axis, keepdims=0), to=TensorProto.BOOL)
    shown = g("Max", deepest(1, radius), g("Where", has_box, in_box, far))
    prior = g("Mul", g("Reshape", "mask", g.constant([0, -1], np.int64)), g.constant(0.25))
    cut = g("Min", g("Add", shown, prior), g("Neg", deepest(0, BITE_VOXELS)))
    # A trace of the image, so that another embedding is another answer.
    image = g("Cast", "embedding", to=TensorProto.FLOAT)
    mean = g("ReduceMean", image, g.constant([2, 3, 4], np.int64), keepdims=0)
    trace = g("Mul", g("ReduceMean", mean, tokens_axis, keepdims=1), g.constant(0.01))
    shape = g.constant([0, 1, CELLS, CELLS, CELLS], np.int64)
    g("Reshape", g("Add", cut, trace), shape, out="logits")
    outputs = [_tensor("logits", TensorProto.FLOAT, "B", 1, CELLS, CELLS, CELLS)]
    if gate_features:
        g("Mul", _first_x(g), g.constant(np.ones((1, FEATURES))), out="gate_features")
        outputs.append(_tensor("gate_features", TensorProto.FLOAT, "B", FEATURES))
    return g.model(_prompt(), outputs)


def _gate(experts: int, *, reads_features: bool) -> onnx.ModelProto:
    """Score of expert e, from x alone: the first feature, or the first token's; see above."""
    g = _Graph()
    if reads_features:
        x = g("Gather", "gate_features", g.constant([0], np.int64), axis=1)
        inputs = [_tensor("gate_features", TensorProto.FLOAT, "B", FEATURES)]
    else:
        x, inputs = _first_x(g), _prompt()
    middles = g.constant([[16.0 * e + 8.0 for e in range(experts)]])
    away = g("Abs", g("Sub", g("Mul", x, g.constant(16.0 * experts)), middles))
    g("Sigmoid", g("Sub", g.constant(8.0), away), out="scores")
    return g.model(inputs, [_tensor("scores", TensorProto.FLOAT, "B", experts)])


def _first_x(g: _Graph) -> str:
    """First coordinate [B, 1] of the first token over the window's side."""
    first = g("Gather", "coords", g.constant(0, np.int64), axis=1)
    x = g("Gather", first, g.constant([0], np.int64), axis=1)
    return g("Mul", x, g.constant(1 / SIDE))


def _prompt() -> list[onnx.ValueInfoProto]:
    """What decoders read."""
    return [
        _tensor("embedding", TensorProto.FLOAT16, "B", CHANNELS, GRID, GRID, GRID),
        _tensor("coords", TensorProto.FLOAT, "B", "N", 3),
        _tensor("labels", TensorProto.INT32, "B", "N"),
        _tensor("mask", TensorProto.FLOAT, "B", 1, CELLS, CELLS, CELLS),
    ]


def _poisoned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same graph with its first output divided by itself minus itself: NaN or Inf."""
    graph = model.graph
    name = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["clean" if output == name else output for output in node.output]
    graph.node.append(helper.make_node("Sub", ["clean", "clean"], ["none"]))
    graph.node.append(helper.make_node("Div", ["none", "none"], [name]))
    onnx.checker.check_model(model, full_check=True)
    return model


def _cell_centres() -> NDArray[np.float32]:
    """Window voxel coordinates [L^3, 3] of the low-resolution cells' centres."""
    axis = (np.arange(CELLS, dtype=np.float32) + 0.5) * (SIDE / CELLS) - 0.5
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def _specs(infos: Sequence[onnx.ValueInfoProto]) -> list[TensorSpec]:
    """Triton's description of a graph's inputs or outputs."""
    kinds: dict[int, DataType] = {
        TensorProto.FLOAT: "TYPE_FP32",
        TensorProto.FLOAT16: "TYPE_FP16",
        TensorProto.INT32: "TYPE_INT32",
    }
    specs = []
    for info in infos:
        tensor = info.type.tensor_type
        dims = tuple(dim.dim_value or -1 for dim in tensor.shape.dim)[1:]
        warm_up = tuple(1 if dim == -1 else dim for dim in dims)
        specs.append(TensorSpec(info.name, kinds[tensor.elem_type], dims, warm_up))
    return specs
