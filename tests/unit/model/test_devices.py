"""No network hides a tensor of the CPU's: moved to another device, here one that has shapes alone,
it never lets tensors of two devices meet. Nor would a GPU find it, where it must not wait."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sammoe.export.graphs import DecoderGraph, HeadsGraph, PaperGateGraph, example_prompt
from sammoe.model import SamMed3D, SamMed3DConfig
from sammoe.model.gate import ExpertHeads, PaperGate
from sammoe.training.clicks import corrective_clicks
from sammoe.training.losses import dice_ce, dice_score
from tests.unit.export import tiny

GPU = torch.device("meta")
"""Stands for one."""

SPLIT = replace(tiny.CONFIG, window_size=3)
"""Several windows in a block."""


class OneDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations on tensors of several devices, but copies and single numbers."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = tree_leaves((args, kwargs or {}))
        devices = {each.device for each in given if isinstance(each, Tensor) and each.dim()}
        if len(devices) > 1 and "copy" not in func.name():
            raise RuntimeError(f"{func} of several devices: {devices}")
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _one_device() -> Iterator[None]:
    with OneDevice():  # type: ignore[no-untyped-call]
        yield


@pytest.fixture(params=[tiny.CONFIG, tiny.DETAILED, SPLIT], ids=["official", "detailed", "split"])
def config(request: pytest.FixtureRequest) -> SamMed3DConfig:
    """Every form of attention, with and without a detail path."""
    found: SamMed3DConfig = request.param
    return found


def on_gpu(config: SamMed3DConfig) -> SamMed3D:
    return tiny.model(config).to(GPU)


def example(config: SamMed3DConfig) -> list[Tensor]:
    made = example_prompt(config, 2, 4, box=True, prior=True, seed=0)
    return [value.to(GPU) for value in made.values()]


def test_a_tensor_of_the_cpu_is_noticed() -> None:
    table = torch.ones(2, 2, device=GPU)
    meetings: list[Callable[[], Tensor]] = [
        lambda: table @ torch.ones(2, 2),
        lambda: table[torch.zeros(2, dtype=torch.long)],
        lambda: torch.nn.functional.linear(table, torch.ones(2, 2)),
    ]
    for meet in meetings:
        with pytest.raises(RuntimeError, match="several devices"):
            meet()


def test_the_encoder_stays_on_its_device(config: SamMed3DConfig) -> None:
    side = config.image_size
    found = on_gpu(config).image_encoder(torch.zeros(2, 1, side, side, side, device=GPU))
    assert found.device == GPU


def test_graphs_stay_on_their_device(config: SamMed3DConfig) -> None:
    model = on_gpu(config)
    decoder = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True)
    logits, features = decoder(*example(config))
    assert (logits.device, features.device) == (GPU, GPU)
    paper = PaperGate(config, 2, none_of_them=True).to(GPU)
    assert PaperGateGraph(model.prompt_encoder, paper)(*example(config)).device == GPU
    width = features.shape[1]
    heads = ExpertHeads(torch.zeros(width), torch.ones(width), ["cord"]).to(GPU)
    assert HeadsGraph(heads)(features).device == GPU


@pytest.mark.parametrize("given", ["points", "boxes", "mask", "nothing"])
def test_the_official_prompt_encoder_stays_on_its_device(
    config: SamMed3DConfig, given: str
) -> None:
    encoder, cells = on_gpu(config).prompt_encoder, config.cells
    points = (torch.zeros(1, 2, 3, device=GPU), torch.zeros(1, 2, dtype=torch.long, device=GPU))
    boxes = torch.zeros(1, 6, device=GPU)
    mask = torch.zeros(1, 1, cells, cells, cells, device=GPU)
    sparse, dense = encoder(
        points if given == "points" else None,
        boxes if given == "boxes" else None,
        mask if given == "mask" else None,
    )
    assert (sparse.device, dense.device) == (GPU, GPU)


def test_clicks_and_losses_stay_on_their_device() -> None:
    logits, target = torch.randn(2, 16, 16, 16, device=GPU), torch.ones(2, 16, 16, 16, device=GPU)
    coords, labels = corrective_clicks(logits, target, 32, torch.Generator())
    assert (coords.device, labels.device) == (GPU, GPU)
    assert dice_ce(logits, target).device == GPU
    assert dice_score(logits, target).device == GPU
