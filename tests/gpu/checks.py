"""The networks and the selector's arithmetic on a GPU, against the CPU. Tier 1: needs torch and
numpy alone, and runs from the bare repository::

    PYTHONPATH=service python -m tests.gpu.checks

Each check raises AssertionError. With ``--device cpu`` they are rehearsed: all but those of CUDA
itself.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from sammoe.model import SamMed3DConfig
from sammoe.model.gate_features import gate_features
from tests.gpu.networks import CONFIGS, CPU, decode, difference, image, pair, prompt, tf32
from tests.oracles.padded_encoder import padded_encode

EXACT = 1e-4
"""Of float32 without TF32, relative to the largest magnitude."""

ROUNDED = {"tf32": 1e-2, "float16": 2e-2, "bfloat16": 6e-2}
"""Of what a GPU may round."""

SELECTOR = Path(__file__).resolve().parents[2] / "service/sammoe/engine/selector.py"


@torch.no_grad()
def encoder_equals_cpu(config: SamMed3DConfig, device: torch.device) -> None:
    """One window and two."""
    ours, theirs = pair(config, device)
    for batch in (1, 2):
        x = image(config, batch)
        with tf32(False):
            found = theirs.image_encoder(x.to(device))
        assert found.device.type == device.type
        assert difference(found, ours.image_encoder(x)) <= EXACT


@torch.no_grad()
def short_form_equals_padded(config: SamMed3DConfig, device: torch.device) -> None:
    """The exact short form, on the device, against the oracle there."""
    _, model = pair(config, device)
    if config.detail_channels:
        return  # the oracle has no detail path
    x = image(config).to(device)
    with tf32(False):
        expected = padded_encode(model.image_encoder.state_dict(), config, x)
        assert difference(model.image_encoder(x), expected) <= EXACT


@torch.no_grad()
def decoder_equals_cpu(config: SamMed3DConfig, device: torch.device) -> None:
    """Clicks, boxes, several prompts at once; and the gate's features."""
    ours, theirs = pair(config, device)
    for tokens, batch in ((1, 1), (2, 1), (5, 1), (2, 3)):
        for box in (False, config.box_embeddings and tokens > 1):
            given = prompt(config, tokens, batch, box=box)
            expected = decode(ours, given)
            with tf32(False):
                found = decode(theirs, given.to(device))
            assert difference(found, expected) <= EXACT
    given = prompt(config, 3)
    features = []
    for model, where in ((ours, CPU), (theirs, device)):
        put = given.to(where)
        sparse, dense = model.prompt_encoder.embed_prompt(put.coords, put.labels, put.mask)
        pe = model.prompt_encoder.get_dense_pe()
        with tf32(False):
            state = model.mask_decoder.decode_tokens(put.embedding, pe, sparse, dense)
            logits = model.mask_decoder.paint(state, put.embedding, dense, slice(0, 1))
            place = put.coords, put.labels, config
            features.append(gate_features(state, logits, *place))
    assert difference(features[1], features[0]) <= EXACT


@torch.no_grad()
def rounding_stays_small(config: SamMed3DConfig, device: torch.device) -> None:
    """TF32, and both half precisions by autocast."""
    ours, theirs = pair(config, device)
    x, given = image(config), prompt(config, 3)
    expected = ours.image_encoder(x), decode(ours, given)
    for name, bound in ROUNDED.items():
        kind = getattr(torch, name, None)
        cast: Any = torch.autocast(device.type, kind) if kind else nullcontext()
        with tf32(kind is None), cast:
            found = theirs.image_encoder(x.to(device)), decode(theirs, given.to(device))
        for got, wanted in zip(found, expected, strict=True):
            assert difference(got, wanted) <= bound, name


@torch.no_grad()
def cuda_graphs_replay(config: SamMed3DConfig, device: torch.device) -> None:
    """A captured graph gives what its network gives, for inputs that came after the capture."""
    if device.type != "cuda":
        return
    _, model = pair(config, device)
    position = model.prompt_encoder.get_dense_pe()
    given, other = prompt(config, 3).to(device), prompt(config, 3, box=False).to(device)
    x, y = image(config).to(device), image(config, 1).flip(2).to(device)
    for run, inputs, others in (
        (model.image_encoder, [x], [y]),
        (
            lambda e, c, k, m: decode(model, type(given)(e, c, k, m), position),
            [given.embedding, given.coords, given.labels, given.mask],
            [other.embedding.flip(2), other.coords.flip(0), other.labels, other.mask.flip(2)],
        ),
    ):
        with tf32(False):
            expected = run(*others)
            replay, places = captured(run, inputs)
        for place, value in zip(places, others, strict=True):
            place.copy_(value)
        assert difference(replay(), expected) <= EXACT


def captured(
    run: Callable[..., Tensor], inputs: list[Tensor], pool: Any = None
) -> tuple[Callable[[], Tensor], list[Tensor]]:
    """A CUDA graph of ``run``: what replays it, and the tensors that it reads. Graphs of one memory
    ``pool`` must be replayed one after the other. The first holds the second: a graph reads them
    where they lay when it was made."""
    places = [value.clone() for value in inputs]
    side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run(*places)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        out = run(*places)

    return partial(_replayed, graph, places, out), places


def _replayed(graph: torch.cuda.CUDAGraph, places: list[Tensor], out: Tensor) -> Tensor:
    graph.replay()
    return out


def selector_decides_on_the_device(config: SamMed3DConfig, device: torch.device) -> None:
    """Masks that lie on the device, come through DLPack as the selector takes them, are checked and
    fused there as on the host."""
    selector = load_selector()
    generator = torch.Generator().manual_seed(0)
    cells, side = config.cells, config.image_size
    coarse = torch.randn(2, 1, 6, 6, 6, generator=generator)
    masks = 4 * torch.nn.functional.interpolate(coarse, size=(cells,) * 3, mode="trilinear")[:, 0]
    low, high = [0.2 * side] * 3, [0.8 * side] * 3
    for points, kinds in (
        ([[side / 2] * 3, [0, 0, 0]], [1, -1]),
        ([[side / 2] * 3, [side / 3, side / 4, side / 5]], [1, 0]),
        ([low, high], [2, 3]),
        ([low, [*high[:2], low[2]]], [2, 3]),
    ):
        coords, labels = np.array([points], np.float32), np.array([kinds], np.int32)
        kind = selector.prompt_kind(labels)
        for fusion in ("probability", "logit"):
            routing = SimpleNamespace(
                tau={kind: 0.3}, slack={kind: 99.0}, own_slack={}, fusion=fusion
            )
            rest = (0.7, kind, coords, labels, side, routing)
            wanted = selector.decide(*(mask.numpy() for mask in masks), *rest, name="")
            lying = [from_dlpack(mask.contiguous()) for mask in masks.to(device)]
            found = selector.decide(*lying, *rest, name="")
            assert wanted.fused
            assert found.logits.device.type == device.type
            assert (found.check, found.agreement) == (wanted.check, wanted.agreement)
            assert difference(found.logits, torch.from_numpy(wanted.logits)) <= EXACT
            for mask, there in zip(masks, lying, strict=True):
                one, two = (selector.misfit(m, coords, labels, side) for m in (mask.numpy(), there))
                assert abs(one - two) <= EXACT * max(1.0, abs(one))


def load_selector() -> Any:
    """The module by itself, as Triton has it: nothing of ours is imported with it."""
    spec = importlib.util.spec_from_file_location("selector", SELECTOR)
    assert spec is not None
    assert spec.loader is not None
    selector: Any = importlib.util.module_from_spec(spec)
    sys.modules["selector"] = selector  # dataclasses look their module up
    spec.loader.exec_module(selector)
    return selector


CHECKS: tuple[Callable[[SamMed3DConfig, torch.device], None], ...] = (
    encoder_equals_cpu,
    short_form_equals_padded,
    decoder_equals_cpu,
    rounding_stays_small,
    cuda_graphs_replay,
    selector_decides_on_the_device,
)


@dataclass
class Tally:
    """How it went."""

    failed: int = 0

    def run(self, title: str, check: Callable[[], None]) -> None:
        """One check, one line."""
        began = time.monotonic()
        try:
            check()
        except AssertionError as error:
            self.failed += 1
            outcome = f"FAILED {error}"
        else:
            outcome = "passed"
        print(f"  {title:44} {outcome} ({time.monotonic() - began:.1f} s)", flush=True)


def main() -> int:
    """Every check, for both sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:1, or cpu")
    device = torch.device(parser.parse_args().device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("torch finds no GPU here; --device cpu rehearses", file=sys.stderr)
        return 2
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU (a rehearsal)"
    print(f"torch {torch.__version__} on {name}")
    tally = Tally()
    for size, config in CONFIGS.items():
        for check in CHECKS:
            tally.run(f"{size}: {check.__name__}", partial(check, config, device))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
