import numpy as np
import pytest

from sammoe.errors import NoForeground
from sammoe.volume.voxels import check_voxels, to_native

STORED = np.asfortranarray(np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize("name", ["u1", "i1", "<i2", ">i2", ">u2", "<i4", ">u4"])
def test_unscaled_integers_keep_their_type(name: str) -> None:
    got = to_native(STORED.astype(name))
    assert got.dtype == np.dtype(name).newbyteorder("=")
    assert got.dtype.isnative
    assert np.array_equal(got, STORED)


@pytest.mark.parametrize("name", ["<f4", ">f4", "<f8", "<i8", ">u8"])
def test_all_else_becomes_float32(name: str) -> None:
    got = to_native(STORED.astype(name))
    assert got.dtype == np.float32
    assert got.flags.f_contiguous
    assert np.array_equal(got, STORED)


def test_scaling_is_exact_to_float32() -> None:
    stored = STORED.astype(np.uint16) + 60000
    got = to_native(stored, 0.1, -1024.0)
    assert got.dtype == np.float32
    assert np.array_equal(got, (stored * 0.1 - 1024.0).astype(np.float32))


def test_what_float32_can_not_hold_becomes_infinite() -> None:
    got = to_native(np.full((1, 1, 2), 1e300))
    assert np.isinf(got).all()


@pytest.mark.fault("S14")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 0], "equal"),
        ([7, 7], "equal"),
        ([-5, -3], "above 0"),
        ([-5, 0], "above 0"),
        ([1.0, np.nan], "NaN"),
        ([np.nan, np.nan], "NaN"),
        ([1.0, np.inf], "Inf"),
        ([1.0, -np.inf], "Inf"),
        ([1.0, 1e38], "large"),
        ([1.0, -1e38], "large"),
    ],
)
def test_nothing_to_segment_is_refused(values: list[float], message: str) -> None:
    with pytest.raises(NoForeground, match=message):
        check_voxels(np.array(values, dtype=np.float32).reshape(1, 1, 2))


def test_a_scan_passes() -> None:
    check_voxels(np.array([-1000, 3], dtype=np.int16).reshape(1, 2, 1))
