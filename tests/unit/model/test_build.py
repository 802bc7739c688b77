import json
from typing import Any

import pytest
import torch

from sammoe.model import SamMed3DConfig, build_sam_med3d
from sammoe.model.detail import PROMPT_MAPS
from tests.unit.model.golden import FOLDER


def test_vit_b_has_the_official_keys_shapes_and_types() -> None:
    official = json.loads((FOLDER / "state_dict_vit_b_ori.json").read_text())
    with torch.device("meta"):
        state = build_sam_med3d(SamMed3DConfig.vit_b()).state_dict()

    assert len(official) == 324
    found = {
        key: {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
        for key, value in state.items()
    }
    assert found == official


def test_box_embeddings_add_two_keys() -> None:
    with torch.device("meta"):
        plain = build_sam_med3d(SamMed3DConfig.vit_b()).state_dict()
        boxed = build_sam_med3d(SamMed3DConfig.vit_b(box_embeddings=True)).state_dict()

    assert boxed.keys() - plain.keys() == {
        f"prompt_encoder.point_embeddings.{label}.weight" for label in (2, 3)
    }


def test_the_small_model_refines_at_low_res_scale() -> None:
    config = SamMed3DConfig.small()
    model = build_sam_med3d(config).eval()
    image = torch.randn(1, 1, config.image_size, config.image_size, config.image_size)
    with torch.no_grad():
        embedding = model.image_encoder(image)
        sparse, dense = model.prompt_encoder(
            points=(torch.full((2, 1, 3), 20.0), torch.ones(2, 1, dtype=torch.long)),
            boxes=None,
            masks=torch.zeros(2, 1, config.cells, config.cells, config.cells),
        )
        logits, iou = model.mask_decoder(
            embedding, model.prompt_encoder.get_dense_pe(), sparse, dense
        )

    assert embedding.shape == (1, config.embedding_channels, *[config.grid] * 3)
    assert logits.shape == (2, 1, *[config.cells] * 3)
    assert iou.shape == (2, 1)


@torch.no_grad()
def test_the_small_model_takes_a_prompt_without_points_or_without_mask() -> None:
    config = SamMed3DConfig.small()
    encoder = build_sam_med3d(config).prompt_encoder.eval()
    mask = torch.zeros(1, 1, config.cells, config.cells, config.cells)
    point = (torch.full((1, 1, 3), 20.0), torch.ones(1, 1, dtype=torch.long))

    sparse, dense = encoder(points=None, boxes=None, masks=mask)
    assert sparse.shape == (1, 0, config.prompt_dim)
    assert dense.shape == (1, config.prompt_dim + 64 * PROMPT_MAPS, *[config.grid] * 3)
    assert not dense[:, config.prompt_dim :].any()

    _, without = encoder(points=point, boxes=None, masks=None)
    _, zeros = encoder(points=point, boxes=None, masks=mask)
    assert torch.equal(without[:, config.prompt_dim :], zeros[:, config.prompt_dim :])
    assert without[:, config.prompt_dim :].any()


def test_a_config_survives_plain_json() -> None:
    for config in (SamMed3DConfig.vit_b(box_embeddings=True), SamMed3DConfig.small()):
        assert SamMed3DConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": 15}, "does not divide"),
        ({"prompt_dim": 100}, "multiple of 3"),
        ({"patch_size": 0}, "patch_size is 0, not a number from 1"),
        ({"image_size": 10**30}, "image_size is 1000"),
        ({"depth": 10**9}, "depth is 1000"),
        ({"detail_channels": -1}, "detail_channels is -1, not a number from 0"),
        ({"embed_dim": "768"}, "embed_dim is '768'"),
        ({"num_heads": 5}, "num_heads 5 does not divide"),
        ({"window_size": 0}, "not every block"),
        ({"fourier_scale": 10**30}, "fourier_scale is 1000"),
        ({"detail_channels": 8, "patch_size": 2}, "multiple of 4"),
        ({"detail_channels": 8, "image_size": 48}, "even token grid"),
    ],
)
def test_impossible_configs_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamMed3DConfig(**change)
