"""Windows embedded, and prompts decoded, in one run of a graph against one run each: what a batch
could gain on a CPU, for Triton's dynamic batching and for following into neighbouring windows.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_batching decoder encoder

Graphs of vit_b's size and of the demo bundle, ONNX Runtime; prompts of equal token count, since no
other can share a batch. Reports how far the answers are apart: batching is neutral only where they
are equal. ``encoder`` also runs windows side by side, each on one thread, as following does.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from loadtests.networks import random_vit_b, session
from loadtests.timing import interleave
from sammoe.bundle import ENCODER, GENERAL_DECODER, Bundle, load_bundle
from sammoe.export.graphs import DecoderGraph, example_prompt
from sammoe.export.reading import network_config
from sammoe.export.tracing import trace
from sammoe.model import SamMed3D, SamMed3DConfig

THREADS = 2
BATCHES = (2, 4, 8)
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=["decoder", "encoder", []], default=[])
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each (default 15)")
    args = parser.parse_args()
    demo, model = load_bundle(ROOT / "model_repo"), random_vit_b()
    if "decoder" in (args.parts or ["decoder"]):
        decoders(demo, model, args.rounds)
    if "encoder" in (args.parts or ["encoder"]):
        encoders(demo, model, args.rounds)
    return 0


def decoders(demo: Bundle, model: SamMed3D, rounds: int) -> None:
    measure("demo", demo.model_path(GENERAL_DECODER), network_config(demo), rounds)
    example = example_prompt(model.config, 2, 3, box=False, prior=True, seed=0)
    graph = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.onnx"
        onnx.save(trace(graph, example, ["logits", "gate_features"]), path)
        measure("vit_b", path, model.config, rounds)


def encoders(demo: Bundle, model: SamMed3D, rounds: int) -> None:
    """Windows together, one after the other, and two at a time on one thread each."""
    measure_encoder("demo", demo.model_path(ENCODER), demo.manifest.window.side, rounds)
    image = torch.randn(2, 1, *3 * (model.config.image_size,))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        onnx.save(trace(model.image_encoder, {"image": image}, ["embedding"]), path)
        measure_encoder("vit_b", path, model.config.image_size, rounds)


def measure_encoder(size: str, path: Path, side: int, rounds: int) -> None:
    """Time of each way over one window after the other, and how far embeddings are apart."""
    one, two = session(path, 1), session(path, 2)
    rng = np.random.default_rng(0)
    with ThreadPoolExecutor(2) as pool:
        for batch in (2, 4):
            images = rng.normal(size=(batch, 1, side, side, side)).astype(np.float32)
            runs: dict[str, Callable[[], np.ndarray]] = {}
            for threads, runner in ((1, one), (2, two)):
                runs[f"one by one, {threads}"] = partial(embed, runner, images)
                runs[f"together, {threads}"] = partial(embed_together, runner, images)
            runs["side by side, 1"] = partial(embed, one, images, pool)
            apart, together = runs["one by one, 2"](), runs["together, 2"]()
            away = float(np.abs(apart - together).max() / np.abs(apart).max())
            times = interleave(runs, rounds)
            for base, *others in (
                ("one by one, 1", "together, 1"),
                ("one by one, 2", "together, 2", "side by side, 1"),
            ):
                least = min(times[base].seconds)
                for other in others:
                    ratio = times[other].median / times[base].median
                    print(
                        f"{size:6} {batch} windows, {other} thread(s) each / {base}: {ratio:5.2f}"
                        f" (least {min(times[other].seconds) / least:.2f}), one by one"
                        f" {times[base].median * 1e3 / batch:7.1f} ms a window,"
                        f" relative difference {away:.1e}",
                        flush=True,
                    )


def embed(
    runner: onnxruntime.InferenceSession, images: np.ndarray, pool: ThreadPoolExecutor | None = None
) -> np.ndarray:
    """Embeddings of all windows, one run each."""
    run = map if pool is None else pool.map
    found = run(lambda image: runner.run(None, {"image": image[None]})[0], images)
    return np.concatenate([*found]).astype(np.float32)


def embed_together(runner: onnxruntime.InferenceSession, images: np.ndarray) -> np.ndarray:
    """The same in one run."""
    return np.asarray(runner.run(None, {"image": images})[0], np.float32)


def measure(size: str, path: Path, config: SamMed3DConfig, rounds: int) -> None:
    """Time and difference for each batch."""
    runner = session(path, THREADS)
    for batch in BATCHES:
        prompts = example_prompt(config, batch, 2, box=False, prior=True, seed=1)
        feed = {name: value.numpy() for name, value in prompts.items()}
        runs: dict[str, Callable[[], np.ndarray]] = {
            "together": partial(decode, runner, [feed]),
            "one by one": partial(
                decode,
                runner,
                [{name: value[i : i + 1] for name, value in feed.items()} for i in range(batch)],
            ),
        }
        together, apart = (run() for run in runs.values())
        times = interleave(runs, rounds)
        ratio = times["together"].median / times["one by one"].median
        away = float(np.abs(together - apart).max())
        print(
            f"{size:6} {batch} prompts: together / one by one {ratio:5.2f}, one by one"
            f" {times['one by one'].median * 1e3 / batch:7.2f} ms a prompt, difference {away:.1e}"
        )


def decode(runner: onnxruntime.InferenceSession, feeds: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Logits of all prompts."""
    return np.concatenate([runner.run(["logits"], feed)[0] for feed in feeds])


if __name__ == "__main__":
    sys.exit(main())
