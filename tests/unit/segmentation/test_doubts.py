"""What makes an answer doubtful."""

from typing import Any

import numpy as np
import pytest

from sammoe.bundle import Bundle
from sammoe.engine import Route
from sammoe.segmentation.doubts import Ends, doubts
from sammoe.store import LocalStore, PromptRecord, VolumeRecord
from sammoe.volume.paste import Pasted, cut
from sammoe.volume.volume import Modality
from sammoe.volume.window import Window
from tests.bundles import write_test_bundle
from tests.records import volume_record

SHAPE = (100, 40, 90)
WINDOW = Window(1.5, (20, -3, 10), 32)
"""Of the volume's voxels of 1 mm: i from 30 to 77, all of j, k from 15 to 62."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """``cord`` is for MR, and there are limits."""
    return write_test_bundle(
        tmp_path_factory.mktemp("bundle"),
        experts=("cord", "lesion"),
        modalities={"cord": ("MR",)},
        agreement=0.6,
        distance=1.0,
    )


@pytest.fixture
def volume(store: LocalStore) -> VolumeRecord:
    return volume_record(store, shape=SHAPE)


def block(lo: tuple[int, int, int], hi: tuple[int, int, int]) -> Pasted:
    """A mask that fills a box, last voxel included."""
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(a, b + 1) for a, b in zip(lo, hi, strict=True))] = True
    return cut(mask)


GOOD = block((40, 0, 20), (60, 39, 50))
CLICK = PromptRecord(points=((50.0, 20.0, 30.0),), labels=(1,))


def codes(volume: VolumeRecord, bundle: Bundle, **changes: Any) -> list[str]:
    route = changes.pop("route", Route(used="general"))
    pasted, prompt = changes.pop("pasted", GOOD), changes.pop("prompt", CLICK)
    ends = changes.pop("ends", Ends.of_window(volume, prompt, WINDOW, pasted))
    found = doubts(volume, prompt, ends, pasted, route, bundle, **changes)
    assert all(doubt.detail.endswith(".") for doubt in found)
    return [doubt.code for doubt in found]


def test_good_answer_raises_no_doubt(volume: VolumeRecord, bundle: Bundle) -> None:
    assert codes(volume, bundle) == []
    # It may end where the volume does.
    assert codes(volume, bundle, pasted=block((31, 0, 16), (76, 39, 61))) == []


def test_unknown_modality(volume: VolumeRecord, bundle: Bundle) -> None:
    unknown = volume.model_copy(update={"modality": Modality.UNKNOWN})
    assert codes(unknown, bundle) == ["modality_unknown"]
    assert codes(unknown, bundle, route=Route(used="cord")) == ["modality_unknown"]


def test_expert_that_was_not_trained_on_the_modality(volume: VolumeRecord, bundle: Bundle) -> None:
    ct = volume.model_copy(update={"modality": Modality.CT})
    assert codes(ct, bundle, route=Route(used="cord")) == ["modality_untrained"]
    assert codes(ct, bundle, route=Route(used="lesion", fused=True)) == []
    assert codes(ct, bundle, route=Route(used="general", top="cord")) == []
    assert codes(volume, bundle, route=Route(used="cord")) == []


def test_empty_mask_and_its_unmet_click(volume: VolumeRecord, bundle: Bundle) -> None:
    nothing = cut(np.zeros(SHAPE, bool))
    assert codes(volume, bundle, pasted=nothing) == ["mask_empty", "prompt_not_met"]
    box = PromptRecord(box=((40.0, 5.0, 20.0), (60.0, 30.0, 50.0)))
    assert codes(volume, bundle, pasted=nothing, prompt=box) == ["mask_empty"]


@pytest.mark.parametrize(("last", "found"), [(77.0, []), (78.0, ["box_clipped"])])
def test_box_beyond_the_window(
    volume: VolumeRecord, bundle: Bundle, last: float, found: list[str]
) -> None:
    box = PromptRecord(box=((40.0, 5.0, 20.0), (last, 30.0, 50.0)))
    assert codes(volume, bundle, prompt=box) == found


@pytest.mark.parametrize(
    ("lo", "hi", "is_cut"),
    [
        ((30, 10, 20), (60, 30, 50), True),
        ((31, 10, 20), (76, 30, 50), False),
        ((40, 10, 20), (77, 30, 50), True),
        ((40, 10, 15), (60, 30, 50), True),
        ((40, 10, 20), (60, 30, 62), True),
        ((40, 0, 20), (60, 39, 50), False),
    ],
)
def test_mask_at_a_face_of_the_window(
    volume: VolumeRecord,
    bundle: Bundle,
    lo: tuple[int, int, int],
    hi: tuple[int, int, int],
    is_cut: bool,
) -> None:
    found = codes(volume, bundle, pasted=block(lo, hi), prompt=PromptRecord())
    assert found == ["cut_by_window"] * is_cut


def test_faces_are_found_whatever_the_axes(store: LocalStore, bundle: Bundle) -> None:
    # Source axes: i to the left, j up, k to the front.
    affine = ((-1.0, 0.0, 0.0, 100.0), (0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0, 0, 0, 1.0))
    volume = volume_record(store, shape=(100, 90, 40), affine=affine)
    mask = np.zeros((100, 90, 40), bool)
    mask[40:60, 20:50, 0:40] = True
    assert codes(volume, bundle, pasted=cut(mask), prompt=PromptRecord()) == []
    # The window reaches from 30 to 77 of the other end.
    mask[22:60] |= mask[40]
    assert codes(volume, bundle, pasted=cut(mask), prompt=PromptRecord()) == ["cut_by_window"]


@pytest.mark.parametrize(
    ("point", "label", "met"),
    [
        ((40.0, 20.0, 30.0), 1, True),
        ((39.5, 20.0, 30.0), 1, True),
        ((39.4, 20.0, 30.0), 1, False),
        ((60.0, -0.5, 50.0), 1, True),
        ((61.0, 20.0, 30.0), 1, False),
        ((61.0, 20.0, 30.0), 0, True),
        ((50.0, 20.0, 30.0), 0, False),
    ],
)
def test_point_on_the_wrong_side(
    volume: VolumeRecord, bundle: Bundle, point: Any, label: Any, met: bool
) -> None:
    prompt = PromptRecord(points=(*CLICK.points, point), labels=(1, label))
    assert codes(volume, bundle, prompt=prompt) == ["prompt_not_met"] * (not met)


def test_limits_of_the_route(volume: VolumeRecord, bundle: Bundle) -> None:
    far = Route(used="cord", fused=True, top="cord", agreement=0.59, distance=1.01)
    assert codes(volume, bundle, route=far) == ["candidates_disagree", "far_from_training"]
    near = Route(used="cord", fused=True, top="cord", agreement=0.6, distance=1.0)
    assert codes(volume, bundle, route=near) == []


def test_without_limits_the_route_raises_no_doubt(
    volume: VolumeRecord, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    unlimited = write_test_bundle(tmp_path_factory.mktemp("unlimited"))
    far = Route(used="general", top="cord", agreement=0.0, distance=99.0)
    assert codes(volume, unlimited, route=far) == []


def test_an_expert_that_gave_no_mask(volume: VolumeRecord, bundle: Bundle) -> None:
    failed = Route(used="general", top="cord", s_top=0.9, check="failed")
    assert codes(volume, bundle, route=failed) == ["expert_failed"]


def test_a_parent_of_another_bundle_is_told(volume: VolumeRecord, bundle: Bundle) -> None:
    assert codes(volume, bundle, parent_bundle=bundle.digest) == []
    assert codes(volume, bundle, parent_bundle="0" * 64) == ["bundle_changed"]
