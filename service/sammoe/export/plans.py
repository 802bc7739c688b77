"""A bundle with TensorRT plans beside its graphs, for Triton with ``--model-config-name=tensorrt``.

A plan runs on the kind of GPU and with the TensorRT that it was made with: a bundle with plans is
another bundle, for such machines. Embeddings keep their keys, which the encoder's ONNX file gives.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from sammoe.bundle import ENCODER, TENSORRT_CONFIG, Bundle, tensorrt_pbtxt
from sammoe.bundle.assembling import assemble, paths_of
from sammoe.errors import BundleInvalid, ExportMismatch
from sammoe.export.halving import InHalf, round_constants
from sammoe.export.parity import HALF
from sammoe.export.parts import ExpertDecoder, Part, parts_of
from sammoe.export.plan_building import build_plan, find_tensorrt
from sammoe.export.reading import load_networks
from sammoe.export.tracing import round_output, trace

PLAN: Final = "1/model.plan"
"""In a model's folder, beside ``1/model.onnx``; what ``configs/tensorrt.pbtxt`` names."""

BOUND: Final = HALF
"""Largest difference between a plan's output and the ONNX graph's on the CPU, relative to the
output's largest magnitude: what rounding weights to float16 may cost as well."""


def with_plans(
    bundle: Bundle,
    *,
    out: Path,
    half: bool = False,
    replace: bool = False,
    report: Callable[[str], None] = lambda plain: None,
) -> Bundle:
    """Build a plan for every model, run it on this machine's GPU, and write the bundle with them.

    Parameters
    ----------
    bundle
        Its graphs hold the networks that plans are made of; they are copied as they are.
    out, replace
        As for :func:`sammoe.bundle.assembling.assemble`.
    half
        Whether plans compute their products in float16.
    report
        Called with each model's plain name before its plan is made.

    Raises
    ------
    SettingsInvalid
        This machine has no TensorRT or no GPU.
    ExportMismatch
        A plan differs from its graph by more than ``BOUND``; nothing was written.
    BundleInvalid
        The bundle's networks can not be read, or TensorRT can not build one; or as for `assemble`.
    """
    trt = find_tensorrt()
    networks = load_networks(bundle)
    experts = [
        ExpertDecoder(expert, networks.experts[expert.name]) for expert in bundle.manifest.experts
    ]
    files: dict[str, dict[str, bytes | Path]] = {}
    measured: dict[str, JsonValue] = {}
    tokens = bundle.manifest.model.gate_tokens
    for plain, part in parts_of(networks.model, experts, networks.gate, tokens=tokens).items():
        report(plain)
        plan = build_plan(trt, plain, graph_of(plain, part, half=half))
        single = [example for example in part.examples if len(next(iter(example.values()))) == 1]
        measured[plain] = plan_difference(trt, plain, plan, bundle.model_path(plain), single)
        copied = paths_of(bundle, plain)
        if TENSORRT_CONFIG not in copied:
            copied[TENSORRT_CONFIG] = tensorrt_pbtxt(part.config()).encode()
        files[plain] = {**copied, PLAN: plan}
    made: dict[str, JsonValue] = {
        "version": str(trt.__version__),
        "gpu": torch.cuda.get_device_name(),
        "precision": "float16" if half else "float32",
        "measured": measured,
        "bound": BOUND,
    }
    provenance = bundle.manifest.provenance
    details = provenance.details | {"tensorrt": made}
    manifest = bundle.manifest.model_copy(
        update={"provenance": provenance.model_copy(update={"details": details})}
    )
    return assemble(bundle, manifest, files, out=out, replace=replace)


def graph_of(plain: str, part: Part, *, half: bool) -> bytes:
    """What a plan is built from. It is not the bundle's own file: that is float32 throughout, and
    one that an older version wrote may have more axes than TensorRT takes."""
    module = InHalf(part.module) if half else part.module
    graph = trace(module, part.examples[-1], [spec.name for spec in part.outputs])
    if half:
        graph = round_constants(graph)
    content: bytes = (round_output(graph) if plain == ENCODER else graph).SerializeToString()
    return content


def plan_difference(
    trt: Any, plain: str, plan: bytes, graph: Path, examples: Sequence[Mapping[str, Tensor]]
) -> float:
    """The largest difference between a plan and an ONNX file on the CPU, relative to each output's
    largest magnitude.

    Raises
    ------
    ExportMismatch
        It is more than ``BOUND``, or something is not finite.
    BundleInvalid
        The plan does not run here.
    """
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    runner = PlanRunner(trt, plain, plan)
    worst = 0.0
    for example in examples:
        expected = session.run(names, {name: value.numpy() for name, value in example.items()})
        found = runner.run(example)
        for name, value in zip(names, expected, strict=True):
            worst = max(worst, _difference(found[name], value))
    if not worst <= BOUND:
        raise ExportMismatch(
            f"{plain}: the plan differs from the ONNX graph by {worst:.2g} of the largest value (at"
            f" most {BOUND:g} is allowed): build it without --half"
        )
    return worst


class PlanRunner:
    """A plan on this machine's GPU.

    Raises
    ------
    BundleInvalid
        TensorRT can not load it.
    """

    def __init__(self, trt: Any, plain: str, plan: bytes) -> None:
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BundleInvalid(f"{plain}: the plan can not be loaded on this GPU")
        self._context = self._engine.create_execution_context()
        self._kinds = {trt.float32: torch.float32, trt.float16: torch.float16}
        tensors = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        output = trt.TensorIOMode.OUTPUT
        self._outputs = [name for name in tensors if self._engine.get_tensor_mode(name) == output]

    def run(self, feed: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
        """Every output for one prompt or window."""
        inputs = {name: value.cuda().contiguous() for name, value in feed.items()}
        for name, value in inputs.items():
            self._context.set_input_shape(name, tuple(value.shape))
            self._context.set_tensor_address(name, value.data_ptr())
        found: dict[str, Tensor] = {}
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            kind = self._kinds[self._engine.get_tensor_dtype(name)]
            found[name] = torch.empty(shape, dtype=kind, device="cuda")
            self._context.set_tensor_address(name, found[name].data_ptr())
        self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
        torch.cuda.synchronize()
        return {name: value.cpu().numpy() for name, value in found.items()}


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Infinite for unequal shapes or anything not finite."""
    if found.shape != expected.shape:
        return float("inf")
    ours, theirs = found.astype(np.float64), expected.astype(np.float64)
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-6))
