"""The decoders' inputs."""

import numpy as np
import pytest

from sammoe.engine import decoder_inputs
from sammoe.volume.window import WindowRule

RULE = WindowRule(
    side=32, patch=8, spacings=(1.5,), default_spacing={"CT": 1.5, "MR": 1.5, "unknown": 1.5}
)


def test_points_get_one_padding_token() -> None:
    inputs = decoder_inputs([[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]], [1, 0], None, None, RULE)
    np.testing.assert_array_equal(inputs.coords, [[[1, 2, 3], [4, 5, 6.5], [0, 0, 0]]])
    np.testing.assert_array_equal(inputs.labels, [[1, 0, -1]])
    assert inputs.coords.dtype == np.float32
    assert inputs.labels.dtype == np.int32


def test_box_is_two_corners_and_no_padding() -> None:
    inputs = decoder_inputs([[1, 2, 3]], [1], ([4, 5, 6], [7, 8, 9]), None, RULE)
    np.testing.assert_array_equal(inputs.coords, [[[1, 2, 3], [4, 5, 6], [7, 8, 9]]])
    np.testing.assert_array_equal(inputs.labels, [[1, 2, 3]])


def test_box_is_clipped_to_the_window_faces() -> None:
    inputs = decoder_inputs([], [], ([-40, 5, -0.5], [70, 8, 31.5]), None, RULE)
    np.testing.assert_array_equal(inputs.coords, [[[-0.5, 5, -0.5], [31.5, 8, 31.5]]])


def test_no_prior_is_all_zero() -> None:
    mask = decoder_inputs([[0, 0, 0]], [1], None, None, RULE).mask
    assert mask.shape == (1, 1, 16, 16, 16)
    assert mask.dtype == np.float32
    assert not mask.any()


def test_prior_alone_is_a_padding_token() -> None:
    prior = np.arange(16**3, dtype=np.float32).reshape(16, 16, 16)
    inputs = decoder_inputs([], [], None, prior, RULE)
    np.testing.assert_array_equal(inputs.labels, [[-1]])
    np.testing.assert_array_equal(inputs.mask[0, 0], prior)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 points but 1 labels"):
        decoder_inputs([[1, 2, 3], [4, 5, 6]], [1], None, None, RULE)
    with pytest.raises(ValueError, match=r"wants \(16, 16, 16\)"):
        decoder_inputs([], [], None, np.zeros((8, 8, 8), np.float32), RULE)
