from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sammoe.model import SamMed3DConfig
from sammoe.model.gate_features import TOKENS, gate_features
from sammoe.model.mask_decoder import DecoderState
from sammoe.model.prompt_encoder import BOX_FIRST, BOX_LAST, NEGATIVE, PADDING, POSITIVE

GRID, WIDTH = 2, 6
CONFIG = replace(SamMed3DConfig.small(), image_size=16, patch_size=8, prompt_dim=WIDTH)
"""Grid cells of 8 voxels: token 4 x + 2 y + z."""
CORNER = (3.5, 3.5, 3.5)
"""The middle of cell 0."""


def state(batch: int = 2, prompts: int = 3) -> DecoderState:
    torch.manual_seed(0)
    return DecoderState(torch.randn(batch, 5 + prompts, WIDTH), torch.randn(batch, 8, WIDTH))


def parts_of(
    given: DecoderState,
    logits: Tensor | None = None,
    places: list[tuple[float, float, float]] | None = None,
    labels: list[int] | None = None,
) -> Tensor:
    """[B, TOKENS, C] for the same prompt in each image: by default a click in cell 0."""
    batch = len(given.tokens)
    masks = torch.zeros(batch, 1, 8, 8, 8) if logits is None else logits
    coords = torch.tensor(places or [CORNER, (0.0, 0.0, 0.0)]).expand(batch, -1, -1)
    kinds = torch.tensor(labels or [POSITIVE, PADDING]).expand(batch, -1)
    return gate_features(given, masks, coords, kinds, CONFIG).reshape(batch, TOKENS, WIDTH)


def test_the_first_tokens_stand_in_order() -> None:
    given = state()

    parts = parts_of(given)

    torch.testing.assert_close(parts[:, 0], given.tokens[:, 1])
    torch.testing.assert_close(parts[:, 1], given.tokens[:, 0])
    torch.testing.assert_close(parts[:, 2], given.tokens[:, 5:].mean(1))
    torch.testing.assert_close(parts[:, 3], given.image_tokens.mean(1))


def test_image_tokens_are_pooled_inside_the_mask() -> None:
    given = state()
    logits = torch.full((2, 1, 8, 8, 8), -60.0)
    logits[:, :, 4:, :4, 4:] = 60.0  # grid cell (1, 0, 1) of 2 x 2 x 2: token 5

    inside = parts_of(given, logits)[:, 4]

    torch.testing.assert_close(inside, given.image_tokens[:, 5], atol=1e-4, rtol=1e-4)


def test_partly_filled_cells_count_by_their_probability() -> None:
    given = state()
    logits = torch.full((2, 1, 8, 8, 8), -60.0)
    logits[:, :, :4, :4, :4] = 0.0  # token 0, probability one half throughout
    logits[:, :, 4:6, 4:, 4:] = 60.0  # token 7, half of its voxels

    inside = parts_of(given, logits)[:, 4]

    expected = (given.image_tokens[:, 0] + given.image_tokens[:, 7]) / 2
    torch.testing.assert_close(inside, expected, atol=1e-4, rtol=1e-4)


def test_an_empty_mask_gives_finite_features() -> None:
    given = state()

    inside = parts_of(given, torch.full((2, 1, 8, 8, 8), -1000.0))[:, 4]

    torch.testing.assert_close(inside, given.image_tokens.mean(1))


def only(cell: int) -> DecoderState:
    """Image tokens that are 1 in one cell and 0 in all others."""
    given = state(batch=1)
    tokens = torch.zeros(1, GRID**3, WIDTH)
    tokens[:, cell] = 1
    return given._replace(image_tokens=tokens)


def test_what_is_at_the_prompt_counts_most() -> None:
    near = [float(parts_of(only(cell))[0, 5, 0]) for cell in range(GRID**3)]

    assert near[0] == max(near)
    assert near[0] > 2 * sorted(near)[-2]
    assert sum(near) == pytest.approx(1)


@pytest.mark.parametrize("axis", range(3))
def test_each_side_of_the_prompt_has_a_token(axis: int) -> None:
    beyond = 4 >> axis  # the cell of higher index on that axis
    higher, lower = 6 + 2 * axis, 7 + 2 * axis

    parts = parts_of(only(beyond))[0, :, 0]

    assert parts[higher] > 0.25  # of four cells on that side it is the nearest
    others = [6 + 2 * other for other in range(3) if other != axis]
    assert all(parts[higher] > parts[other] for other in others)
    from_there = parts_of(only(0), places=[_middle(beyond), (0.0, 0.0, 0.0)])[0, :, 0]
    assert from_there[lower] == pytest.approx(float(parts[higher]), abs=1e-4)


def _middle(cell: int) -> tuple[float, float, float]:
    x, y, z = (8.0 * (cell >> shift & 1) + 3.5 for shift in (2, 1, 0))
    return x, y, z


def test_a_box_is_at_its_middle_and_negative_clicks_do_not_move_a_prompt() -> None:
    given = state()
    click = parts_of(given, places=[(7.5, 7.5, 3.5), (0.0, 0.0, 0.0)])

    box = parts_of(given, places=[(4.0, 4.0, 2.0), (11.0, 11.0, 5.0)], labels=[BOX_FIRST, BOX_LAST])
    beside = parts_of(
        given,
        places=[(7.5, 7.5, 3.5), (15.0, 15.0, 15.0), (0.0, 0.0, 0.0)],
        labels=[POSITIVE, NEGATIVE, PADDING],
    )

    torch.testing.assert_close(box[:, 5:], click[:, 5:])
    torch.testing.assert_close(beside[:, 5:], click[:, 5:])


def test_a_prompt_of_negative_clicks_alone_is_at_them() -> None:
    given = state()

    negative = parts_of(given, places=[_middle(7), (0.0, 0.0, 0.0)], labels=[NEGATIVE, PADDING])

    positive = parts_of(given, places=[_middle(7), (0.0, 0.0, 0.0)])
    torch.testing.assert_close(negative[:, 5:], positive[:, 5:])
