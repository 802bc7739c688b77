from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sammoe.errors import DataSetInvalid
from sammoe.model.image_encoder import ImageEncoder
from sammoe.training.datasets import Case, load_dataset
from sammoe.training.prepared import Prepared, RandomWindows, prepare, prepare_random
from sammoe.volume.crop import crop
from sammoe.volume.volume import Modality
from sammoe.volume.window import window_for_point
from tests.datasets import SHAPE, write_nnunet, write_scan
from tests.unit.training.small import CELLS, CONFIG, RULE, SIDE
from tests.windows import window_to_source

NAMES = ("anna", "bert", "cleo")


class Counting(ImageEncoder):
    """Knows how often it was asked."""

    calls = 0

    def forward(self, image: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(image)


@pytest.fixture
def encoder() -> Counting:
    torch.manual_seed(0)
    return Counting(CONFIG).eval()


@pytest.fixture
def cases(tmp_path: Path) -> tuple[Case, ...]:
    return load_dataset(write_nnunet(tmp_path / "clinic", NAMES)).cases


def made(encoder: ImageEncoder, cases: Sequence[Case], cache: Path, **given: Any) -> Prepared:
    settings: dict[str, Any] = {
        "classes": ["ball"],
        "rule": RULE,
        "windows": 4,
        "seed": 0,
        "augment": False,
        "title": "windows",
    }
    return prepare(encoder, cases, cache=cache, **(settings | given))


def made_random(
    encoder: ImageEncoder, cases: Sequence[Case], cache: Path, avoid: Sequence[str] = ()
) -> RandomWindows:
    return prepare_random(encoder, cases, RULE, windows=6, seed=0, cache=cache, avoid=avoid)


def equal(a: Prepared, b: Prepared) -> bool:
    names = ("embeddings", "targets", "clicks", "boxes", "boxed", "case")
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in names)


def cells_of(clicks: Tensor) -> tuple[Tensor, ...]:
    return tuple(((clicks + 0.5) * CELLS / SIDE).clamp(0, CELLS - 1).long().T)


@pytest.mark.parametrize("augment", [False, True])
def test_windows_show_the_target_where_clicks_and_boxes_say(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path, augment: bool
) -> None:
    prepared = made(encoder, cases, tmp_path / "cache", augment=augment, windows=6)
    g, e = CONFIG.grid, CONFIG.embedding_channels
    assert prepared.embeddings.shape == (len(prepared), e, g, g, g)
    assert prepared.embeddings.dtype == torch.float16
    assert prepared.targets.shape == (18, CELLS, CELLS, CELLS)
    assert prepared.boxed.tolist() == [False, True] * 9
    assert prepared.case.tolist() == [i // 6 for i in range(18)]
    assert prepared.names == NAMES
    for target, clicks, box in zip(prepared.targets, prepared.clicks, prepared.boxes, strict=True):
        assert ((clicks >= -0.5) & (clicks <= SIDE - 0.5)).all()
        assert ((clicks >= box[:3] - 1.01) & (clicks <= box[3:] + 1.01)).all()
        assert (target[cells_of(clicks)] > 0).float().mean() > 0.8
        full = torch.nonzero(target > 0.5) * SIDE / CELLS
        assert (full >= box[:3] - 1.01).all()
        assert (full <= box[3:] + 1.01).all()


def test_clicks_are_answered_by_serving_in_this_very_window(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    fine = dict.fromkeys(RULE.default_spacing, 1.5)
    rule = replace(RULE, spacings=(1.5, 6.0), default_spacing=fine)
    prepared = made(encoder, cases[:1], tmp_path, classes=["cube"], rule=rule, windows=8)
    image = cases[0].read_image()
    places = np.argwhere(cases[0].read_masks(image)["cube"]).tolist()
    windows = {window_for_point(image.geometry, p, image.modality, rule) for p in places}
    assert len(windows) > 1
    with torch.no_grad():
        shown = {w: encoder(torch.from_numpy(crop(image, w, rule)))[0].half() for w in windows}
    used = set()
    for row in (~prepared.boxed).nonzero()[:, 0].tolist():
        (window,) = (w for w, e in shown.items() if torch.equal(e, prepared.embeddings[row]))
        used.add(window)
        for index in window_to_source(image.geometry, window, prepared.clicks[row].numpy()):
            assert window_for_point(image.geometry, index, image.modality, rule) == window
    assert len(used) > 1


def test_a_second_call_reads_and_a_killed_one_goes_on(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    part = made(encoder, cases[:2], cache, augment=True)
    assert encoder.calls == 8
    whole = made(encoder, cases, cache, augment=True)
    assert encoder.calls == 12
    assert equal(whole, made(encoder, cases, cache, augment=True))
    assert encoder.calls == 12
    assert torch.equal(whole.embeddings[:8], part.embeddings)
    assert equal(whole, made(encoder, cases, tmp_path / "anew", augment=True))


@pytest.mark.parametrize("left", [0, 100, -1])
def test_a_damaged_file_is_told_of_and_made_again(
    encoder: Counting,
    cases: tuple[Case, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    left: int,
) -> None:
    whole = made(encoder, cases, tmp_path, augment=True)
    first, *_ = tmp_path.glob("*.safetensors")
    first.write_bytes(first.read_bytes()[:left])
    encoder.calls = 0
    for _ in range(2):
        assert equal(made(encoder, cases, tmp_path, augment=True), whole)
    assert encoder.calls == 4
    assert capsys.readouterr().err.count(f"{first} can not be read, and is made again") == 1


def test_without_augmentation_one_window_is_encoded_once(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    """These scans fit into one window at the default spacing."""
    made(encoder, cases, tmp_path)
    assert encoder.calls < 12


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"augment": True},
        {"windows": 2},
        {"classes": ["cube"]},
        {"classes": ["ball", "cube"]},
        {"rule": replace(RULE, default_spacing=dict.fromkeys(RULE.default_spacing, 6.0))},
    ],
)
def test_another_question_gets_other_windows(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path, other: dict[str, Any]
) -> None:
    first = made(encoder, cases[:1], tmp_path)
    assert not equal(first, made(encoder, cases[:1], tmp_path, **other))
    assert equal(first, made(encoder, cases[:1], tmp_path))


def test_changed_files_and_another_encoder_are_prepared_anew(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    first = made(encoder, cases[:1], tmp_path / "cache")
    voxels = np.random.default_rng(5).integers(1, 99, SHAPE, dtype=np.int16)
    write_scan(cases[0].image, voxels)
    second = made(encoder, cases[:1], tmp_path / "cache")
    assert torch.equal(first.targets, second.targets)
    assert not torch.equal(first.embeddings, second.embeddings)
    torch.manual_seed(1)
    third = made(Counting(CONFIG).eval(), cases[:1], tmp_path / "cache")
    assert not torch.equal(third.embeddings, second.embeddings)


def test_cases_without_the_target_are_skipped(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    only_cube = np.zeros(SHAPE, np.uint8)
    only_cube[3:6, 3:6, 3:6] = 2
    write_scan(cases[0].labels["ball"].path, only_cube)
    prepared = made(encoder, cases, tmp_path / "cache")
    assert set(prepared.case.tolist()) == {1, 2}
    assert equal(prepared, made(encoder, cases, tmp_path / "cache"))
    nothing = made(encoder, cases[:1], tmp_path / "cache")
    assert len(nothing) == 0
    assert len(made(encoder, (), tmp_path / "cache")) == 0


def test_a_scan_without_anything_to_see_is_named(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    write_scan(cases[1].image, np.zeros(SHAPE, np.int16))
    with pytest.raises(DataSetInvalid, match="bert_0000"):
        made(encoder, cases, tmp_path / "cache")


def test_a_target_in_the_dark_is_named(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    voxels = np.zeros(SHAPE, np.int16)
    voxels[0, 0, 0] = 9
    write_scan(cases[0].image, voxels)
    near = replace(
        RULE, spacings=(0.5, 1.0), default_spacing=dict.fromkeys(RULE.default_spacing, 0.5)
    )
    with pytest.raises(DataSetInvalid, match=r"anna_0000.*Nothing to see here"):
        made(encoder, cases[:1], tmp_path / "cache", rule=near)


def test_a_file_that_went_away_is_named(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    cases[2].image.unlink()
    with pytest.raises(DataSetInvalid, match="cleo_0000"):
        made(encoder, cases, tmp_path / "cache")


def test_batches_take_one_prompt_of_each_row(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    prepared = made(encoder, cases, tmp_path)
    rows = torch.tensor([5, 0, 5])
    embedding, batch = prepared.batch(rows, torch.Generator().manual_seed(0))
    assert embedding.dtype == batch.targets.dtype == torch.float32
    assert torch.equal(embedding, prepared.embeddings[rows].float())
    assert torch.equal(batch.targets, prepared.targets[rows].float())
    assert torch.equal(batch.boxes, prepared.boxes[rows])
    assert batch.boxed is not None
    assert batch.boxed.tolist() == [True, False, True]
    for click, places in zip(batch.clicks, prepared.clicks[rows], strict=True):
        assert (places == click).all(1).any()


def test_random_windows_point_at_the_body_outside_of_what_they_avoid(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    other = load_dataset(write_nnunet(tmp_path / "lab", ["dora"])).cases
    made_of = made_random(encoder, [*cases, *other], tmp_path / "cache", avoid=["ball"])
    assert len(made_of) == 24
    assert made_of.domains == ("clinic", "lab")
    assert made_of.domain.tolist() == [0] * 18 + [1] * 6
    assert made_of.foreground.dtype == torch.bool
    balls = made(encoder, [*cases, *other], tmp_path / "cache", windows=1)
    assert made_of.foreground.float().mean() > 0.2
    for clicks, foreground, case in zip(
        made_of.clicks, made_of.foreground, made_of.case.tolist(), strict=True
    ):
        assert foreground[cells_of(clicks)].float().mean() >= 0.5
        assert not (foreground & (balls.targets[case] > 0.99)).all()
    free = made_random(encoder, cases, tmp_path / "cache")
    assert free.foreground.sum() > made_of.foreground[:18].sum()


def test_scans_without_labels_can_give_random_windows(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    bare = [replace(case, labels={}) for case in cases[:1]]
    assert len(made_random(encoder, bare, tmp_path, avoid=["ball"])) == 6


def test_a_case_that_is_avoided_whole_gives_no_random_window(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    everywhere = np.ones(SHAPE, np.uint8)
    everywhere[0] = 2
    write_scan(cases[0].labels["ball"].path, everywhere)
    assert len(made_random(encoder, cases[:1], tmp_path / "cache", avoid=["ball", "cube"])) == 0


def test_the_body_of_ct_is_more_than_what_exceeds_water(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    hounsfield = np.full(SHAPE, -1000, np.int16)
    hounsfield[8:14, 8:14, 6:12] = -90  # fat
    hounsfield[10:12, 10:12, 8:10] = [40, 60]
    write_scan(cases[0].image, hounsfield)
    ct = replace(cases[0], modality=Modality.CT, labels={})
    found = made_random(encoder, [ct], tmp_path / "cache")
    millimetres = found.foreground[0].sum() * (RULE.spacings[0] * SIDE / CELLS) ** 3
    assert float(millimetres) == pytest.approx(12 * 12 * 18, rel=0.3)


def test_random_windows_without_anything_to_see_are_left_out(
    encoder: Counting, cases: tuple[Case, ...], tmp_path: Path
) -> None:
    hounsfield = np.full(SHAPE, -90, np.int16)
    hounsfield[0, 0, :2] = [40, 60]
    write_scan(cases[0].image, hounsfield)
    ct = replace(cases[0], modality=Modality.CT, labels={})
    near = replace(
        RULE, spacings=(0.5, 1.0), default_spacing=dict.fromkeys(RULE.default_spacing, 0.5)
    )
    assert len(prepare_random(encoder, [ct], near, windows=6, seed=0, cache=tmp_path)) < 3
