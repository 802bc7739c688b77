"""Boxes for decoders that have no embedding for them: as a click and a prior mask.

The official SAM-Med3D weights know points and masks only. A box is then shown to them as a positive
click in its middle and the mask that fits most structures best without looking: an ellipsoid in it.
"""

import numpy as np
from numpy.typing import NDArray

from sammoe.volume.window import WindowRule

PRIOR_LOGIT = 4.0
"""Logit of the prior well inside of the ellipsoid (98 %), its negative well outside.

As sure as the spoilt masks that decoders are trained to start from, and less than a mask which
somebody has looked at (see `sammoe.volume.prior.FULL_LOGIT`).
"""

_SHRINKAGE = 0.9
"""Half axes of the ellipsoid over the box's half sides: few structures fill theirs."""

_RAMP = 0.25
"""The logit goes from 0 to full over this share of the half axis, on either side."""


def box_as_click_and_prior(
    box: tuple[NDArray[np.float64], NDArray[np.float64]], rule: WindowRule
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Map a box to what every decoder knows.

    Parameters
    ----------
    box
        First and last voxel inside, float [3] each, window voxel index; what lies beyond the
        window's faces is cut off.
    rule
        Gives the window's side S and the logits' side L.

    Returns
    -------
    A positive click, float64 [3], window voxel index; and prior logits float32 [L, L, L], canonical
    axes, within +-`PRIOR_LOGIT`.
    """
    lo, hi = (np.clip(corner, -0.5, rule.side - 0.5) for corner in box)
    middle, cell = (lo + hi) / 2, rule.side / rule.cells
    # At least a cell a side, or a thin box would fall between the cells' centres.
    half = np.maximum(_SHRINKAGE * (hi - lo + 1) / 2, cell)
    centres = (np.arange(rule.cells) + 0.5) * cell - 0.5
    x, y, z = (((centres - middle[axis]) / half[axis]) ** 2 for axis in range(3))
    radius = np.sqrt(x[:, None, None] + y[:, None] + z)
    prior = PRIOR_LOGIT * np.clip((1 - radius) / _RAMP, -1, 1)
    return middle, prior.astype(np.float32)
