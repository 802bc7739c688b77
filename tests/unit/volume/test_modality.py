from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.volume.modality import guess_modality

RNG = np.random.default_rng(11)
SHAPE = (40, 41, 42)


def mixture(*parts: tuple[float, float, float], dtype: str = "i2") -> NDArray[Any]:
    """Voxels of several tissues: (share, mean, deviation) each."""
    shares = np.array([part[0] for part in parts])
    kind = RNG.choice(len(parts), size=SHAPE, p=shares / shares.sum())
    means = np.array([part[1] for part in parts])[kind]
    spreads = np.array([part[2] for part in parts])[kind]
    return np.asarray(RNG.normal(means, spreads)).round().astype(dtype)


AIR, LUNG, FAT, SOFT, BONE = (-1000, 10), (-850, 40), (-100, 20), (40, 30), (500, 200)
BODY = mixture((3, *AIR), (1, *LUNG), (2, *FAT), (4, *SOFT), (1, *BONE))


def test_a_body_in_hounsfield_units_is_ct() -> None:
    assert guess_modality(BODY) == "CT"
    assert guess_modality(BODY.astype(np.float32)) == "CT"
    assert guess_modality(np.asfortranarray(BODY)) == "CT"


@pytest.mark.parametrize("padding", [-1024, -2000, -3024, -32768])
def test_padding_does_not_hide_a_ct(padding: int) -> None:
    padded = BODY.copy()
    padded[:8] = padding
    assert guess_modality(padded) == "CT"


@pytest.mark.parametrize(
    "voxels",
    [
        mixture((5, 5, 2), (3, 300, 60), (3, 600, 80)).clip(0),
        (mixture((5, 5, 2), (3, 90, 20), (3, 150, 20))).clip(0, 255).astype(np.uint8),
        RNG.random(SHAPE).astype(np.float32),
        # An interpolated one that rings below 0.
        mixture((50, 0, 6), (30, 400, 80), (30, 700, 80), dtype="f4"),
        # A bright one, part of which falls among an offset CT's tissues.
        mixture((3, 600, 200), (3, 1200, 300), (3, 1900, 200)).clip(0),
    ],
)
def test_magnitudes_are_mr(voxels: NDArray[Any]) -> None:
    assert guess_modality(voxels) == "MR"


@pytest.mark.parametrize(
    "voxels",
    [
        # Offset of 1024 left in.
        (BODY + 1024).clip(0),
        # Soft tissue alone, no air to tell by.
        mixture((2, *FAT), (4, *SOFT)),
        # Standardised intensities.
        RNG.normal(size=SHAPE).astype(np.float32),
        # A difference image: as deep as air, but not with one floor.
        (RNG.normal(0, 900, SHAPE)).astype(np.int16),
    ],
)
def test_what_is_unclear_is_unknown(voxels: NDArray[Any]) -> None:
    assert guess_modality(voxels) == "unknown"


def test_a_large_volume_is_sampled() -> None:
    large = np.tile(BODY, (4, 4, 4))
    assert guess_modality(large) == "CT"
