"""Export, read, export again: the same networks."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from sammoe.bundle import Bundle, add_model, load_bundle, write_manifest
from sammoe.errors import BundleInvalid
from sammoe.export import ExpertDecoder, Networks, export_bundle, load_networks
from sammoe.export.parts import Gate, Part, parts_of
from sammoe.export.reading import read_state
from sammoe.model import SamMed3D, SamMed3DConfig
from sammoe.model.gate import ExpertHeads, PaperGate
from tests.unit.export import tiny

Mode = Literal["heads", "joint", "paper"]
CONFIGS = {"official": tiny.CONFIG, "detailed": tiny.DETAILED}
EXPERTS = (tiny.CORD, tiny.LESION)


def make_gate(config: SamMed3DConfig, mode: Mode) -> Gate:
    torch.manual_seed(7)
    if mode != "heads":
        return PaperGate(config, len(EXPERTS), none_of_them=mode == "joint")
    features = 5 * config.prompt_dim
    mean, deviation = torch.randn(features), torch.rand(features) + 0.5
    return ExpertHeads(mean, deviation, [expert.name for expert in EXPERTS], hidden=4)


def make_bundle(
    out: Path, config: SamMed3DConfig, mode: Mode, *, half: bool
) -> tuple[Bundle, Networks]:
    """A bundle with two experts, and what went into it."""
    model, gate = tiny.model(config), make_gate(config, mode)
    decoders = {e.name: tiny.model(config, seed).mask_decoder for seed, e in enumerate(EXPERTS, 1)}
    routing = tiny.RELEASE.routing.model_copy(update={"gate": mode})
    bundle = export_bundle(
        model,
        out,
        tiny.RELEASE.model_copy(update={"routing": routing}),
        experts=[ExpertDecoder(expert, decoders[expert.name]) for expert in EXPERTS],
        gate=gate,
        half=half,
    )
    return bundle, Networks(model, decoders, gate, None)


def parts(networks: Networks) -> dict[str, Part]:
    experts = [ExpertDecoder(expert, networks.experts[expert.name]) for expert in EXPERTS]
    return parts_of(networks.model, experts, networks.gate)


def used(part: Part) -> set[str]:
    """Parameters that change an output, by their gradient."""
    module: nn.Module = part.module
    module.requires_grad_(True).zero_grad()
    answer = module(*part.examples[-1].values())
    outputs = answer if isinstance(answer, tuple) else (answer,)
    torch.autograd.backward([output.sum() for output in outputs])
    return {name for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("kind", "mode", "half"),
    [("official", "heads", False), ("detailed", "joint", True), ("detailed", "paper", False)],
)
def test_every_tensor_that_counts_is_read_back(
    tmp_path: Path, kind: str, mode: Mode, half: bool
) -> None:
    bundle, made = make_bundle(tmp_path / "repo", CONFIGS[kind], mode, half=half)

    read = load_networks(bundle)

    expected = parts(made)
    assert list(read.experts) == ["cord", "lesion"]
    assert read.reference is None
    assert isinstance(read.gate, nn.Module)
    assert not any(module.training for module in (read.model, *read.experts.values(), read.gate))
    for plain, part in parts(read).items():
        state, wanted = part.module.state_dict(), expected[plain].module.state_dict()
        counted = used(expected[plain])
        assert len(counted) > (3 if mode == "heads" else 20)
        for name in counted | {n for n, _ in part.module.named_buffers() if n in wanted}:
            value = wanted[name]
            if half and value.numel() >= 256 and name in counted:
                value = value.half().float()
            assert torch.equal(state[name], value), (plain, name)


def test_what_is_read_answers_as_the_graphs_do(tmp_path: Path) -> None:
    bundle, _ = make_bundle(tmp_path / "repo", tiny.DETAILED, "heads", half=True)
    read = load_networks(bundle)
    routing = bundle.manifest.routing

    again = export_bundle(
        read.model,
        tmp_path / "again",
        tiny.RELEASE.model_copy(update={"routing": routing}),
        experts=[ExpertDecoder(expert, read.experts[expert.name]) for expert in EXPERTS],
        gate=read.gate,
        half=True,
    )

    # The graphs' metadata say which unused tensors happen to equal used ones: not the same bytes.
    for plain, part in parts(read).items():
        sessions = [onnxruntime.InferenceSession(b.model_path(plain)) for b in (bundle, again)]
        for example in part.examples:
            feed = {name: value.numpy() for name, value in example.items()}
            first, second = (session.run(None, feed) for session in sessions)
            for a, b in zip(first, second, strict=True):
                assert np.array_equal(a, b), plain


def test_reading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    bundle, _ = make_bundle(tmp_path / "repo", tiny.CONFIG, "heads", half=False)
    torch.manual_seed(3)
    before = torch.get_rng_state()

    first, second = load_networks(bundle).model, load_networks(bundle).model

    assert torch.equal(torch.get_rng_state(), before)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without experts."""
    out = tmp_path_factory.mktemp("plain") / "repo"
    return export_bundle(tiny.model(tiny.DETAILED), out, tiny.RELEASE)


def test_a_bundle_without_experts_has_no_gate(plain: Bundle) -> None:
    read = load_networks(plain)

    assert isinstance(read.model, SamMed3D)
    assert read.experts == {}
    assert read.gate is None


def exchange(bundle: Bundle, out: Path, plain: str, graph: bytes) -> Bundle:
    """A copy of a bundle, with another graph."""
    shutil.copytree(bundle.path, out)
    folder = bundle.manifest.models[plain]
    shutil.rmtree(out / folder)
    config = (bundle.path / folder / "config.pbtxt").read_bytes()
    name, digests = add_model(out, plain, {"config.pbtxt": config, "1/model.onnx": graph})
    files = {f: d for f, d in bundle.manifest.files.items() if not f.startswith(folder)}
    models = dict(bundle.manifest.models) | {plain: name}
    write_manifest(
        out, bundle.manifest.model_copy(update={"models": models, "files": files | digests})
    )
    return load_bundle(out)


def test_graphs_without_names_are_refused_with_the_way_out(plain: Bundle, tmp_path: Path) -> None:
    graph = onnx.load(plain.model_path("decoder_general"))
    del graph.metadata_props[:]
    changed = exchange(plain, tmp_path / "x", "decoder_general", graph.SerializeToString())

    with pytest.raises(BundleInvalid, match=r"decoder_general.*export the bundle again"):
        load_networks(changed)


def test_files_that_are_no_graphs_are_named(plain: Bundle, tmp_path: Path) -> None:
    changed = exchange(plain, tmp_path / "x", "image_encoder", b"no graph")

    with pytest.raises(BundleInvalid, match=r"image_encoder.*no ONNX graph"):
        load_networks(changed)


def test_a_missing_tensor_is_named(plain: Bundle, tmp_path: Path) -> None:
    graph = onnx.load(plain.model_path("image_encoder"))
    kept = [tensor for tensor in graph.graph.initializer if tensor.name != "pos_embed"]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    changed = exchange(plain, tmp_path / "x", "image_encoder", graph.SerializeToString())

    with pytest.raises(BundleInvalid, match=r"does not fit the network .*: pos_embed"):
        load_networks(changed)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({}, "is not one that can be built"),
        (replace(tiny.DETAILED, decoder_mlp=48).to_dict(), "does not fit the network"),
    ],
)
def test_another_architecture_is_refused(
    plain: Bundle, architecture: dict[str, object], message: str
) -> None:
    model = plain.manifest.model.model_copy(update={"architecture": architecture})
    manifest = plain.manifest.model_copy(update={"model": model})

    with pytest.raises(BundleInvalid, match=message):
        load_networks(replace(plain, manifest=manifest))


def test_a_gate_of_another_mode_is_refused(tmp_path: Path) -> None:
    bundle, _ = make_bundle(tmp_path / "repo", tiny.DETAILED, "paper", half=False)
    routing = bundle.manifest.routing
    for mode, message in (("heads", "holds no head for cord"), ("joint", "does not fit")):
        manifest = bundle.manifest.model_copy(
            update={"routing": routing.model_copy(update={"gate": mode})}
        )
        with pytest.raises(BundleInvalid, match=message):
            load_networks(replace(bundle, manifest=manifest))


def test_zeros_are_equal_whatever_their_sign(tmp_path: Path) -> None:
    model = tiny.model(tiny.DETAILED)
    with torch.no_grad():
        biases = dict(model.image_encoder.named_parameters())
        biases["blocks.0.norm1.bias"].fill_(0.0)
        biases["blocks.1.norm1.bias"].fill_(-0.0)
    bundle = export_bundle(model, tmp_path / "repo", tiny.RELEASE)

    state = read_state(bundle, "image_encoder")

    assert not state.unused
    assert torch.equal(state.tensors["blocks.1.norm1.bias"], torch.zeros(24))
