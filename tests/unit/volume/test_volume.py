import numpy as np
import pytest

from sammoe.errors import HeaderInvalid
from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, ModalitySource, Volume
from tests.unit.volume.shapes import volume_of

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def test_shape_must_match_the_geometry() -> None:
    with pytest.raises(HeaderInvalid, match="shape"):
        Volume(VOXELS, Geometry((4, 3, 2), np.eye(4)), Modality.CT, ModalitySource.USER)


def test_digest_does_not_depend_on_layout_or_modality() -> None:
    digest = volume_of(VOXELS).content_digest()
    assert len(digest) == 64
    assert volume_of(np.asfortranarray(VOXELS)).content_digest() == digest
    assert volume_of(VOXELS, modality="CT").content_digest() == digest
    assert volume_of(VOXELS.astype(">i2")).content_digest() == digest


def test_digest_takes_minus_zero_for_zero() -> None:
    affine = np.eye(4)
    affine[0, 1] = -0.0
    assert volume_of(VOXELS, affine).content_digest() == volume_of(VOXELS).content_digest()


@pytest.mark.fault("S30")
def test_digest_changes_with_voxels_affine_dtype_and_shape() -> None:
    other = VOXELS.copy()
    other[1, 2, 3] += 1
    moved = np.eye(4)
    moved[0, 3] = 1e-9
    digests = {
        volume_of(VOXELS).content_digest(),
        volume_of(other).content_digest(),
        volume_of(VOXELS, moved).content_digest(),
        volume_of(VOXELS.astype(np.uint16)).content_digest(),
        volume_of(VOXELS.reshape(2, 4, 3)).content_digest(),
    }
    assert len(digests) == 5
