"""A CT of 300 x 512 x 512 voxels, from files to a volume, over a bare pydicom decode of them.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_dicom [--syntax jpegls]

Bare is ``dcmread(path).pixel_array`` for each file, and nothing else: no order, no check, no scale.
Ours is `read_volume`, as the service calls it: headers, order, every check, values in Hounsfield
units, in a process of its own.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from loadtests.timing import interleave
from sammoe.volume.dicom.isolation import prepare
from sammoe.volume.reading import read_volume
from tests.series import compressed, ct, series, write

SHAPE = (512, 512, 300)
BOUND = 1.5
SYNTAXES = {"jpegls": JPEGLSLossless, "jpeg2000": JPEG2000Lossless, "rle": RLELossless}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each (default 5)")
    parser.add_argument("--slices", type=int, default=SHAPE[2])
    parser.add_argument("--syntax", choices=SYNTAXES, help="compressed (default: not)")
    args = parser.parse_args()
    voxels = ct((*SHAPE[:2], args.slices))
    with tempfile.TemporaryDirectory() as name:
        made = series(voxels)
        folder = write(
            compressed(made, SYNTAXES[args.syntax]) if args.syntax else made, Path(name) / "series"
        )
        del made
        paths = sorted(folder.iterdir())
        prepare()

        def bare() -> None:
            for path in paths:
                dcmread(path).pixel_array  # noqa: B018 - decodes

        def ours() -> None:
            found.append(read_volume(folder).voxels)
            del found[:-1]

        found: list[np.ndarray] = []
        times = interleave({"bare": bare, "ours": ours}, args.rounds)
    np.testing.assert_array_equal(found[0], voxels)
    ratio = times["ours"].median / times["bare"].median
    print(f"bare pydicom {times['bare']}\nours         {times['ours']}\nratio        {ratio:9.2f}")
    return int(ratio > BOUND)


if __name__ == "__main__":
    raise SystemExit(main())
