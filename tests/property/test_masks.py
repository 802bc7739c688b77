"""A mask survives the prior and the paste, the packed form and the files."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.nifti import read_nifti, write_nifti
from sammoe.volume.nrrd import read_nrrd, write_nrrd
from sammoe.volume.packed import pack, unpack
from sammoe.volume.paste import cut, paste
from sammoe.volume.prior import mask_to_logits
from sammoe.volume.volume import Modality
from sammoe.volume.window import WindowRule, window_for_point
from tests.property.geometries import geometries

OFFICIAL = WindowRule(128, 16, (1.5,), {"CT": 1.5, "MR": 1.5, "unknown": 1.5})
MASKS = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=9))


def ball_overlap(geometry: Geometry, centre: tuple[float, ...], radius_mm: float) -> float:
    """Dice of a ball with what comes back of it from logits; ``centre`` is a source index."""
    axes = np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij")
    index = np.stack(axes, axis=-1).reshape(-1, 3)
    middle = geometry.index_to_ras(np.array([centre]))
    distance = np.linalg.norm(geometry.index_to_ras(index) - middle, axis=1)
    mask = (distance <= radius_mm).reshape(geometry.shape)
    window = window_for_point(geometry, centre, Modality.MR, OFFICIAL)
    logits = mask_to_logits(mask, window, geometry, OFFICIAL)
    back = paste(logits, window, geometry).full(geometry.shape).astype(np.bool_)
    return 2 * np.count_nonzero(back & mask) / (np.count_nonzero(back) + np.count_nonzero(mask))


@pytest.mark.fault("S09")
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_20_mm_ball_at_1_mm_overlaps_its_source_in_all_48_orders(
    order: tuple[int, int, int],
) -> None:
    for flips in itertools.product((1, -1), repeat=3):
        affine = np.eye(4)
        affine[:3, :3] = (np.eye(3) * flips)[:, list(order)]
        geometry = Geometry((44, 46, 48), affine)
        assert ball_overlap(geometry, (21.3, 22.8, 23.1), 10) >= 0.97


@pytest.mark.fault("S09")
@settings(max_examples=25)
@given(st.tuples(*[st.floats(-6, 6)] * 3), st.tuples(*[st.floats(-0.4, 0.4)] * 3))
def test_a_20_mm_ball_overlaps_its_source_wherever_it_lies(
    shift: tuple[float, float, float], turn: tuple[float, float, float]
) -> None:
    # Oblique: a small rotation, made orthonormal.
    skew = np.array([[0, -turn[2], turn[1]], [turn[2], 0, -turn[0]], [-turn[1], turn[0], 0]])
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(np.eye(3) + skew)[0]
    centre = tuple(24 + step for step in shift)
    assert ball_overlap(Geometry((48, 49, 50), affine), centre, 10) >= 0.97


@given(MASKS, st.tuples(*[st.integers(0, 5)] * 3), st.tuples(*[st.integers(0, 5)] * 3))
def test_packing_and_unpacking_is_the_identity(
    mask: NDArray[np.bool_], before: tuple[int, int, int], after: tuple[int, int, int]
) -> None:
    whole = np.pad(mask, list(zip(before, after, strict=True)))
    geometry = Geometry((whole.shape[0], whole.shape[1], whole.shape[2]), np.eye(4))
    pasted, shape = unpack(pack(cut(whole), geometry))
    assert shape == whole.shape
    assert np.array_equal(pasted.full(shape).astype(np.bool_), whole)
    places = np.argwhere(whole)
    low, high = (places.min(axis=0), places.max(axis=0)) if len(places) else (np.zeros(3), -1)
    assert np.array_equal(pasted.offset, low)
    assert np.array_equal(np.add(pasted.offset, pasted.mask.shape) - 1, np.broadcast_to(high, 3))
    assert pasted.voxels == len(places)


@given(st.data(), geometries())
def test_files_keep_mask_and_affine(data: st.DataObject, geometry: Geometry) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    mask = rng.random(geometry.shape) > 0.5
    for written, read in ((write_nifti, read_nifti), (write_nrrd, read_nrrd)):
        back = read(io.BytesIO(written(mask, geometry)), ReadLimits())
        assert np.array_equal(back.voxels, mask)
        assert back.notes == ()
        # NIfTI-1 stores float32.
        np.testing.assert_allclose(back.geometry.affine, geometry.affine, rtol=1e-6, atol=1e-4)
