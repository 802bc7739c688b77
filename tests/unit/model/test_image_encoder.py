from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sammoe.model import SamMed3DConfig
from sammoe.model.image_encoder import ImageEncoder
from tests.oracles import padded_encoder
from tests.unit.model import golden

Encode = Callable[[dict[str, Tensor], SamMed3DConfig, Tensor], dict[str, Tensor]]


def short_form(
    state: dict[str, Tensor], config: SamMed3DConfig, image: Tensor
) -> dict[str, Tensor]:
    encoder = ImageEncoder(config)
    encoder.load_state_dict(state)
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _given, out: found.update({name: out})

    encoder.patch_embed.register_forward_hook(keep("patch_embed"))
    for index, block in enumerate(encoder.blocks):
        block.register_forward_hook(keep(f"block{index}"))
    with torch.no_grad():
        found["out"] = encoder(image)
    return found


def padded_form(
    state: dict[str, Tensor], config: SamMed3DConfig, image: Tensor
) -> dict[str, Tensor]:
    x = padded_encoder.patch_embed(state, config, image)
    found = {"patch_embed": x}
    x = x + state["pos_embed"]
    for index in range(config.depth):
        x = padded_encoder.block(state, config, index, x)
        found[f"block{index}"] = x
    return found | {"out": padded_encoder.padded_encode(state, config, image)}


@pytest.mark.parametrize("encode", [short_form, padded_form])
@pytest.mark.parametrize(
    ("variant", "weights", "io"),
    [
        ("tinyA", "tinyA_weights_fp16.npz", "tinyA_io.npz"),
        ("tinyB", "tinyB_encoder_weights_fp16.npz", "tinyB_encoder_io.npz"),
    ],
)
def test_every_stage_equals_the_official_encoder(
    encode: Encode, variant: str, weights: str, io: str
) -> None:
    image = golden.arrays("tinyA_io.npz")["in.image"]
    expected = golden.part(golden.arrays(io), "out.enc")
    state = golden.part(golden.arrays(weights), "image_encoder")

    found = encode(state, golden.config(variant), image)

    assert found.keys() == expected.keys()
    for stage, value in expected.items():
        torch.testing.assert_close(found[stage], value, atol=1e-4, rtol=0, msg=stage)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_short_form_is_the_padded_form_at_the_official_geometry(seed: int) -> None:
    # One windowed and one global block of vit_b: twelve would only repeat them.
    config = replace(SamMed3DConfig.vit_b(), depth=2, global_blocks=(1,))
    encoder = _randomised(ImageEncoder(config), seed)
    image = torch.randn(1, 1, 128, 128, 128)

    with torch.no_grad():
        expected = padded_encoder.padded_encode(encoder.state_dict(), config, image)
        found = encoder(image)

    assert expected.abs().max() > 1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("grid", "window"),
    [(4, 5), (4, 7), (3, 6), (1, 2), (4, 4), (4, 3), (5, 2)],
    ids=lambda value: str(value),
)
def test_the_short_form_is_the_padded_form_at_any_grid_and_window(grid: int, window: int) -> None:
    config = replace(
        SamMed3DConfig(),
        image_size=4 * grid,
        patch_size=4,
        embed_dim=24,
        depth=2,
        num_heads=3,
        window_size=window,
        global_blocks=(1,),
        prompt_dim=12,
    )
    encoder = _randomised(ImageEncoder(config), grid * 10 + window)
    image = torch.randn(2, 1, 4 * grid, 4 * grid, 4 * grid)

    with torch.no_grad():
        expected = padded_encoder.padded_encode(encoder.state_dict(), config, image)
        found = encoder(image)

    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_the_short_form_survives_extreme_position_tables() -> None:
    config = replace(
        golden.config("tinyB"), image_size=16, patch_size=4, embed_dim=16, prompt_dim=12
    )
    encoder = _randomised(ImageEncoder(config), 5)
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        for axis in "dhw":
            getattr(encoder.blocks[0].attn, f"rel_pos_{axis}").mul_(40)
        expected = padded_encoder.padded_encode(encoder.state_dict(), config, image)
        found = encoder(image)

    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_gradients_flow_through_the_short_form() -> None:
    config = replace(
        golden.config("tinyB"), image_size=16, patch_size=4, embed_dim=16, prompt_dim=12
    )
    encoder = _randomised(ImageEncoder(config), 6)
    image = torch.randn(1, 1, 16, 16, 16)
    weight = torch.randn(1, 12, 4, 4, 4)

    def gradients(out: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad((out * weight).sum(), state)

    named = dict(encoder.named_parameters())
    short = gradients(encoder(image), list(named.values()))
    plain = gradients(
        padded_encoder.padded_encode(dict(named), config, image), list(named.values())
    )
    for name, a, b in zip(named, short, plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3, msg=name)


def _randomised(encoder: ImageEncoder, seed: int) -> ImageEncoder:
    """Random tables and biases too: the initial ones are zero and would hide mistakes."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "rel_pos" in name or "pos_embed" in name or name.endswith("bias"):
                parameter.normal_(0, 0.5)
    return encoder
