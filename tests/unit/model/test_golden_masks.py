"""Prompt encoder and mask decoder against the official ones, prompt case by prompt case."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sammoe.model import SamMed3D, build_sam_med3d
from tests.unit.model import golden

IO = golden.arrays("tinyA_io.npz")
BOX_IO = golden.arrays("tinyA_box_cvpr25_io.npz")
CASES: dict[str, dict[str, Any]] = golden.arguments()["cases"]


@pytest.fixture(scope="module")
def tiny() -> SamMed3D:
    model = build_sam_med3d(golden.config("tinyA"))
    model.load_state_dict(golden.arrays("tinyA_weights_fp16.npz"))
    return model.eval()


@pytest.fixture(scope="module")
def tiny_with_boxes() -> SamMed3D:
    model = build_sam_med3d(golden.config("tinyA", box_embeddings=True))
    extra = golden.part(BOX_IO, "w")
    model.load_state_dict(golden.arrays("tinyA_weights_fp16.npz") | extra)
    return model.eval()


def _mask(case: dict[str, Any]) -> Tensor | None:
    given = IO["in.mask_r"]
    masks = {
        None: None,
        "zeros": torch.zeros_like(given),
        "in.mask_r": given,
        "concat(in.mask_r,-in.mask_r)": torch.cat([given, -given]),
    }
    return masks[case["mask"]]


def _embedding(case: dict[str, Any]) -> Tensor:
    out = IO["out.enc.out"]
    return out if case["image_embedding"] == "enc.out" else torch.cat([out, out.flip(2)])


def _prompt(case: dict[str, Any], model: SamMed3D) -> tuple[Tensor, Tensor]:
    points = None
    if case["points"] is not None:
        points = (torch.tensor(case["points"]), torch.tensor(case["labels"]))
    found: tuple[Tensor, Tensor] = model.prompt_encoder(
        points=points, boxes=None, masks=_mask(case)
    )
    return found


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_every_prompt_case(tiny: SamMed3D, name: str) -> None:
    expected = golden.part(IO, f"out.{name}")
    case = CASES[name]
    sparse, dense = _prompt(case, tiny)
    given = {
        "image_embeddings": _embedding(case),
        "image_pe": tiny.prompt_encoder.get_dense_pe(),
        "sparse_prompt_embeddings": sparse,
        "dense_prompt_embeddings": dense,
    }
    lowres, iou = tiny.mask_decoder(**given, multimask_output=False)
    lowres_multi, iou_multi = tiny.mask_decoder(**given, multimask_output=True)
    state = tiny.mask_decoder.decode_tokens(*given.values())
    found = {
        "sparse": sparse,
        "dense": dense,
        "lowres": lowres,
        "iou": iou,
        "lowres_multi": lowres_multi,
        "iou_multi": iou_multi,
        "dec_tokens": state.tokens,
        "dec_src": state.image_tokens,
        "up32": F.interpolate(lowres, scale_factor=2, mode="trilinear", align_corners=False),
    }

    for stage, value in expected.items():
        tolerance = 5e-4 if stage.startswith(("lowres", "up32")) else 1e-4
        torch.testing.assert_close(found[stage], value, atol=tolerance, rtol=0, msg=stage)


@torch.no_grad()
def test_the_dense_position_has_its_axes_as_trained(tiny: SamMed3D) -> None:
    found = tiny.prompt_encoder.get_dense_pe()

    torch.testing.assert_close(found, IO["out.image_pe"], atol=1e-4, rtol=0)
    assert (found.transpose(2, 3) - IO["out.image_pe"]).abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("name", ["box", "box_mask", "box_p2_mask"])
def test_every_box_case(tiny_with_boxes: SamMed3D, name: str) -> None:
    model, expected = tiny_with_boxes, golden.part(BOX_IO, f"out.{name}")
    sparse, dense = model.prompt_encoder(
        points=(BOX_IO["in.pts"], BOX_IO["in.lab"]) if "p2" in name else None,
        boxes=BOX_IO["in.box"],
        masks=IO["in.mask_r"] if "mask" in name else None,
    )
    lowres, iou = model.mask_decoder(
        image_embeddings=IO["out.enc.out"],
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )

    torch.testing.assert_close(sparse, expected["sparse"], atol=1e-4, rtol=0)
    torch.testing.assert_close(lowres, expected["lowres"], atol=5e-4, rtol=0)
    torch.testing.assert_close(iou, expected["iou"], atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_flat_prompt_is_the_official_call_with_padding_written_out(
    tiny_with_boxes: SamMed3D,
) -> None:
    encoder, mask = tiny_with_boxes.prompt_encoder, IO["in.mask_r"]
    points, labels, box = BOX_IO["in.pts"], BOX_IO["in.lab"], BOX_IO["in.box"]

    padded = encoder.embed_prompt(
        torch.cat([points, torch.zeros(1, 1, 3)], 1),
        torch.cat([labels, torch.tensor([[-1]])], 1),
        mask,
    )
    boxed = encoder.embed_prompt(
        torch.cat([points, box.reshape(1, 2, 3)], 1),
        torch.cat([labels, torch.tensor([[2, 3]])], 1),
        mask,
    )

    torch.testing.assert_close(padded, encoder((points, labels), None, mask))
    torch.testing.assert_close(boxed, encoder((points, labels), box, mask))


@torch.no_grad()
def test_one_embedding_serves_several_prompts(tiny: SamMed3D) -> None:
    case = CASES["b2_p6_mask"]
    sparse, dense = _prompt(case, tiny)
    image_pe = tiny.prompt_encoder.get_dense_pe()
    image = IO["out.enc.out"]

    shared, _ = tiny.mask_decoder(image, image_pe, sparse, dense)
    repeated, _ = tiny.mask_decoder(torch.cat([image, image]), image_pe, sparse, dense)

    torch.testing.assert_close(shared, repeated, atol=0, rtol=0)
