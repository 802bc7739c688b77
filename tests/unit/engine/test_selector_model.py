"""The selector's model with masks that lie on a device: torch's tensors in the host's memory stand
for those of a GPU, a few lines for Triton, ONNX Runtime runs the models."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

from sammoe.bundle import SELECTOR, Bundle, load_bundle
from sammoe.bundle.assembling import upgrade
from sammoe.engine import Choice, Decoded, decoder_inputs
from sammoe.engine.local import EngineOptions, LocalEngine
from tests.bundles import CHANNELS, GRID, write_test_bundle

CPU, GPU = 0, 1
BOX = ([4.0, 8, 8], [20.0, 22, 23])


class FakeTensor:
    """A tensor of the backend's, in the host's memory, or ``on_device`` and then no array."""

    def __init__(self, name: str, values: Any, *, on_device: bool = False) -> None:
        self._name = name
        self._values = values
        self._on_device = on_device

    @classmethod
    def from_dlpack(cls, name: str, values: Any) -> "FakeTensor":
        return cls(name, from_dlpack(values).numpy(), on_device=True)

    def name(self) -> str:
        return self._name

    def is_cpu(self) -> bool:
        return not self._on_device

    def as_numpy(self) -> Any:
        assert not self._on_device
        return self._values

    def __dlpack__(self, **asked: Any) -> Any:
        return self._values.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()


class FakeResponse:
    """Outputs, or an error."""

    def __init__(self, outputs: Sequence[FakeTensor] = (), error: Any = None) -> None:
        self.outputs = outputs
        self._error = error

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> Any:
        return self._error


class FakeError:
    """A message."""

    INTERNAL, INVALID_ARG = range(2)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message = message

    def message(self) -> str:
        return self._message


class FakeTriton(ModuleType):
    """What the backend gives its models. ``stubborn``: models that answer in the host's memory
    though they are asked for the device's; ``poisoned``: those whose first output has a NaN."""

    TRITONSERVER_MEMORY_CPU, TRITONSERVER_MEMORY_GPU = CPU, GPU
    Tensor, InferenceResponse, TritonError = FakeTensor, FakeResponse, FakeError

    def __init__(self, bundle: Bundle) -> None:
        super().__init__("triton_python_backend_utils")
        self._bundle = bundle
        self.stubborn: set[str] = set()
        self.poisoned: set[str] = set()
        self.asked: list[tuple[int, int]] = []

    def PreferredMemory(self, kind: int, device: int) -> tuple[int, int]:  # noqa: N802
        return kind, device

    def get_output_tensor_by_name(self, response: FakeResponse, name: str) -> FakeTensor:
        return next(output for output in response.outputs if output.name() == name)

    def InferenceRequest(  # noqa: N802
        self,
        model_name: str,
        requested_output_names: list[str],
        inputs: list[FakeTensor],
        preferred_memory: tuple[int, int],
    ) -> Any:
        self.asked.append(preferred_memory)
        path = self._bundle.path / model_name / "1" / "model.onnx"
        on_device = preferred_memory[0] == GPU and model_name not in self.stubborn
        poisoned = model_name in self.poisoned

        class Request:
            """One call."""

            async def async_exec(self) -> FakeResponse:
                session = onnxruntime.InferenceSession(path)
                given = {tensor.name(): tensor._values for tensor in inputs}
                feed = {one.name: given[one.name] for one in session.get_inputs()}
                found = session.run(requested_output_names, feed)
                if poisoned:
                    found[0].flat[-1] = np.nan
                return FakeResponse(
                    [
                        FakeTensor(name, values, on_device=on_device)
                        for name, values in zip(requested_output_names, found, strict=True)
                    ]
                )

        return Request()


@pytest.fixture(scope="module", params=["heads", "joint"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp(request.param)
    given: dict[str, Any] = {"experts": ("cord", "lesion"), "reference": True, "slack": -5.0}
    write_test_bundle(root, gate=request.param, own_slack={"cord": 0.0}, **given)
    return upgrade(load_bundle(root), out=root)


@pytest.fixture
def triton(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> FakeTriton:
    triton = FakeTriton(bundle)
    monkeypatch.setitem(sys.modules, triton.__name__, triton)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return triton


def start(bundle: Bundle, kind: str = "GPU") -> Any:
    """An instance of the bundle's own copy."""
    folder = bundle.path / bundle.manifest.folders[SELECTOR] / "1"
    package = ModuleType("served")
    package.__path__ = [str(folder)]
    sys.modules["served"] = package
    sys.modules.pop("served.selector", None)
    spec = spec_from_file_location("served.model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.initialize({"model_instance_kind": kind, "model_instance_device_id": "3"})
    return model


def embedding() -> NDArray[np.float16]:
    values = np.random.default_rng(1).standard_normal((1, CHANNELS, GRID, GRID, GRID), np.float32)
    return values.astype(np.float16)


def ask(
    model: Any,
    bundle: Bundle,
    inputs: Any,
    tau: float | None,
    only: str | None = None,
    earlier: tuple[float, ...] = (),
) -> FakeResponse:
    """One click, with its embedding on the device."""
    asked: Mapping[str, Any] = {
        "bundle": bundle.manifest.selector_digest,
        "expert": "auto",
        "tau": tau,
        "modality": "unknown",
        "only": only,
        "earlier": earlier,
        "down": [],
    }
    tensors = [
        FakeTensor("embedding", embedding(), on_device=True),
        *(FakeTensor(name, getattr(inputs, name)) for name in ("coords", "labels", "mask")),
        FakeTensor("request", np.array([json.dumps(asked).encode()], np.object_)),
    ]

    class Request:
        """What the backend hands over."""

        def inputs(self) -> list[FakeTensor]:
            return tensors

    (response,) = asyncio.run(model.execute([Request()]))
    assert isinstance(response, FakeResponse)
    return response


def local(
    bundle: Bundle,
    inputs: Any,
    tau: float | None,
    only: str | None = None,
    earlier: tuple[float, ...] = (),
) -> Decoded:
    """What this process answers."""

    async def decode() -> Decoded:
        engine = LocalEngine(bundle, EngineOptions(1, 1))
        try:
            return await engine.decode(
                embedding(), inputs, Choice(tau=tau, only=only, earlier=earlier)
            )
        finally:
            await engine.close()

    return asyncio.run(decode())


@pytest.mark.parametrize("stubborn", [False, True])
def test_masks_are_fused_where_they_lie(
    triton: FakeTriton, bundle: Bundle, *, stubborn: bool
) -> None:
    rule = bundle.manifest.window_rule()
    if stubborn:
        triton.stubborn = {bundle.manifest.models["decoder_cord"]}
    model, fused = start(bundle), 0
    for points, labels, box, tau in (
        ([[8.0, 14, 17]], [1], None, None),
        ([[8.0, 14, 17], [20.0, 20, 20]], [1, 0], None, 0.2),
        ([[8.0, 14, 17]], [1], BOX, 0.2),
        ([[8.0, 14, 17]], [1], None, 0.9999),
    ):
        inputs = decoder_inputs(points, labels, box, None, rule)
        response, expected = ask(model, bundle, inputs, tau), local(bundle, inputs, tau)
        assert not response.has_error()
        masks, route, *_ = response.outputs
        found = json.loads(route.as_numpy()[0])
        assert found["candidates"] == list(expected.candidates)
        assert found.get("check") == expected.route.check
        assert found.get("agreement") == expected.route.agreement
        assert found["used"] == expected.route.used
        fused += found.get("fused", False)
        assert masks.is_cpu() == (stubborn and "expert" in found["candidates"])
        for mask, wanted in zip(masks._values, expected.candidates.values(), strict=True):
            # Two libraries' exp and log of float32: near 0 a logit's last digits are theirs.
            np.testing.assert_allclose(mask, wanted, rtol=1e-6, atol=1e-6)
    assert fused
    assert set(triton.asked) == {(GPU, 3)}


def test_the_one_expert_that_may_answer_is_asked(triton: FakeTriton, bundle: Bundle) -> None:
    rule = bundle.manifest.window_rule()
    inputs = decoder_inputs([[8.0, 14, 17]], [1], None, None, rule)
    tops = set()
    for only in (None, "cord", "lesion"):
        response = ask(start(bundle), bundle, inputs, 0.0, only)
        expected = local(bundle, inputs, 0.0, only)
        found = json.loads(response.outputs[1].as_numpy()[0])
        assert found["top"] == expected.route.top
        assert found["used"] == expected.route.used
        assert only in (None, found["top"])
        tops.add(found["top"])
    assert tops == {"cord", "lesion"}


def test_what_was_said_of_the_answer_before_counts(triton: FakeTriton, bundle: Bundle) -> None:
    rule = bundle.manifest.window_rule()
    inputs = decoder_inputs([[8.0, 14, 17]], [1], None, None, rule)
    tops = set()
    for earlier in ((), (1e-4, 1 - 1e-4)):
        response = ask(start(bundle), bundle, inputs, 0.0, None, earlier)
        expected = local(bundle, inputs, 0.0, None, earlier)
        found = json.loads(response.outputs[1].as_numpy()[0])
        assert found["scores"] == expected.route.scores
        assert found["top"] == expected.route.top
        tops.add(found["top"])
    heads = bundle.manifest.routing.gate == "heads"
    assert tops == ({"cord", "lesion"} if heads else {"cord"})


def test_without_a_library_masks_are_asked_for_in_the_hosts_memory(
    triton: FakeTriton, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = decoder_inputs([[8.0, 14, 17]], [1], None, None, bundle.manifest.window_rule())
    expected = local(bundle, inputs, None)
    for kind, missing in (("CPU", False), ("GPU", True)):
        if missing:
            monkeypatch.setitem(sys.modules, "torch", None)
            monkeypatch.setitem(sys.modules, "cupy", None)
        masks = ask(start(bundle, kind), bundle, inputs, None).outputs[0]
        assert masks.is_cpu()
        for mask, wanted in zip(masks.as_numpy(), expected.candidates.values(), strict=True):
            assert mask.tobytes() == wanted.tobytes()
    assert set(triton.asked) == {(CPU, 0)}


def test_nan_on_the_device_is_found(triton: FakeTriton, bundle: Bundle) -> None:
    rule = bundle.manifest.window_rule()
    inputs = decoder_inputs([[8.0, 14, 17]], [1], None, None, rule)
    model = start(bundle)
    triton.poisoned = {bundle.manifest.models["decoder_general"]}
    response = ask(model, bundle, inputs, None)
    assert response.has_error()
    assert "engine_output_invalid: The model answered with NaN" in response.error().message()
