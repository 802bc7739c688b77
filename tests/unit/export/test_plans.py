"""TensorRT plans, as far as they go without TensorRT: what it would refuse, who is told what, and
what a bundle with plans is. That TensorRT builds every graph shows in `make check-tensorrt`."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sammoe.bundle import Bundle, load_bundle
from sammoe.cli import FAILED, main
from sammoe.errors import ExportMismatch, SettingsInvalid
from sammoe.export import plans
from sammoe.export.parts import gate_part, parts_of
from sammoe.export.plan_building import LONGEST_PROMPT
from sammoe.export.plans import PLAN, graph_of, plan_difference, with_plans
from sammoe.model import SamMed3DConfig
from sammoe.model.checkpoint import save_checkpoint
from sammoe.model.gate import PaperGate
from sammoe.segmentation import MAX_POINTS
from tests.unit.export import mixtures, tiny

MOST_AXES = 8
"""Of a tensor of TensorRT."""


MODEL_REPO = Path(__file__).resolve().parents[3] / "model_repo"


def axes(graph: onnx.ModelProto) -> int:
    """How many the tensor with most of them has."""
    inferred = onnx.shape_inference.infer_shapes(graph, data_prop=True).graph.value_info
    return max(len(info.type.tensor_type.shape.dim) for info in inferred)


@pytest.mark.parametrize(
    ("config", "half"),
    [(tiny.CONFIG, False), (tiny.DETAILED, False), (tiny.DETAILED, True)],
    ids=["official", "detailed", "detailed in float16"],
)
def test_no_tensor_has_more_axes_than_tensorrt_takes(config: SamMed3DConfig, half: bool) -> None:
    model = tiny.model(config)
    gate = PaperGate(config, 2, none_of_them=True).eval()
    parts = parts_of(model, [], None) | {"gate": gate_part(model, gate, ["a", "b"])}
    for plain, part in parts.items():
        graph = onnx.load_model_from_string(graph_of(plain, part, half=half))
        assert axes(graph) <= MOST_AXES, plain


def test_the_bundle_that_ships_runs_on_gpus() -> None:
    """ONNX Runtime's CUDA provider, too, moves no more axes than these."""
    for path in sorted(MODEL_REPO.glob("*/1/model.onnx")):
        assert axes(onnx.load(path)) <= MOST_AXES, path.parts[-3]


def test_the_longest_prompt_is_the_longest_that_is_served() -> None:
    assert LONGEST_PROMPT == MAX_POINTS + 2


def test_without_tensorrt_it_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    checkpoint, out = tmp_path / "run.safetensors", str(tmp_path / "out")
    save_checkpoint(checkpoint, tiny.model(tiny.DETAILED), tiny.RELEASE.to_metadata())
    for words in (
        ["export", str(checkpoint), "--out", out, "--tensorrt"],
        ["import", str(checkpoint), "--out", out, "--tensorrt"],
        ["bundle", "add-plans", str(tmp_path), "--out", out],
    ):
        assert main(words) == FAILED
        said = capsys.readouterr().err
        assert "TensorRT is not installed here: make plans on a machine with the GPU" in said
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_a_gpu_it_is_said(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", SimpleNamespace())
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SettingsInvalid, match="torch finds no GPU here"):
        with_plans(bundle, out=tmp_path / "out")


class Runner:
    """In place of a plan: the ONNX file that it was made of, and an error."""

    error = 0.0

    def __init__(self, trt: Any, plain: str, plan: bytes) -> None:
        self._session = onnxruntime.InferenceSession(plan)

    def run(self, feed: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
        names = [output.name for output in self._session.get_outputs()]
        values = self._session.run(names, {name: value.numpy() for name, value in feed.items()})
        largest = [max(float(np.abs(value).max()), 1e-6) for value in values]
        return {
            name: (value + self.error * size).astype(value.dtype)
            for name, value, size in zip(names, values, largest, strict=True)
        }


@pytest.fixture(scope="module", params=["now", "before"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With one expert; gate features as they are now, and as they were."""
    folder = tmp_path_factory.mktemp("plans")
    made = {"now": mixtures.general, "before": mixtures.general_of_before}[request.param]
    return mixtures.mixture(made(folder / "general"), folder / "bundle", ["cord"])


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> type[Runner]:
    """Plans that are their graphs."""
    monkeypatch.setattr(plans, "find_tensorrt", lambda: SimpleNamespace(__version__="10.9"))
    monkeypatch.setattr(plans, "build_plan", lambda trt, plain, graph: graph)
    monkeypatch.setattr(plans, "PlanRunner", Runner)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(Runner, "error", 0.0)
    return Runner


def test_a_bundle_with_plans_is_another_with_the_same_graphs(
    bundle: Bundle, runner: type[Runner], tmp_path: Path
) -> None:
    made = with_plans(bundle, out=tmp_path / "out", half=True)

    assert load_bundle(tmp_path / "out").digest == made.digest != bundle.digest
    for plain, folder in made.manifest.models.items():
        place = made.path / folder
        assert folder != bundle.manifest.models[plain]
        assert made.model_path(plain).read_bytes() == bundle.model_path(plain).read_bytes()
        assert (place / PLAN).is_file()
        assert f"{folder}/{PLAN}" in made.manifest.files
        assert '"model.plan"' in (place / "configs" / "tensorrt.pbtxt").read_text()
    details: Any = made.manifest.provenance.details["tensorrt"]
    assert (details["gpu"], details["version"], details["precision"]) == (
        "a card",
        "10.9",
        "float16",
    )
    assert details["measured"].keys() == made.manifest.models.keys()
    # Here ONNX Runtime runs what TensorRT is given: float16 is seen, and stays small.
    assert 1e-5 < max(details["measured"].values()) < 5e-3
    assert made.manifest.self_test == bundle.manifest.self_test


@pytest.mark.parametrize("error", [0.03, float("nan"), float("inf")])
def test_a_plan_that_answers_otherwise_is_refused(
    bundle: Bundle, runner: type[Runner], monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    graph = bundle.model_path("image_encoder")
    examples = [{"image": torch.randn(1, 1, 16, 16, 16)}]
    assert plan_difference(None, "image_encoder", graph.read_bytes(), graph, examples) == 0

    monkeypatch.setattr(runner, "error", error)

    with pytest.raises(ExportMismatch, match="image_encoder: the plan differs"):
        plan_difference(None, "image_encoder", graph.read_bytes(), graph, examples)
