"""Encoder, decoder and selector on a GPU: the padded form against ours, precisions, CUDA graphs,
batches; masks that are fused on the host, or where they lie.

Needs torch and numpy alone, and runs from the bare repository::

    make bench-gpu PYTHON=python3          # or: PYTHONPATH=service python -m loadtests.bench_gpu

Random weights of official and of the demo's size. All rows of a table are timed in turn, in one
process, medians of the rounds; ratios are to its first row. Each row's answer is compared with the
first's, and the run exits 1 when one is further away than its precision may be. ``--device cpu
--rounds 1`` rehearses it, without CUDA graphs.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from loadtests.random_weights import random_network
from sammoe.model import SamMed3D, SamMed3DConfig
from tests.gpu.checks import EXACT, ROUNDED, captured, load_selector
from tests.gpu.networks import Prompt, decode, difference, image, prompt, tf32
from tests.oracles.padded_encoder import padded_encode

PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
BATCHES = (1, 4, 16)
SIZES = {"vit_b": SamMed3DConfig.vit_b(), "demo": SamMed3DConfig.small()}


@dataclass
class Row:
    """One way to compute the same: what runs, how many windows or prompts at once, what it may
    be off."""

    name: str
    run: Callable[[], Tensor]
    batch: int = 1
    bound: float = EXACT
    error: float = 0.0
    mib: float = 0.0


def main() -> int:
    """Three tables for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:1, or cpu")
    parser.add_argument("--rounds", type=int, default=21, help="timed runs of each (default 21)")
    parser.add_argument("--size", choices=SIZES, action="append", help="default: both")
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("torch finds no GPU here; --device cpu rehearses", file=sys.stderr)
        return 2
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU: a rehearsal"
    print(f"torch {torch.__version__} on {name}; {args.rounds} rounds, in turn, medians")
    wrong = 0
    for size in args.size or SIZES:
        model = random_network(SIZES[size]).to(device)
        wrong += report(f"{size}: encode", "window", encoders(model, device), device, args.rounds)
        wrong += report(f"{size}: decode", "prompt", decoders(model, device), device, args.rounds)
        wrong += report(f"{size}: select", "click", selectors(model, device), device, args.rounds)
    print("every answer is within its bound" if not wrong else f"{wrong} answers are too far off")
    return 1 if wrong else 0


def encoders(model: SamMed3D, device: torch.device) -> list[Row]:
    """The plain padded form first, where the oracle knows the network."""
    x = {batch: image(model.config).expand(batch, -1, -1, -1, -1).to(device) for batch in BATCHES}
    state, config = model.image_encoder.state_dict(), model.config
    rows = []
    if not config.detail_channels:
        padded = partial(rounded, partial(padded_encode, state, config), "float32", [x[1]])
        rows.append(Row("padded float32", padded))
    return rows + ways(model.image_encoder, {batch: [x[batch]] for batch in BATCHES}, device)


def decoders(model: SamMed3D, device: torch.device) -> list[Row]:
    """A click and its padding token; the dense position, which never changes, is made once."""
    position = model.prompt_encoder.get_dense_pe().detach()
    given = prompt(model.config)

    def run(*tensors: Tensor) -> Tensor:
        return decode(model, Prompt(*tensors), position)

    one = [given.embedding, given.coords, given.labels, given.mask]
    feeds = {
        batch: [value.repeat(batch, *[1] * (value.ndim - 1)).to(device) for value in one]
        for batch in BATCHES
    }
    return ways(run, feeds, device)


def selectors(model: SamMed3D, device: torch.device) -> list[Row]:
    """Two masks that lie on the device, checked, fused, and on the host in the end: the two and the
    fused one."""
    selector, cells, side = load_selector(), model.config.cells, model.config.image_size
    generator = torch.Generator().manual_seed(0)
    masks = (4 * torch.randn(2, cells, cells, cells, generator=generator)).to(device)
    coords = np.array([[[side / 2] * 3, [0, 0, 0]]], np.float32)
    labels = np.array([[1, -1]], np.int32)
    routing = SimpleNamespace(
        tau={"click": 0.3}, slack={"click": 99.0}, own_slack={}, fusion="probability"
    )

    def decide(general: Any, expert: Any) -> Any:
        rest = (0.7, "click", coords, labels, side, routing)
        return selector.decide(general, expert, *rest, name="").logits

    def on_host() -> Tensor:
        general, expert = masks.cpu().numpy()
        fused = decide(general, expert)
        return torch.from_numpy(np.stack([fused, general, expert])[None])

    def on_device() -> Tensor:
        return torch.stack([decide(*masks), *masks])[None].cpu()

    return [Row("fused on the host", on_host), Row("fused where they lie", on_device)]


def ways(
    run: Callable[..., Tensor], feeds: dict[int, list[Tensor]], device: torch.device
) -> list[Row]:
    """Each precision by itself, as a CUDA graph, and the graph with larger batches."""
    rows = []
    pool: Any = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
    for precision in PRECISIONS:
        bound = ROUNDED.get(precision, EXACT)
        plain = partial(rounded, run, precision, feeds[1])
        rows.append(Row(precision, plain, bound=bound))
        if device.type != "cuda":
            continue
        for batch, feed in feeds.items():
            name = f"{precision} graph, batch {batch}"
            try:
                with torch.no_grad():
                    replay, _ = captured(partial(_rounded, run, precision), feed, pool)
            except torch.OutOfMemoryError:
                print(f"  {name}: this card has too little memory")
                continue
            rows.append(Row(name, replay, batch, bound))
    return rows


@torch.no_grad()
def rounded(run: Callable[..., Tensor], precision: str, inputs: list[Tensor]) -> Tensor:
    """Run once in a precision."""
    return _rounded(run, precision, *inputs)


def _rounded(run: Callable[..., Tensor], precision: str, *inputs: Tensor) -> Tensor:
    kind = getattr(torch, precision) if precision in ("float16", "bfloat16") else None
    # Without a cache of cast weights: a graph would keep one that is gone.
    cast: Any = nullcontext()
    if kind is not None:
        cast = torch.autocast(inputs[0].device.type, kind, cache_enabled=False)
    with tf32(precision != "float32"), cast:
        return run(*inputs)


def report(title: str, unit: str, rows: list[Row], device: torch.device, rounds: int) -> int:
    """Measure, print a table, and count what is too far off."""
    first = rows[0].run().clone()
    for row in rows:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        found = row.run()
        row.error = difference(found[:1], first)
        if device.type == "cuda":
            row.mib = torch.cuda.max_memory_allocated(device) / 2**20
    seconds: dict[str, list[float]] = {row.name: [] for row in rows}
    for _ in range(rounds):
        for row in rows:
            seconds[row.name].append(timed(row.run, device) / row.batch)
    base = statistics.median(seconds[rows[0].name])
    print(f"\n{title:28} {'ms / ' + unit:>12} {'times':>7} {'error':>8} {'MiB':>7}")
    for row in rows:
        median = statistics.median(seconds[row.name])
        mark = "" if row.error <= row.bound else f"  more than {row.bound:g}"
        print(
            f"  {row.name:26} {median * 1e3:12.3f} {base / median:7.2f} {row.error:8.1e}"
            f" {row.mib:7.0f}{mark}",
            flush=True,
        )
    return sum(not row.error <= row.bound for row in rows)


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of one run, from an idle device to an idle device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
