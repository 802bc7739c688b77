"""A fused click's tensors over gRPC against the same in system shared memory.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_triton_memory

Decoders of vit_b's size with random weights, in a real Triton on this machine; the selector is
asked by Triton's own client, in turn each way. Shared are the embedding and the prior (512 KiB in),
or those and the masks (384 KiB out). To copy into a region is part of the call, as it would be in
the service. Exits 1 when two masks differ.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tritonclient import grpc
from tritonclient.utils import shared_memory

from loadtests.bench_clicks import report
from loadtests.bench_triton import random_bundle
from loadtests.timing import interleave
from sammoe.bundle import Bundle
from sammoe.engine import decoder_inputs
from tests.integration.triton.server import running

KINDS: Final = {
    np.dtype(np.float16): "FP16",
    np.dtype(np.float32): "FP32",
    np.dtype(np.int32): "INT32",
    np.dtype(np.object_): "BYTES",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=101, help="of each (default 101)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        bundle = random_bundle(Path(name) / "bundle")
        with (
            running(bundle.path, Path(name) / "triton.log") as triton,
            grpc.InferenceServerClient(triton.url) as client,
        ):
            same = compare(client, bundle, rounds)
    print("masks are", "equal" if same else "DIFFERENT")
    return 0 if same else 1


def compare(client: Any, bundle: Bundle, rounds: int) -> bool:
    """Time each way; whether all give the same masks."""
    model = bundle.manifest.model
    feed = click(bundle)
    asked: NDArray[Any] = feed["embedding"]
    cells = (3, *(model.cells,) * 3)
    regions = Regions(client, asked.nbytes + feed["mask"].nbytes, int(np.prod(cells)) * 4)
    try:
        runs: dict[str, Callable[[], NDArray[np.float32]]] = {
            "gRPC": lambda: regions.ask(bundle, feed, inputs=False, outputs=False),
            "shared in": lambda: regions.ask(bundle, feed, inputs=True, outputs=False),
            "shared in, out": lambda: regions.ask(bundle, feed, inputs=True, outputs=True),
        }
        masks = [run().tobytes() for run in runs.values()]
        times = interleave(runs, rounds)
    finally:
        regions.close()
    report("fused click through the selector, median", times)
    for name in ("shared in", "shared in, out"):
        print(f"{name} / gRPC  {times[name].median / times['gRPC'].median:8.2f}")
    return len(set(masks)) == 1


def click(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """One in the middle of the window, with a prior, of which the first expert is sure."""
    model, rule = bundle.manifest.model, bundle.manifest.window_rule()
    random = np.random.default_rng(0)
    shape = (1, model.embedding_channels) + (model.grid,) * 3
    prior = random.normal(-3, 2, (model.cells,) * 3).astype(np.float32)
    place = [rule.side / 30, rule.side / 2, rule.side / 2]
    inputs = decoder_inputs([place], [1], None, prior, rule)
    asked: dict[str, Any] = {
        "bundle": bundle.manifest.selector_digest,
        "expert": "auto",
        "tau": None,
        "modality": "unknown",
        "down": [],
    }
    return {
        "embedding": random.standard_normal(shape, np.float32).astype(np.float16),
        "mask": inputs.mask,
        "coords": inputs.coords,
        "labels": inputs.labels,
        "request": np.array([json.dumps(asked).encode()], np.object_),
    }


class Regions:
    """Shared memory for what goes in and what comes out, known to the server."""

    def __init__(self, client: Any, into: int, out: int) -> None:
        self._client = client
        self._handles = {}
        for name, size in (("into", into), ("out", out)):
            self._handles[name] = shared_memory.create_shared_memory_region(
                name, f"/sammoe-bench-{name}", size
            )
            client.register_system_shared_memory(name, f"/sammoe-bench-{name}", size)

    def ask(
        self, bundle: Bundle, feed: dict[str, NDArray[Any]], *, inputs: bool, outputs: bool
    ) -> NDArray[np.float32]:
        """The selector's masks."""
        tensors, place = [], 0
        for name, value in feed.items():
            tensor = grpc.InferInput(name, list(value.shape), KINDS[value.dtype])
            if inputs and name in ("embedding", "mask"):
                shared_memory.set_shared_memory_region(self._handles["into"], [value], place)
                tensor.set_shared_memory("into", value.nbytes, place)
                place += value.nbytes
            else:
                tensor.set_data_from_numpy(value)
            tensors.append(tensor)
        asked = [grpc.InferRequestedOutput(name) for name in ("masks", "route")]
        if outputs:
            asked[0].set_shared_memory("out", 3 * feed["mask"].nbytes)
        result = self._client.infer(str(bundle.manifest.selector), tensors, outputs=asked)
        assert json.loads(result.as_numpy("route")[0])["fused"]
        if not outputs:
            masks: NDArray[np.float32] = result.as_numpy("masks")
            return masks
        shape = tuple(result.get_output("masks").shape)
        found: NDArray[np.float32] = shared_memory.get_contents_as_numpy(
            self._handles["out"], np.float32, shape
        )
        return found.copy()

    def close(self) -> None:
        """Forget both."""
        self._client.unregister_system_shared_memory()
        for handle in self._handles.values():
            shared_memory.destroy_shared_memory_region(handle)


if __name__ == "__main__":
    sys.exit(main())
