"""Whose mask is there to look at beside the best expert's."""

from pathlib import Path

import pytest

from sammoe.bundle import Manifest
from sammoe.engine import Route
from sammoe.segmentation.rivals import rival_of
from sammoe.volume.volume import Modality
from tests.bundles import write_test_bundle

SCORES = {"cord": 0.9, "lesion": 0.2, "liver": 0.8}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """``liver`` is for CT alone."""
    folder = tmp_path_factory.mktemp("bundle")
    return write_test_bundle(folder, experts=tuple(SCORES), modalities={"liver": ("CT",)}).manifest


@pytest.mark.parametrize(
    ("modality", "top", "expected"),
    [
        (Modality.CT, "cord", "liver"),
        (Modality.UNKNOWN, "cord", "liver"),
        (Modality.MR, "cord", "lesion"),
        # With a box, where the mask of the second-best fitted it better.
        (Modality.CT, "liver", "cord"),
        # No expert was for the scan, or no gate was asked.
        (Modality.CT, None, None),
    ],
)
def test_rival_has_the_best_score_beside_the_top_expert(
    manifest: Manifest, modality: Modality, top: str | None, expected: str | None
) -> None:
    route = Route("general", scores=SCORES, top=top, s_top=0.9)
    assert rival_of(route, manifest, modality) == expected


def test_an_expert_alone_has_no_rival(tmp_path: Path) -> None:
    alone = write_test_bundle(tmp_path / "bundle", experts=("cord",)).manifest
    assert rival_of(Route("general", scores={"cord": 0.9}, top="cord"), alone, Modality.CT) is None
