"""Graphs in ONNX Runtime against the networks called the official way."""

from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sammoe.export.graphs import (
    DecoderGraph,
    HeadsGraph,
    PaperGateGraph,
    example_prompt,
)
from sammoe.export.tracing import trace
from sammoe.model import SamMed3D, SamMed3DConfig
from sammoe.model.gate import ExpertHeads, PaperGate
from sammoe.model.gate_features import TOKENS, gate_features
from tests.oracles.plain_decoder import PlainDecoder
from tests.unit.export import tiny

CONFIGS = {"official": tiny.CONFIG, "detailed": tiny.DETAILED}


@cache
def network(kind: str) -> SamMed3D:
    return tiny.model(CONFIGS[kind])


@cache
def decoder_session(kind: str) -> onnxruntime.InferenceSession:
    model = network(kind)
    graph = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True)
    example = example_prompt(model.config, 2, 3, box=False, prior=True, seed=0)
    return _session(trace(graph, example, ["logits", "gate_features"]))


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _run(session: onnxruntime.InferenceSession, example: dict[str, Tensor]) -> list[Tensor]:
    found: list[NDArray[np.float32]] = session.run(None, {k: v.numpy() for k, v in example.items()})
    return [torch.from_numpy(array) for array in found]


@torch.no_grad()
def _official_call(model: SamMed3D, example: dict[str, Tensor], *, box: bool) -> Tensor:
    """Points and box taken apart again: the padding and the corners are not the caller's there."""
    coords, labels = example["coords"], example["labels"].long()
    boxes = coords[:, -2:].reshape(-1, 6) if box else None
    coords, labels = (t[:, : -2 if box else -1] for t in (coords, labels))
    points = (coords, labels) if coords.shape[1] else None
    sparse, dense = model.prompt_encoder(points=points, boxes=boxes, masks=example["mask"])
    logits, _ = model.mask_decoder(
        image_embeddings=example["embedding"].float(),
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )
    out: Tensor = logits
    return out


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("box", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("count", range(2, 8))
def test_a_decoder_graph_is_the_official_call(
    kind: str, count: int, batch: int, box: bool, prior: bool
) -> None:
    model = network(kind)
    example = example_prompt(model.config, batch, count, box=box, prior=prior, seed=count)

    logits, features = _run(decoder_session(kind), example)

    expected = _official_call(model, example, box=box)
    assert expected.std() > 0.01
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    assert features.shape == (batch, TOKENS * model.config.prompt_dim)


@torch.no_grad()
@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("label", [-1, 0, 1])
def test_a_single_token_will_do(kind: str, label: int) -> None:
    model = network(kind)
    example = example_prompt(model.config, 1, 1, box=False, prior=True, seed=1)
    example["labels"] = torch.tensor([[label]], dtype=torch.int32)

    found = _run(decoder_session(kind), example)

    graph = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True)
    for ours, expected in zip(found, graph(*example.values()), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("kind", CONFIGS)
def test_gate_features_leave_the_graph_as_the_function_makes_them(kind: str) -> None:
    model = network(kind)
    example = example_prompt(model.config, 2, 4, box=True, prior=True, seed=9)
    image = example["embedding"].float()
    sparse, dense = model.prompt_encoder.embed_prompt(
        example["coords"], example["labels"], example["mask"]
    )
    state = model.mask_decoder.decode_tokens(
        image, model.prompt_encoder.get_dense_pe(), sparse, dense
    )

    logits, features = _run(decoder_session(kind), example)

    place = example["coords"], example["labels"], model.config
    expected = gate_features(state, logits, *place)
    torch.testing.assert_close(features, expected, atol=1e-4, rtol=0)
    fewer = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True, tokens=5)
    first = expected[:, : 5 * model.config.prompt_dim]
    torch.testing.assert_close(fewer(*example.values())[1], first, atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(("count", "box"), [(1, False), (5, False), (6, True)])
def test_token_layout_is_the_plain_order(count: int, box: bool) -> None:
    model = network("official")
    example = example_prompt(model.config, 2, count, box=box, prior=True, seed=count)

    plain, _ = PlainDecoder(model)(*example.values())

    found = _run(decoder_session("official"), example)[0]
    torch.testing.assert_close(found, plain, atol=1e-4, rtol=0)


def test_a_decoders_inputs_are_those_of_every_engine() -> None:
    session = decoder_session("detailed")
    config = network("detailed").config
    e, g, cells = config.embedding_channels, config.grid, config.cells

    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("embedding", "tensor(float16)", ["B", e, g, g, g]),
        ("coords", "tensor(float)", ["B", "N", 3]),
        ("labels", "tensor(int32)", ["B", "N"]),
        ("mask", "tensor(float)", ["B", 1, cells, cells, cells]),
    ]
    assert [(o.name, o.type) for o in session.get_outputs()] == [
        ("logits", "tensor(float)"),
        ("gate_features", "tensor(float)"),
    ]


@pytest.mark.parametrize("kind", CONFIGS)
def test_an_encoder_graph_takes_any_batch(kind: str) -> None:
    encoder = network(kind).image_encoder
    image = torch.randn(3, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    session = _session(trace(encoder, {"image": image[:2]}, ["embedding"]))

    for batch in (1, 3):
        found = _run(session, {"image": image[:batch]})[0]
        with torch.no_grad():
            expected = encoder(image[:batch])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("none_of_them", [False, True])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_papers_gate_exports(config: SamMed3DConfig, none_of_them: bool) -> None:
    model = tiny.model(config)
    graph = PaperGateGraph(
        model.prompt_encoder, PaperGate(config, 3, none_of_them=none_of_them)
    ).eval()
    session = _session(
        trace(graph, example_prompt(config, 2, 3, box=False, prior=True, seed=0), ["scores"])
    )

    for batch, count in ((1, 1), (2, 6)):
        example = example_prompt(config, batch, count, box=count > 1, prior=True, seed=count)
        found = _run(session, example)[0]
        assert found.shape == (batch, 3)
        torch.testing.assert_close(found, graph(*example.values()), atol=1e-4, rtol=0)


def test_heads_export_as_independent_sigmoids() -> None:
    features = torch.randn(4, 120)
    heads = ExpertHeads(features.mean(0), features.std(0), ["cord", "lesion"], hidden=8)
    session = _session(trace(HeadsGraph(heads), {"gate_features": features[:2]}, ["scores"]))

    found = _run(session, {"gate_features": features})[0]

    torch.testing.assert_close(found, heads(features).sigmoid().detach(), atol=1e-5, rtol=0)
