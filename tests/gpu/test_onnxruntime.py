"""Tier 2: ONNX Runtime's providers for GPUs. Where one can not be loaded, ONNX Runtime says so on
stderr and goes on with the CPU: what it uses is asked for, never assumed."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from sammoe.bundle import ENCODER, GENERAL_DECODER, load_bundle
from sammoe.export.graphs import example_prompt
from sammoe.export.reading import network_config
from tests.gpu.networks import image
from tests.skips import NO_GPU_FOR

BUNDLE = Path(__file__).resolve().parents[2] / "model_repo"
CPU = "CPUExecutionProvider"
BOUNDS = {"CUDAExecutionProvider": 1e-3, "TensorrtExecutionProvider": 2e-2}
"""Largest difference from the CPU, relative to the largest magnitude; TensorRT's products may be
TF32."""


def session(path: Path, provider: str) -> onnxruntime.InferenceSession:
    """A session that runs on the provider; skips where this ONNX Runtime has none."""
    if provider not in onnxruntime.get_available_providers():
        pytest.skip(f"{NO_GPU_FOR} ONNX Runtime: install onnxruntime-gpu in place of onnxruntime")
    options = {"use_tf32": "0"} if provider.startswith("CUDA") else {}
    made = onnxruntime.InferenceSession(path, providers=[(provider, options), CPU])
    if made.get_providers()[0] != provider:
        pytest.skip(f"{NO_GPU_FOR} ONNX Runtime: {provider} can not be loaded (CUDA, TensorRT)")
    return made


@pytest.mark.gpu
@pytest.mark.parametrize("plain", [ENCODER, GENERAL_DECODER])
@pytest.mark.parametrize("provider", BOUNDS)
def test_a_provider_answers_as_the_cpu(provider: str, plain: str) -> None:
    bundle = load_bundle(BUNDLE)
    config, path = network_config(bundle), bundle.model_path(plain)
    feeds = [{"image": image(config)}]
    if plain == GENERAL_DECODER:
        feeds = [
            example_prompt(config, 1, count, box=count > 2, prior=count > 1, seed=count)
            for count in (2, 4, 7)
        ]
    there, here = session(path, provider), onnxruntime.InferenceSession(path, providers=[CPU])
    for feed in feeds:
        arrays = {name: value.numpy() for name, value in feed.items()}
        for found, expected in zip(there.run(None, arrays), here.run(None, arrays), strict=True):
            ours, theirs = found.astype(np.float64), expected.astype(np.float64)
            assert np.abs(ours - theirs).max() <= BOUNDS[provider] * np.abs(theirs).max()


@pytest.mark.gpu
def test_torch_and_onnx_runtime_see_the_same_gpu() -> None:
    assert torch.cuda.is_available()
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip(f"{NO_GPU_FOR} ONNX Runtime: install onnxruntime-gpu in place of onnxruntime")
    assert onnxruntime.get_device() == "GPU"
