"""Make the sample scan of the page: ``python -m scripts.make_sample``, in the demo's environment.

The MNI152 T1 average that nilearn ships, cut to the brain and to 64 grey levels so that it stays
below a megabyte. `clients/viewer/public/sample.txt` says whose it is.
"""

import gzip
from pathlib import Path
from typing import Final

import numpy as np

from examples.demo.structures import load_template
from sammoe.volume.geometry import Geometry
from sammoe.volume.nifti import write_nifti

SAMPLE: Final = Path(__file__).resolve().parents[1] / "clients/viewer/public/sample.nii.gz"

_STEP: Final = 4
"""Grey values that become one."""


def make() -> bytes:
    """The sample as .nii.gz; the same bytes each time."""
    template = load_template()
    places = np.argwhere(template.scan)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    cut = template.scan[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    affine = template.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    i, j, k = cut.shape
    plain = write_nifti(cut // _STEP * _STEP, Geometry((i, j, k), affine), compress=False)
    return gzip.compress(plain, compresslevel=9, mtime=0)


if __name__ == "__main__":
    SAMPLE.write_bytes(make())
    print(f"{SAMPLE}: {SAMPLE.stat().st_size} bytes")
