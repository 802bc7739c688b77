import pytest

from sammoe.errors import HeaderInvalid, TooLarge
from sammoe.volume.limits import ReadLimits

LIMITS = ReadLimits(max_voxels=1000, max_bytes=2000)


def test_what_fits_is_counted() -> None:
    assert LIMITS.admit((10, 10, 10), 2) == 2000
    assert ReadLimits().admit((512, 512, 1500), 2) == 512 * 512 * 1500 * 2


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, -5, 1), (1, 1, 32768)])
def test_impossible_sizes_are_the_header_s_fault(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(HeaderInvalid, match="within 1"):
        LIMITS.admit(sizes, 1)


@pytest.mark.parametrize(("sizes", "itemsize"), [((10, 10, 11), 1), ((10, 10, 10), 4)])
def test_more_than_allowed_is_too_large(sizes: tuple[int, int, int], itemsize: int) -> None:
    with pytest.raises(TooLarge, match="at most"):
        LIMITS.admit(sizes, itemsize)


def test_the_default_refuses_the_largest_lie() -> None:
    with pytest.raises(TooLarge):
        ReadLimits().admit((32767, 32767, 32767), 1)
