from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sammoe.bundle import PROMPT_KINDS
from sammoe.export.graphs import DecoderGraph
from sammoe.model import build_sam_med3d
from sammoe.model.prompt_encoder import BOX_FIRST, BOX_LAST, NEGATIVE, PADDING, POSITIVE
from sammoe.segmentation.mapped_boxes import box_as_click_and_prior
from sammoe.training.gates.bank import ABSENT, PromptBank
from sammoe.training.gates.loops import batches, draw_loops
from sammoe.training.gates.prompts import Simulator
from sammoe.training.gates.starts import (
    box_around,
    first_tokens,
    points_inside,
    points_tokens,
    some_of,
    stretched,
)
from tests.unit.training.gates.worlds import cubes, frozen, noise
from tests.unit.training.small import CELLS, CONFIG, RULE, SIDE

BOX, CLICK, CLICKS = range(3)


def same(a: PromptBank, b: PromptBank) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_bank_holds_what_the_exported_graph_would_say(tmp_path: Path) -> None:
    model = frozen()
    windows = cubes(model, 6)
    simulator = Simulator(model, [frozen(1).mask_decoder], tmp_path)

    bank = simulator.labelled(windows, count=30, seed=0, masks=True, title="")

    assert len(bank) == 30
    assert not bank.features.requires_grad
    graph = DecoderGraph(model.prompt_encoder, model.mask_decoder, features=True)
    expert = DecoderGraph(model.prompt_encoder, frozen(1).mask_decoder, features=False)
    for row in range(30):
        n = int(bank.tokens[row])
        inputs = (
            windows.embeddings[bank.window[row]][None],
            bank.coords[row, :n][None],
            bank.labels[row, :n][None].int(),
            bank.prior[row][None, None].float(),
        )
        logits, features = graph(*inputs)
        torch.testing.assert_close(features[0], bank.features[row], atol=5e-3, rtol=5e-3)
        for now, kept in ((logits, bank.general), (expert(*inputs), bank.expert)):
            torch.testing.assert_close(now[0, 0], kept[row].float(), atol=2e-2, rtol=5e-3)


def test_prompts_are_of_every_kind_and_well_formed(tmp_path: Path) -> None:
    model = frozen()
    simulator = Simulator(model, [], tmp_path)
    bank = simulator.labelled(cubes(model, 16), count=60, seed=0, masks=True, title="")

    assert set(bank.kind.tolist()) == {BOX, CLICK, CLICKS}
    for labels, kind in zip(bank.labels.tolist(), bank.kind.tolist(), strict=True):
        shown = [label for label in labels if label != ABSENT]
        assert labels == shown + [ABSENT] * (len(labels) - len(shown))
        clicks = [label for label in shown if label in (POSITIVE, NEGATIVE)]
        assert (BOX_FIRST in shown) == (BOX_LAST in shown) == (kind == BOX)
        assert (PADDING in shown) == (kind != BOX)
        if kind != BOX:
            assert (len(clicks) == 1) == (kind == CLICK)
            assert clicks[0] == POSITIVE
    first = ~bank.prior.flatten(1).any(1)
    assert any(labels.count(POSITIVE) > 1 for labels in bank.labels[first].tolist())
    assert bank.coords.min() >= -0.5
    assert bank.coords.max() <= SIDE - 0.5
    without = simulator.labelled(cubes(model, 16), count=60, seed=0, title="")
    assert without.prior.shape == (0, CELLS, CELLS, CELLS)


def test_weights_without_boxes_are_shown_what_serving_shows_them(tmp_path: Path) -> None:
    """A click and a prior mask, in place of a box."""
    torch.manual_seed(0)
    model = build_sam_med3d(replace(CONFIG, box_embeddings=False)).eval().requires_grad_(False)
    windows = replace(cubes(model, 8), boxed=torch.ones(8, dtype=torch.bool))
    simulator = Simulator(model, [], tmp_path)

    bank = simulator.labelled(windows, count=24, seed=0, masks=True, title="")
    random = simulator.random(noise(model, 8), count=24, seed=0, title="")

    for labels in (bank.labels, random.labels):
        assert set(labels.flatten().tolist()) <= {NEGATIVE, POSITIVE, PADDING, ABSENT}
    first = (bank.labels != ABSENT).sum(1) == 2
    assert bool((bank.kind[first] == CLICK).all())
    for at, prior in zip(bank.coords[first], bank.prior[first], strict=True):
        expected = [
            box_as_click_and_prior(tuple(corners.double().numpy()), RULE)
            for corners in windows.boxes.reshape(-1, 2, 3)
        ]
        differences = [np.abs(mask - prior.float().numpy()).mean() for _, mask in expected]
        middle, _ = expected[int(np.argmin(differences))]
        assert min(differences) < 1.5  # Boxes are jittered.
        np.testing.assert_allclose(at[0], middle, atol=1.5)


def test_prompts_are_a_function_of_the_seed_and_kept_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = frozen()
    windows, random = cubes(model, 4), noise(model, 4)

    def banks(folder: str, seed: int) -> tuple[PromptBank, PromptBank]:
        simulator = Simulator(model, [], tmp_path / folder)
        return (
            simulator.labelled(windows, count=9, seed=seed, title=""),
            simulator.random(random, count=9, seed=seed, title=""),
        )

    first, again, other = banks("a", 0), banks("b", 0), banks("a", 1)
    for one, two, three in zip(first, again, other, strict=True):
        assert same(one, two)
        assert not same(one, three)

    monkeypatch.setattr(Simulator, "_simulate", None)
    for one, two in zip(first, banks("a", 0), strict=True):
        assert same(one, two)


def test_a_damaged_bank_is_told_of_and_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = frozen()
    windows, simulator = cubes(model, 4), Simulator(model, [], tmp_path)
    bank = simulator.labelled(windows, count=9, seed=0, title="")
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert same(simulator.labelled(windows, count=9, seed=0, title=""), bank)
    assert f"{path} can not be read, and is made again" in capsys.readouterr().err


def test_what_is_shown_comes_from_other_decoders_too(tmp_path: Path) -> None:
    """So later prompts differ, and first ones do not."""
    model = frozen()
    windows = cubes(model, 8)
    alone = Simulator(model, [], tmp_path).labelled(windows, count=40, seed=0, title="")
    other = frozen(3).mask_decoder
    shown = Simulator(model, [other], tmp_path).labelled(windows, count=40, seed=0, title="")

    first = (alone.labels != ABSENT).sum(1) == 2
    assert torch.equal(alone.kind[first], shown.kind[first])
    assert not torch.equal(alone.features[~first], shown.features[~first])


def test_random_prompts_box_what_the_general_decoder_answers(tmp_path: Path) -> None:
    model = frozen()
    windows = noise(model, 32)
    bank = Simulator(model, [], tmp_path).random(windows, count=80, seed=0, title="")

    assert set(bank.kind.tolist()) == {BOX, CLICK, CLICKS}
    boxes = [
        coords[[labels.index(BOX_FIRST), labels.index(BOX_LAST)]]
        for coords, labels in zip(bank.coords, bank.labels.tolist(), strict=True)
        if BOX_FIRST in labels
    ]
    assert all((corners[0] < corners[1]).all() for corners in boxes)
    given = windows.boxes.reshape(-1, 2, 3)
    exact = [any(torch.equal(corners, box) for box in given) for corners in boxes]
    assert any(exact) is not all(exact)


def test_loops_use_all_windows_and_make_as_many_prompts_as_asked() -> None:
    boxed = torch.arange(10) % 2 == 1
    loops = draw_loops(boxed, 57, generator())

    assert sum(loop.answers for loop in loops) == 57
    assert {loop.window for loop in loops[:10]} == set(range(10))
    assert {loop.answers for loop in loops if boxed[loop.window]} <= {1, 2, 3}
    assert max(loop.answers for loop in loops) == 6
    several = [loop for loop in loops if loop.points > 1]
    assert several
    assert all(loop.answers == 1 and not boxed[loop.window] for loop in several)
    assert max(loop.points for loop in several) <= 6
    grouped = [(w, answers, n) for rows, answers, n in batches(loops) for w in rows.tolist()]
    assert sorted(grouped) == sorted(loops)


def test_points_at_once_are_places_of_the_target_each_at_most_once() -> None:
    places = torch.arange(24.0).reshape(1, 8, 3).expand(5, 8, 3)
    coords, labels = points_tokens(some_of(places, 6, generator()))

    assert labels.tolist() == [[POSITIVE] * 6 + [PADDING]] * 5
    assert not coords[:, 6].any()
    for points in coords[:, :6]:
        assert len(torch.unique(points, dim=0)) == 6
        assert all(any(torch.equal(p, place) for place in places[0]) for p in points)


def test_points_inside_a_mask_lie_in_its_cells() -> None:
    masks = torch.zeros(2, 8, 8, 8, dtype=torch.bool)
    masks[0, 2:4, 5, 6:8] = True
    masks[1, 0, 0, 0] = True

    points = points_inside(masks, 4, 16, generator())

    cells = ((points + 0.5) / 2).long()
    inside = masks[torch.arange(2)[:, None], cells[..., 0], cells[..., 1], cells[..., 2]]
    assert inside.sum(1).tolist() == [4, 1]
    assert len(torch.unique(cells[0], dim=0)) == 4


def test_boxes_are_exact_jittered_or_loose_and_cut_to_the_window() -> None:
    n = 400
    boxes = torch.tensor([[20.0, 20, 20, 29, 29, 29]]).expand(n, 6)
    coords, labels = first_tokens(
        torch.zeros(n, 3), boxes, torch.ones(n, dtype=torch.bool), 64, generator()
    )
    outwards = (coords - boxes.reshape(n, 2, 3)) * torch.tensor([-1.0, 1.0])[:, None] / 10

    exact = (outwards == 0).flatten(1).all(1)
    assert 0.4 < exact.float().mean() < 0.6
    moved = outwards[~exact].flatten(1)
    loose = (moved >= 0).all(1)
    assert 0.3 < loose.float().mean() < 0.7
    assert moved[loose].max() <= 0.2 + 1e-6
    assert moved[~loose].abs().max() <= 0.1 + 1e-6
    assert (labels == torch.tensor([BOX_FIRST, BOX_LAST])).all()

    cut, _ = first_tokens(
        torch.zeros(n, 3), boxes - 20, torch.ones(n, dtype=torch.bool), 64, generator()
    )
    assert cut.min() == -0.5


def test_clicks_stay_where_there_is_no_box() -> None:
    clicks: Tensor = torch.rand(5, 3, generator=generator())
    coords, labels = first_tokens(
        clicks, torch.zeros(5, 6), torch.zeros(5, dtype=torch.bool), 64, generator()
    )
    assert torch.equal(coords[:, 0], clicks)
    assert not coords[:, 1].any()
    assert labels.tolist() == [[POSITIVE, PADDING]] * 5


def test_the_box_around_a_mask_covers_its_cells() -> None:
    masks = torch.zeros(2, 8, 8, 8, dtype=torch.bool)
    masks[0, 2:4, 5, 7] = True

    boxes, empty = box_around(masks, 16)

    assert boxes.tolist() == [[4, 10, 14, 7, 11, 15], [0, 0, 0, 15, 15, 15]]
    assert empty.tolist() == [False, True]


def test_stretched_boxes_are_near_the_first_ones() -> None:
    boxes = torch.tensor([[20.0, 20, 20, 39, 29, 24]]).expand(100, 6)
    corners = stretched(boxes, generator()).reshape(-1, 2, 3)
    sides = corners[:, 1] - corners[:, 0]

    ratio = sides / torch.tensor([20.0, 10, 5])
    assert ratio.min() >= 1 / 1.4 - 1e-6
    assert ratio.max() <= 1.4 + 1e-6
    assert ratio.std() > 0.1


def test_kinds_are_numbered_as_in_the_manifest() -> None:
    assert PROMPT_KINDS == ("box", "click", "clicks")


def test_banks_join(tmp_path: Path) -> None:
    model = frozen()
    bank = Simulator(model, [], tmp_path).labelled(cubes(model, 4), count=5, seed=0, title="")
    both = PromptBank.join([bank, bank.shifted(4)])

    assert len(both) == 10
    assert torch.equal(both.window[5:], bank.window + 4)
    assert torch.equal(both.features[5:], bank.features)
