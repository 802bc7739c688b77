"""Tier 3: Triton on a GPU, with an embedding in CUDA shared memory."""

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient

from sammoe.bundle import Bundle
from sammoe.engine import Choice, decoder_inputs
from sammoe.engine.triton import TritonEngine, TritonOptions
from tests.bundles import CHANNELS, GRID
from tests.integration.triton.conftest import environment, make_bundle
from tests.integration.triton.server import TritonServer, running
from tests.skips import NO_GPU_FOR

__all__ = ["environment"]

REGION = "embedding"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Two experts behind heads."""
    return make_bundle(tmp_path_factory.mktemp("triton") / "repository")


@pytest.fixture(scope="module")
def triton(bundle: Bundle, environment: None) -> Iterator[TritonServer]:
    """A server that has loaded the bundle."""
    with running(bundle.path, bundle.path.with_suffix(".log")) as server:
        yield server


@pytest.mark.gpu
def test_an_embedding_in_cuda_memory_is_answered_like_one_that_was_sent(
    triton: TritonServer, bundle: Bundle
) -> None:
    grpc: Any = import_module("tritonclient.grpc")
    try:
        cuda: Any = import_module("tritonclient.utils.cuda_shared_memory")
    except (ImportError, RuntimeError):
        pytest.skip(f"{NO_GPU_FOR} Triton's client: pip install 'tritonclient[cuda]'")
    client = grpc.InferenceServerClient(triton.url)
    values = np.random.default_rng(1).standard_normal((1, CHANNELS, GRID, GRID, GRID))
    embedding = values.astype(np.float16)
    sent = answer(client, grpc, bundle, embedding, shared=False)
    handle = cuda.create_shared_memory_region(REGION, embedding.nbytes, 0)
    try:
        cuda.set_shared_memory_region(handle, [embedding])
        raw = cuda.get_raw_handle(handle)
        client.register_cuda_shared_memory(REGION, raw, 0, embedding.nbytes)
        shared = answer(client, grpc, bundle, embedding, shared=True)
    finally:
        client.unregister_cuda_shared_memory(REGION)
        cuda.destroy_shared_memory_region(handle)
        client.close()
    assert shared[0].tobytes() == sent[0].tobytes()
    assert shared[1] == sent[1]
    assert shared[1]["fused"]


@pytest.mark.gpu
async def test_the_engine_shares_cuda_memory(
    triton: TritonServer, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by ``--triton-shared-memory cuda``: the same bytes, and the server has the regions."""
    try:
        import_module("tritonclient.utils.cuda_shared_memory")
    except (ImportError, RuntimeError):
        pytest.skip(f"{NO_GPU_FOR} Triton's client: pip install 'tritonclient[cuda]'")
    monkeypatch.setattr("sammoe.engine.triton_shared.SMALL_BYTES", 1000)
    plain = TritonEngine(bundle, triton.url)
    sharer = TritonEngine(bundle, triton.url, TritonOptions(shared_memory="cuda"))
    inputs = decoder_inputs([[8.0, 14, 17]], [1], None, None, bundle.manifest.window_rule())
    values = np.random.default_rng(1).standard_normal((1, CHANNELS, GRID, GRID, GRID))
    embedding = values.astype(np.float16)
    for choice in (Choice(), Choice("general"), Choice("lesion")):
        one, two = [await e.decode(embedding, inputs, choice) for e in (plain, sharer)]
        assert two.route == one.route
        for name, logits in one.candidates.items():
            assert two.candidates[name].tobytes() == logits.tobytes()
    async with InferenceServerClient(triton.url) as client:
        assert (await client.get_cuda_shared_memory_status()).regions
        await sharer.close()
        assert not (await client.get_cuda_shared_memory_status()).regions
    await plain.close()


def answer(
    client: Any, grpc: Any, bundle: Bundle, embedding: NDArray[np.float16], *, shared: bool
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The selector's masks and route for one click on the cord."""
    inputs = decoder_inputs([[8.0, 14, 17]], [1], None, None, bundle.manifest.window_rule())
    asked: dict[str, Any] = {
        "bundle": bundle.manifest.selector_digest,
        "expert": "auto",
        "tau": None,
        "modality": "unknown",
        "down": [],
    }
    feed: dict[str, tuple[NDArray[Any], str]] = {
        "embedding": (embedding, "FP16"),
        "coords": (inputs.coords, "FP32"),
        "labels": (inputs.labels, "INT32"),
        "mask": (inputs.mask, "FP32"),
        "request": (np.array([json.dumps(asked).encode()], np.object_), "BYTES"),
    }
    tensors = []
    for name, (value, kind) in feed.items():
        tensor = grpc.InferInput(name, list(value.shape), kind)
        if shared and name == REGION:
            tensor.set_shared_memory(REGION, embedding.nbytes)
        else:
            tensor.set_data_from_numpy(value)
        tensors.append(tensor)
    result = client.infer(str(bundle.manifest.selector), tensors)
    masks: NDArray[np.float32] = result.as_numpy("masks")
    return masks, json.loads(result.as_numpy("route")[0])


def test_the_same_request_without_cuda_memory(triton: TritonServer, bundle: Bundle) -> None:
    """What the test above compares with, on any machine."""
    grpc: Any = import_module("tritonclient.grpc")
    values = np.random.default_rng(1).standard_normal((1, CHANNELS, GRID, GRID, GRID))
    with grpc.InferenceServerClient(triton.url) as client:
        masks, route = answer(client, grpc, bundle, values.astype(np.float16), shared=False)
    assert route["fused"]
    assert len(masks) == 3
