"""Tell CT from MR by the intensities, where no tag and no user says it.

NIfTI and NRRD do not carry the modality. The rule looks at (a regular sample of) the voxels:

CT
    Hounsfield units: air, lung or bowel gas is there (at least 0.1 % of the voxels within
    -1100 .. -700), and so are fat, water and soft tissue (at least 5 % within -150 .. 250). What
    lies below -1200 is padding, so it has one single value.
MR
    Magnitudes: no value below 0, but for the ringing of an interpolation (up to a tenth of the
    99.9th percentile); and not a CT whose offset of 1024 was left in (at least half of the
    voxels above 200 within 875 .. 1275, that is -150 .. 250 HU).
unknown
    All else: not clamped, windows at the bundle's spacing for unknown modality, and whoever asked
    is told. A CT without any air, or PET, lands here or is taken for MR; neither is clamped. Say
    the modality to be sure.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.volume.volume import Modality

_SAMPLE = 1 << 20
_AIR_HU = (-1100, -700)
_TISSUE_HU = (-150, 250)
_PADDING_BELOW_HU = -1200
_CT_OFFSET = 1024


def guess_modality(voxels: NDArray[Any]) -> Modality:
    """Apply the rule above to voxels [i, j, k] (finite)."""
    # A stride that is odd does not fall into step with the sides of an image.
    flat = voxels.ravel(order="K")[:: max(1, voxels.size // _SAMPLE) | 1].astype(np.float32)
    padding = flat[flat < _PADDING_BELOW_HU]
    if (
        _share(flat, _AIR_HU) >= 0.001
        and _share(flat, _TISSUE_HU) >= 0.05
        and (not padding.size or padding.min() == padding.max())
    ):
        return Modality.CT
    ringing = 0.1 * float(np.percentile(flat, 99.9))
    body = flat[flat > 200]
    shifted = (_TISSUE_HU[0] + _CT_OFFSET, _TISSUE_HU[1] + _CT_OFFSET)
    if flat.min() < -ringing or (body.size and _share(body, shifted) >= 0.5):
        return Modality.UNKNOWN
    return Modality.MR


def _share(values: NDArray[np.float32], band: tuple[float, float]) -> float:
    """Part of the values that lies within a band, 0 .. 1."""
    return float(np.mean((values >= band[0]) & (values <= band[1])))
