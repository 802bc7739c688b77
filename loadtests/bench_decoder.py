"""The decoder graph in token layout against a plain export, both in ONNX Runtime.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_decoder

vit_b size, random weights, one point and its padding token, with 2 threads and with 1. Exits 1 when
the masks differ by more than 1e-4.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

from loadtests.networks import random_vit_b, session
from loadtests.timing import interleave
from sammoe.export.graphs import DecoderGraph, example_prompt
from sammoe.export.tracing import trace
from tests.oracles.plain_decoder import PlainDecoder

BOUND = 1e-4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41, help="timed runs of each (default 41)")
    rounds = parser.parse_args().rounds
    model = random_vit_b()
    example = example_prompt(model.config, 2, 3, box=False, prior=True, seed=0)
    ours = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.onnx" for name in ("plain", "token layout")}
        onnx.save(trace(PlainDecoder(model), example, ["logits", "iou"]), paths["plain"])
        graph = trace(ours, example, ["logits", "gate_features"])
        onnx.save(graph, paths["token layout"])
        click = example_prompt(model.config, 1, 2, box=False, prior=False, seed=1)
        feed = {name: value.numpy() for name, value in click.items()}
        for threads in (2, 1):
            sessions = {name: session(path, threads) for name, path in paths.items()}
            masks = [each.run(["logits"], feed)[0] for each in sessions.values()]
            difference = float(np.abs(masks[0] - masks[1]).max())
            runs = {
                name: (lambda each=each: each.run(["logits"], feed))
                for name, each in sessions.items()
            }
            times = interleave(runs, rounds)
            print(f"{threads} threads, {rounds} runs each, interleaved, median:")
            for name, value in times.items():
                print(f"  {name:14} {value}  {paths[name].stat().st_size / 1e6:.1f} MB")
            ratio = times["plain"].median / times["token layout"].median
            print(f"  ratio {ratio:.2f}x, max difference {difference:.1e}")
            if not difference <= BOUND:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
