"""What a reader accepts, checked on the header's word alone: before anything is allocated."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sammoe.errors import HeaderInvalid, TooLarge

MAX_SIDE = 32767
"""Longest axis: NIfTI-1, the format masks are answered in, can not count further."""


@dataclass(frozen=True)
class ReadLimits:
    """Largest volume that is read.

    Attributes
    ----------
    max_voxels
        Number of voxels.
    max_bytes
        Bytes of voxels as stored, inflated.
    """

    max_voxels: int = 2**29
    max_bytes: int = 2**31

    def admit(self, sizes: Sequence[int], itemsize: int) -> int:
        """Check the sizes that a header declares.

        Returns
        -------
        The number of bytes of voxels.

        Raises
        ------
        HeaderInvalid
            A size is below 1, or above ``MAX_SIDE``.
        TooLarge
            There are too many voxels or bytes.
        """
        if min(sizes) < 1 or max(sizes) > MAX_SIDE:
            raise HeaderInvalid(
                f"The header declares sizes {tuple(sizes)}; each must be within 1 .. {MAX_SIDE}."
            )
        voxels = math.prod(sizes)
        if voxels > self.max_voxels:
            raise TooLarge(
                f"The header declares {voxels} voxels; at most {self.max_voxels} are accepted. "
                "Crop or resample the scan."
            )
        if voxels * itemsize > self.max_bytes:
            raise TooLarge(
                f"The header declares {voxels * itemsize} bytes of voxels; at most "
                f"{self.max_bytes} are accepted. Crop the scan, or store it in a smaller type."
            )
        return voxels * itemsize
