"""A fused click's and a window's tensors over gRPC against the same in system shared memory.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_triton_memory

Decoders of vit_b's size with random weights, in a real Triton on this machine; two engines ask it
in turn, one with ``--triton-shared-memory system``. A click takes 512 KiB in (embedding and prior);
a window 8 MiB, and its encoder is one of arithmetic, for next to a real one no transport counts.
Exits 1 when two answers differ.
"""

import argparse
import asyncio
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from loadtests.bench_clicks import report
from loadtests.bench_triton import random_bundle
from loadtests.timing import interleave
from sammoe.bundle import Bundle
from sammoe.engine import Choice, Decoded, decoder_inputs
from sammoe.engine.triton import TritonEngine, TritonOptions
from tests.integration.triton.server import running

WAYS: Final = {"gRPC": TritonOptions(), "shared": TritonOptions(shared_memory="system")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=101, help="of each (default 101)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        bundle = random_bundle(Path(name) / "bundle")
        with (
            running(bundle.path, Path(name) / "triton.log") as triton,
            asyncio.Runner() as runner,
        ):
            same = compare(runner, bundle, triton.url, rounds)
    print("answers are", "equal" if same else "DIFFERENT")
    return 0 if same else 1


def compare(runner: asyncio.Runner, bundle: Bundle, url: str, rounds: int) -> bool:
    """Time each way; whether both give the same answers."""
    model, rule = bundle.manifest.model, bundle.manifest.window_rule()
    random = np.random.default_rng(0)
    shape = (1, model.embedding_channels) + (model.grid,) * 3
    embedding = random.standard_normal(shape, np.float32).astype(np.float16)
    prior = random.normal(-3, 2, (model.cells,) * 3).astype(np.float32)
    # A place of which the first expert is sure.
    inputs = decoder_inputs(
        [[rule.side / 30, rule.side / 2, rule.side / 2]], [1], None, prior, rule
    )
    image = random.standard_normal((1, 1) + (rule.side,) * 3, np.float32)

    async def start(options: TritonOptions) -> TritonEngine:
        engine = TritonEngine(bundle, url, options)
        await engine.check_ready()
        return engine

    engines = {way: runner.run(start(options)) for way, options in WAYS.items()}

    def click(engine: TritonEngine) -> Decoded:
        return runner.run(engine.decode(embedding, inputs, Choice()))

    def window(engine: TritonEngine) -> bytes:
        return runner.run(engine.encode(image)).tobytes()

    same = len({masks(click(engine)) for engine in engines.values()}) == 1
    same &= len({window(engine) for engine in engines.values()}) == 1
    for what, run in (("fused click", click), ("window", window)):
        times = interleave({way: partial(run, engine) for way, engine in engines.items()}, rounds)
        report(f"{what} through Triton, median", times)
        print(f"{what}, shared / gRPC  {times['shared'].median / times['gRPC'].median:8.2f}")
    for engine in engines.values():
        runner.run(engine.close())
    return same


def masks(decoded: Decoded) -> bytes:
    """All of an answer's."""
    assert decoded.route.fused
    return b"".join(logits.tobytes() for logits in decoded.candidates.values())


if __name__ == "__main__":
    sys.exit(main())
