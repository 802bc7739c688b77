import torch

from sammoe.model.gate_features import TOKENS, gate_features
from sammoe.model.mask_decoder import DecoderState


def state(batch: int = 2, prompts: int = 3) -> DecoderState:
    torch.manual_seed(0)
    return DecoderState(torch.randn(batch, 5 + prompts, 6), torch.randn(batch, 8, 6))


def test_the_five_tokens_stand_in_order() -> None:
    given = state()

    parts = gate_features(given, torch.zeros(2, 1, 8, 8, 8)).reshape(2, TOKENS, 6)

    torch.testing.assert_close(parts[:, 0], given.tokens[:, 1])
    torch.testing.assert_close(parts[:, 1], given.tokens[:, 0])
    torch.testing.assert_close(parts[:, 2], given.tokens[:, 5:].mean(1))
    torch.testing.assert_close(parts[:, 3], given.image_tokens.mean(1))


def test_image_tokens_are_pooled_inside_the_mask() -> None:
    given = state()
    logits = torch.full((2, 1, 8, 8, 8), -60.0)
    logits[:, :, 4:, :4, 4:] = 60.0  # grid cell (1, 0, 1) of 2 x 2 x 2: token 5

    inside = gate_features(given, logits)[:, -6:]

    torch.testing.assert_close(inside, given.image_tokens[:, 5], atol=1e-4, rtol=1e-4)


def test_partly_filled_cells_count_by_their_probability() -> None:
    given = state()
    logits = torch.full((2, 1, 8, 8, 8), -60.0)
    logits[:, :, :4, :4, :4] = 0.0  # token 0, probability one half throughout
    logits[:, :, 4:6, 4:, 4:] = 60.0  # token 7, half of its voxels

    inside = gate_features(given, logits)[:, -6:]

    expected = (given.image_tokens[:, 0] + given.image_tokens[:, 7]) / 2
    torch.testing.assert_close(inside, expected, atol=1e-4, rtol=1e-4)


def test_an_empty_mask_gives_finite_features() -> None:
    given = state()

    inside = gate_features(given, torch.full((2, 1, 8, 8, 8), -1000.0))[:, -6:]

    torch.testing.assert_close(inside, given.image_tokens.mean(1))
