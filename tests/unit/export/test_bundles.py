import copy
import shutil
from itertools import count
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor

from sammoe.bundle import Bundle, load_bundle, releases
from sammoe.errors import BundleInvalid, ExportMismatch
from sammoe.export import ExpertDecoder, bundles, export_bundle, making
from sammoe.export.parity import EXACT, HALF
from sammoe.model import SamMed3D
from sammoe.model.gate import ExpertHeads, PaperGate
from sammoe.model.gate_features import TOKENS
from sammoe.model.mask_decoder import DecoderState, MaskDecoder
from tests.unit.export import tiny


@pytest.fixture(scope="module")
def network() -> SamMed3D:
    return tiny.model(tiny.DETAILED)


@pytest.fixture(scope="module")
def bundle(network: SamMed3D, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With two experts and their heads."""
    return export_bundle(
        network,
        tmp_path_factory.mktemp("bundle") / "repo",
        tiny.RELEASE,
        experts=[
            ExpertDecoder(expert, tiny.model(tiny.DETAILED, seed).mask_decoder)
            for seed, expert in enumerate((tiny.CORD, tiny.LESION), start=1)
        ],
        gate=heads("cord", "lesion"),
    )


@pytest.fixture(scope="module")
def plain(network: SamMed3D, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without experts."""
    return export_bundle(network, tmp_path_factory.mktemp("plain") / "repo", tiny.RELEASE)


def heads(*names: str) -> ExpertHeads:
    features = TOKENS * tiny.DETAILED.prompt_dim
    return ExpertHeads(torch.zeros(features), torch.ones(features), names, hidden=4)


def test_a_bundle_loads_with_everything_in_its_manifest(bundle: Bundle) -> None:
    manifest = bundle.manifest

    assert set(manifest.models) == {
        "image_encoder",
        "decoder_general",
        "decoder_cord",
        "decoder_lesion",
        "gate",
    }
    assert [expert.name for expert in manifest.experts] == ["cord", "lesion"]
    assert manifest.model.architecture == tiny.DETAILED.to_dict()
    assert manifest.model.embedding_channels == tiny.DETAILED.embedding_channels
    assert manifest.window == tiny.RELEASE.window
    details = manifest.provenance.details
    assert details["seed"] == 0
    export = details["export"]
    assert isinstance(export, dict)
    assert export["bounds"] == {"graph": EXACT}
    measured = export["measured"]
    assert isinstance(measured, dict)
    assert measured.keys() == manifest.models.keys()
    for differences in measured.values():
        assert isinstance(differences, dict)
        assert 0 <= float(str(differences["graph"])) <= EXACT


def test_embeddings_leave_the_encoder_rounded(bundle: Bundle, network: SamMed3D) -> None:
    session = onnxruntime.InferenceSession(bundle.model_path("image_encoder"))
    image = torch.randn(1, 1, 16, 16, 16)

    found = session.run(["embedding"], {"image": image.numpy()})[0]

    with torch.no_grad():
        expected = network.image_encoder(image).numpy()
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_only_the_general_decoder_answers_gate_features(bundle: Bundle) -> None:
    def outputs(name: str) -> list[str]:
        session = onnxruntime.InferenceSession(bundle.model_path(name))
        return [output.name for output in session.get_outputs()]

    assert outputs("decoder_general") == ["logits", "gate_features"]
    assert outputs("decoder_cord") == ["logits"]
    assert outputs("gate") == ["scores"]


def test_the_prompt_encoder_is_the_same_in_every_decoder(bundle: Bundle) -> None:
    def prompt_tensors(plain: str) -> dict[str, bytes]:
        graph = onnx.load(bundle.model_path(plain)).graph
        return {
            tensor.name: numpy_helper.to_array(tensor).tobytes()
            for tensor in graph.initializer
            if tensor.name.startswith("prompt_encoder.")
        }

    general = prompt_tensors("decoder_general")
    assert len(general) > 10
    assert prompt_tensors("decoder_cord") == general
    assert prompt_tensors("decoder_lesion") == general


def test_configs_describe_the_graphs(bundle: Bundle) -> None:
    for plain in bundle.manifest.models:
        path = bundle.model_path(plain)
        config = (path.parents[1] / "config.pbtxt").read_text()
        session = onnxruntime.InferenceSession(path)
        for tensor in [*session.get_inputs(), *session.get_outputs()]:
            dims = [-1 if isinstance(dim, str) else dim for dim in tensor.shape[1:]]
            kind = {"float": "FP32", "float16": "FP16", "int32": "INT32"}[tensor.type[7:-1]]
            line = f'{{ name: "{tensor.name}" data_type: TYPE_{kind} dims: {dims} }}'
            assert line in config, plain


def test_triton_finds_all_that_it_needs(bundle: Bundle) -> None:
    for plain in bundle.manifest.models:
        plan = bundle.model_path(plain).parents[1] / "configs" / "tensorrt.pbtxt"
        assert 'platform: "tensorrt_plan"' in plan.read_text()
    assert bundle.manifest.selector is not None
    model = bundle.path / bundle.manifest.selector / "1" / "model.py"
    assert "class TritonPythonModel" in model.read_text()


def test_the_same_networks_give_the_same_files(
    network: SamMed3D, plain: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "make", making.make)

    again = export_bundle(network, tmp_path / "repo", tiny.RELEASE)

    assert again.digest == plain.digest


def test_half_weights_halve_the_files_and_state_their_bound(
    network: SamMed3D, plain: Bundle, tmp_path: Path
) -> None:
    reported: list[str] = []
    half = export_bundle(
        network, tmp_path / "half", tiny.RELEASE, half=True, report=reported.append
    )

    def size(bundle: Bundle) -> int:
        graph = onnx.load(bundle.model_path("decoder_general")).graph
        return sum(len(tensor.raw_data) for tensor in graph.initializer)

    export = half.manifest.provenance.details["export"]
    assert isinstance(export, dict)
    assert export["bounds"] == {"graph": EXACT, "rounding": HALF}
    assert size(half) < 0.65 * size(plain)
    assert reported == ["image_encoder", "decoder_general"]
    graph = onnx.load(half.model_path("image_encoder")).graph
    assert TensorProto.FLOAT16 in {tensor.data_type for tensor in graph.initializer}


def test_a_folder_in_use_is_left_alone_unless_its_bundle_is_replaced(
    plain: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "repo"
    shutil.copytree(plain.path, out)
    other = tiny.model(tiny.DETAILED, seed=5)
    with pytest.raises(BundleInvalid, match="holds a bundle"):
        export_bundle(other, out, tiny.RELEASE)
    assert load_bundle(out).digest == plain.digest

    new = export_bundle(other, out, tiny.RELEASE, replace=True)

    assert new.digest != plain.digest
    folders = {path.name for path in out.iterdir()}
    assert folders == {"bundle.json", *new.manifest.folders.values()}


def test_replacing_a_published_bundle_keeps_the_one_before_for_a_rollback(
    plain: Bundle, bundle: Bundle, network: SamMed3D, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    for published in (bundle, plain):
        releases.publish(published, served)

    export_bundle(network, served, tiny.RELEASE, half=True, replace=True)

    assert releases.rollback(served).digest == bundle.digest


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_of_other_things_is_never_touched(
    network: SamMed3D, tmp_path: Path, replace: bool
) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")

    with pytest.raises(BundleInvalid, match="holds other things"):
        export_bundle(network, tmp_path, tiny.RELEASE, replace=replace)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


class _Drifting(MaskDecoder):
    """A decoder that a trace can not hold: every call adds a little more."""

    def paint(
        self, state: DecoderState, image_embeddings: Tensor, dense: Tensor, chosen: slice
    ) -> Tensor:
        self.calls = getattr(self, "calls", count())
        drift = 1e-3 * next(self.calls)
        return super().paint(state, image_embeddings, dense, chosen) + drift


def test_a_graph_that_differs_is_never_written(network: SamMed3D, tmp_path: Path) -> None:
    drifting = copy.deepcopy(network)
    drifting.mask_decoder = _Drifting(tiny.DETAILED)

    with pytest.raises(ExportMismatch, match="decoder_general: the ONNX graph differs"):
        export_bundle(drifting, tmp_path / "repo", tiny.RELEASE)
    assert not (tmp_path / "repo").exists()


def test_windows_must_fit_the_network(network: SamMed3D, tmp_path: Path) -> None:
    window = tiny.RELEASE.window.model_copy(update={"side": 20})

    with pytest.raises(BundleInvalid, match=r"windows of 20 voxels .* a network for 16"):
        export_bundle(network, tmp_path, tiny.RELEASE.model_copy(update={"window": window}))


def test_experts_and_gate_belong_together(network: SamMed3D, tmp_path: Path) -> None:
    cord = ExpertDecoder(tiny.CORD, network.mask_decoder)
    with pytest.raises(BundleInvalid, match="need a gate"):
        export_bundle(network, tmp_path, tiny.RELEASE, experts=[cord])
    for gate in (heads("lesion"), heads(), PaperGate(tiny.DETAILED, 2, none_of_them=False)):
        with pytest.raises(BundleInvalid, match=r"do not belong to the experts \['cord'\]"):
            export_bundle(network, tmp_path, tiny.RELEASE, experts=[cord], gate=gate)


def test_the_papers_gate_takes_the_decoders_inputs(network: SamMed3D, tmp_path: Path) -> None:
    bundle = export_bundle(
        network,
        tmp_path / "repo",
        tiny.RELEASE,
        experts=[ExpertDecoder(tiny.CORD, network.mask_decoder)],
        gate=PaperGate(tiny.DETAILED, 1, none_of_them=True),
    )

    session = onnxruntime.InferenceSession(bundle.model_path("gate"))
    assert [i.name for i in session.get_inputs()] == ["embedding", "coords", "labels", "mask"]
    assert bundle.manifest.routing.gate == "joint"
