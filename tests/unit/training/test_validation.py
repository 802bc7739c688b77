from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sammoe.training.ranks import Ranks
from sammoe.training.validation import Scores, validate
from tests.unit.training.small import network, windows


def test_scores_know_boxes_from_clicks() -> None:
    model = network().eval()
    prepared = windows(model, 6)
    whole = validate(model, prepared, 6, Ranks())
    assert None not in (whole.dice_box, whole.dice_click, whole.dice_clicks)
    assert validate(model, prepared, 6, Ranks()) == whole
    points = validate(model, replace(prepared, boxed=torch.zeros(6).bool()), 6, Ranks())
    assert points.dice_box is None
    assert points.columns().keys() == {"dice_click", "dice_clicks"}
    boxes = validate(model, replace(prepared, boxed=torch.ones(6).bool()), 6, Ranks())
    assert boxes.dice_click is None


def test_a_network_that_is_right_scores_one() -> None:
    model = network().eval()
    prepared = windows(model, 4)
    model.mask_decoder.forward = lambda *given, **named: (  # type: ignore[method-assign]
        2 * prepared.targets.float()[:, None] - 1,
        torch.empty(0),
    )
    assert validate(model, prepared, 4, Ranks()) == Scores(1.0, 1.0, 1.0)


def test_the_mean_weighs_boxes_and_clicks_alike() -> None:
    assert Scores(0.8, 0.2, 0.4).mean == pytest.approx(0.55)
    assert Scores(None, 0.2, 0.4).mean == pytest.approx(0.3)
    assert Scores(0.8, None, None).mean == 0.8
    assert Scores(None, None, None).mean == 0.0


def test_ranks_share_the_windows_out(tmp_path: Path) -> None:
    model = network().eval()
    prepared = windows(model, 4)
    sums = []

    class Half(Ranks):
        def add_up(self, sums_of_one: torch.Tensor) -> None:
            sums.append(sums_of_one.clone())

    for rank in range(3):
        validate(model, prepared, 2, Half(rank=rank, world=3))
    assert sum(sums)[:, 1].tolist() == [2, 2, 2]  # type: ignore[index]
