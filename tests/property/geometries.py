"""Geometries of every kind that scanners and converters write."""

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sammoe.volume.geometry import Geometry
from sammoe.volume.window import WindowRule

RULE = WindowRule(
    side=24,
    patch=8,
    spacings=(1.5, 3.0, 4.5),
    default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
)
SPACINGS = st.sampled_from(RULE.spacings)
UNIT = st.floats(0, 1)

_orders = st.permutations(range(3))
_flips = st.tuples(*[st.sampled_from((1, -1))] * 3)
_steps = st.tuples(*[st.floats(0.3, 6.0)] * 3)
_sides = st.one_of(st.just(1), st.integers(1, 80))


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """One of the 48 axis orders and flips, turned, tilted, anisotropic, with 1 to 80 voxels."""
    axes = np.eye(3)
    if draw(st.booleans()):
        axes[:, 2] += np.tan(np.radians(draw(st.floats(-30, 30)))) * axes[:, 1]
        axes[:, 2] /= np.linalg.norm(axes[:, 2])
    # Up to 30 degrees off in all: the nearest canonical order is then the one drawn.
    turn = Rotation.from_rotvec(draw(st.tuples(*[st.floats(-0.15, 0.15)] * 3)))
    axes = turn.as_matrix() @ axes
    affine = np.eye(4)
    affine[:3, :3] = (axes * draw(_flips))[:, draw(_orders)] * draw(_steps)
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    shape = draw(st.tuples(_sides, _sides, _sides))
    return Geometry(shape, affine)
