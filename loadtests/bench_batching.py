"""Prompts decoded together against one by one: what Triton's dynamic batching could gain on a CPU.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_batching

The general decoder's graph of vit_b's size and of the demo bundle, ONNX Runtime, 2 threads; prompts
of equal token count, since no other can share a batch. Reports how far the answers are apart:
batching is neutral only where they are equal.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from loadtests.networks import random_vit_b, session
from loadtests.timing import interleave
from sammoe.bundle import GENERAL_DECODER, load_bundle
from sammoe.export.graphs import DecoderGraph, example_prompt
from sammoe.export.reading import network_config
from sammoe.export.tracing import trace
from sammoe.model import SamMed3DConfig

THREADS = 2
BATCHES = (2, 4, 8)
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each (default 15)")
    rounds = parser.parse_args().rounds
    demo = load_bundle(ROOT / "model_repo")
    measure("demo", demo.model_path(GENERAL_DECODER), network_config(demo), rounds)
    model = random_vit_b()
    example = example_prompt(model.config, 2, 3, box=False, prior=True, seed=0)
    graph = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.onnx"
        onnx.save(trace(graph, example, ["logits", "gate_features"]), path)
        measure("vit_b", path, model.config, rounds)
    return 0


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
