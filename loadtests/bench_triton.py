"""A fused click through Triton against the same graphs called bare, and many experts against one.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_triton

Decoders of vit_b's size with random weights, 15 experts, each a model of its own; every click is
fused. Encoder and gate are arithmetic: the one does not run in a cached click, the other names the
expert by the click's place. Servers are real processes on loopback (``sammoe triton``, ``sammoe
serve --triton-url``), and blocks are interleaved: whatever disturbs the machine disturbs all alike.
Exits 1 when two masks of one click differ.
"""

import argparse
import asyncio
import os

# As the command sets it for itself: the bare calls may not have more BLAS threads than the server.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from loadtests.bench_clicks import (
    CLICK,
    THREADS,
    add_volume,
    click,
    mni_template,
    ratio,
    report,
    scan_bytes,
    server,
)
from loadtests.networks import random_vit_b, session
from loadtests.timing import Times, interleave
from sammoe.bundle import (
    ENCODER,
    GATE,
    GENERAL_DECODER,
    PROMPT_KINDS,
    TENSORRT_CONFIG,
    Bundle,
    Expert,
    Manifest,
    ModelConfig,
    Provenance,
    Routing,
    TensorSpec,
    add_model,
    add_selector,
    config_pbtxt,
    decoder_name,
    load_bundle,
    tensorrt_pbtxt,
    write_manifest,
)
from sammoe.engine import Choice, DecoderInputs, Engine, decoder_inputs, fuse
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.engine.triton import TritonEngine
from sammoe.export.graphs import DecoderGraph, example_prompt
from sammoe.export.parts import expert_part
from sammoe.export.release import official_windows
from sammoe.export.tracing import trace
from sammoe.model.gate_features import TOKENS
from sammoe.store import rounded
from sammoe.volume.crop import crop
from sammoe.volume.packed import pack
from sammoe.volume.paste import paste
from sammoe.volume.reading import read_volume
from sammoe.volume.window import source_to_window, window_for_point
from tests.integration.triton.server import running

EXPERTS = 15
NAMES = [f"expert_{number}" for number in range(EXPERTS)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="of each (default 15)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = random_bundle(folder / "bundle")
        with running(bundle.path, folder / "triton.log") as triton:
            same = compare_clicks(bundle, triton.url, folder / "state", rounds)
            asyncio.run(compare_experts(bundle, triton.url, rounds))
    print("masks over HTTP and bare are", "equal" if same else "DIFFERENT")
    return 0 if same else 1


def compare_clicks(bundle: Bundle, url: str, state: Path, rounds: int) -> bool:
    """A cached click over HTTP and Triton against its parts; whether the masks agree."""
    template = mni_template()
    bare = bare_click(bundle, scan_bytes(template, 0))
    with (
        server(bundle, state, "--triton-url", url) as address,
        httpx.Client(base_url=address, timeout=120) as http,
    ):
        volume = add_volume(http, template, 0)
        runs = {"HTTP": lambda: click(http, volume), "bare": bare}
        times = interleave(runs, rounds)
        same = click(http, volume).content == bare()
    report("fused cached click through Triton, median", times)
    print(f"fused cached click, HTTP and Triton / bare  {ratio(times):8.2f}")
    return same


async def compare_experts(bundle: Bundle, url: str, rounds: int) -> None:
    """The same requests spread over all experts against one expert's, on either engine."""
    local = LocalEngine(bundle, EngineOptions(THREADS, THREADS))
    for name, engine in (("LocalEngine", local), ("TritonEngine", TritonEngine(bundle, url))):
        times = await spread(engine, rounds)
        report(f"{name}, one request, median", times)
        share = times["spread"].median / times["one"].median
        print(f"{name}, spread over {EXPERTS} experts / one  {share:8.2f}")
        await engine.close()


async def spread(engine: Engine, rounds: int) -> dict[str, Times]:
    """Seconds of single requests, in turn to one expert and to the next of all."""
    model, rule = engine.bundle.manifest.model, engine.bundle.manifest.window_rule()
    embedding = np.zeros((1, model.embedding_channels) + (model.grid,) * 3, np.float16)
    seconds: dict[str, list[float]] = {"one": [], "spread": []}
    clock = asyncio.get_running_loop().time
    for number in range(rounds * EXPERTS):
        for name, expert in (("one", 0), ("spread", number % EXPERTS)):
            place = place_of(expert, EXPERTS, rule.side)
            inputs = decoder_inputs([place], [1], None, None, rule)
            started = clock()
            decoded = await engine.decode(embedding, inputs, Choice())
            if number >= EXPERTS:  # one round to warm up
                seconds[name].append(clock() - started)
            assert decoded.route.used == NAMES[expert]
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def bare_click(bundle: Bundle, scan: bytes) -> Callable[[], bytes]:
    """The work of a fused cached click, called in this process one after the other."""
    volume, rule = read_volume(scan, modality="MR"), bundle.manifest.window_rule()
    window = window_for_point(volume.geometry, CLICK, volume.modality, rule)
    points = source_to_window(volume.geometry, window, np.array([CLICK]))
    inputs = decoder_inputs(points, [1], None, None, rule)
    parts = [GENERAL_DECODER, GATE, *map(decoder_name, NAMES)]
    sessions = {part: session(bundle.model_path(part), THREADS) for part in parts}
    encoder = session(bundle.model_path(ENCODER), THREADS)
    embedding = encoder.run(["embedding"], {"image": crop(volume, window, rule)})[0]
    feed = feed_of(embedding, inputs)

    def run() -> bytes:
        general = sessions[GENERAL_DECODER].run(["logits"], feed)[0][0, 0]
        scores = sessions[GATE].run(["scores"], feed)[0][0]
        best = int(scores.argmax())
        expert = sessions[decoder_name(NAMES[best])].run(["logits"], feed)[0][0, 0]
        logits = fuse(general, expert, float(scores[best]), "probability")
        # As the service, which keeps what it answers in float16.
        return pack(paste(rounded(logits), window, volume.geometry), volume.geometry)

    return run


def feed_of(embedding: np.ndarray, inputs: DecoderInputs) -> dict[str, np.ndarray]:
    return {
        "embedding": embedding,
        "coords": inputs.coords,
        "labels": inputs.labels,
        "mask": inputs.mask,
    }


def random_bundle(
    folder: Path, names: Sequence[str] = NAMES, radius_mm: float | None = None
) -> Bundle:
    """A bundle with decoders of official size, random weights, and every click fused.

    The expert that the gate takes is that of the click's place: see `place_of`. ``radius_mm``: of a
    ball in the window's middle, in place of masks that random weights paint all over it.
    """
    model = random_vit_b()
    config = model.config
    part = expert_part(model, model.mask_decoder)
    example = example_prompt(config, 2, 3, box=False, prior=True, seed=0)
    general = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True)
    decoder = trace(part.module, example, ["logits"])
    graphs = {
        ENCODER: encoder_graph(config.image_size, config.embedding_channels, config.grid),
        GENERAL_DECODER: trace(general, example, ["logits", "gate_features"]),
        **{decoder_name(name): decoder for name in names},
        GATE: gate_graph(decoder, config.image_size, len(names)),
    }
    if radius_mm is not None:
        for graph in {id(one): one for one in graphs.values()}.values():
            if any(output.name == "logits" for output in graph.graph.output):
                cells = 4 * config.grid
                cell_mm = official_windows().spacings[0] * config.image_size / cells
                add_ball(graph, cells, radius_mm / cell_mm)
    models: dict[str, str] = {}
    files: dict[str, str] = {}
    for plain, graph in graphs.items():
        text = config_pbtxt(
            specs(graph.graph.input), specs(graph.graph.output), instances=1, threads=THREADS
        )
        content: dict[str, bytes | Path] = {
            "config.pbtxt": text.encode(),
            TENSORRT_CONFIG: tensorrt_pbtxt(text).encode(),
            "1/model.onnx": graph.SerializeToString(),
        }
        models[plain], digests = add_model(folder, plain, content)
        files |= digests
    sizes = ModelConfig(
        embedding_channels=config.embedding_channels,
        width=config.prompt_dim,
        grid=config.grid,
        boxes=config.box_embeddings,
        gate_tokens=TOKENS,
        architecture={},
    )
    manifest = Manifest(
        name="random",
        model=sizes,
        window=official_windows(),
        routing=Routing(gate="joint", tau=dict.fromkeys(PROMPT_KINDS, 0.0)),
        models=models,
        files=files,
        experts=tuple(
            Expert(name=n, label=n, modalities=("MR",), training_data="none", licence="none")
            for n in names
        ),
        provenance=Provenance(
            source="random", licence="none", created=date(2000, 1, 1), training_data="none"
        ),
    )
    write_manifest(folder, add_selector(folder, manifest))
    return load_bundle(folder)


def add_ball(decoder: onnx.ModelProto, cells: int, radius: float) -> None:
    """Have a decoder's logits be those of a ball, of a radius in cells, and a little of its own.

    Its edge is ragged, as that of a structure.
    """
    place = (np.arange(cells, dtype=np.float32) - (cells - 1) / 2) ** 2
    away = np.sqrt(place[:, None, None] + place[:, None] + place)
    ball = (radius - away)[None, None].astype(np.float32)
    for node in decoder.graph.node:
        node.output[:] = ["painted" if name == "logits" else name for name in node.output]
    own = [
        helper.make_node("Clip", ["painted", "least", "most"], ["own"]),
        helper.make_node("Add", ["own", "ball"], ["logits"]),
    ]
    decoder.graph.node.extend(own)
    values = {"least": np.float32(-0.5), "most": np.float32(0.5), "ball": ball}
    decoder.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()
    )


def encoder_graph(side: int, channels: int, grid: int) -> onnx.ModelProto:
    """Mean of every patch, times a number for each channel."""
    gains = np.linspace(-1, 1, channels, dtype=np.float32).reshape(1, channels, 1, 1, 1)
    step = [side // grid] * 3
    return arithmetic(
        [
            helper.make_node("AveragePool", ["image"], ["mean"], kernel_shape=step, strides=step),
            helper.make_node("Mul", ["mean", "gains"], ["exact"]),
            helper.make_node("Cast", ["exact"], ["embedding"], to=TensorProto.FLOAT16),
        ],
        [info("image", TensorProto.FLOAT, "B", 1, side, side, side)],
        [info("embedding", TensorProto.FLOAT16, "B", channels, grid, grid, grid)],
        {"gains": gains},
    )


def place_of(expert: int, experts: int, side: int) -> list[float]:
    """Where in a window a click is that expert's, of so many."""
    return [(expert + 0.5) / experts * side, side / 2, side / 2]


def gate_graph(decoder: onnx.ModelProto, side: int, experts: int) -> onnx.ModelProto:
    """Score of each expert by the first token's x, near 1 in the middle of its part of the window;
    reads what the decoders read."""
    middles = np.array([[16.0 * number + 8.0 for number in range(experts)]], np.float32)
    return arithmetic(
        [
            helper.make_node("Gather", ["coords", "first"], ["token"], axis=1),
            helper.make_node("Gather", ["token", "zero"], ["x"], axis=1),
            helper.make_node("Mul", ["x", "scale"], ["place"]),
            helper.make_node("Sub", ["place", "middles"], ["signed"]),
            helper.make_node("Abs", ["signed"], ["away"]),
            helper.make_node("Sub", ["eight", "away"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["scores"]),
        ],
        list(decoder.graph.input),
        [info("scores", TensorProto.FLOAT, "B", experts)],
        {
            "first": np.array(0, np.int64),
            "zero": np.array([0], np.int64),
            "scale": np.array(16.0 * experts / side, np.float32),
            "middles": middles,
            "eight": np.array(8.0, np.float32),
        },
    )


def arithmetic(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: dict[str, Any],
) -> onnx.ModelProto:
    """A checked graph of these nodes."""
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "bench", list(inputs), list(outputs), stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def info(name: str, kind: int, *dims: int | str) -> onnx.ValueInfoProto:
    """A graph's input or output."""
    return helper.make_tensor_value_info(name, kind, dims)


def specs(infos: Sequence[onnx.ValueInfoProto]) -> list[TensorSpec]:
    """Triton's description of a graph's inputs or outputs."""
    kinds: dict[int, str] = {
        TensorProto.FLOAT: "FP32",
        TensorProto.FLOAT16: "FP16",
        TensorProto.INT32: "INT32",
    }
    found = []
    for each in infos:
        tensor = each.type.tensor_type
        dims = tuple(dim.dim_value or -1 for dim in tensor.shape.dim)[1:]
        kind: Any = f"TYPE_{kinds[tensor.elem_type]}"
        found.append(TensorSpec(each.name, kind, dims, tuple(max(dim, 1) for dim in dims)))
    return found


if __name__ == "__main__":
    sys.exit(main())
