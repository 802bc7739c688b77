"""Type the commands that docs/clients.md has for curl, and take a picture of their mask.

Needs a running service, curl and jq, and nilearn, whose template of a brain is the scan::

    python -m examples.curl_picture http://127.0.0.1:8000 docs/images/curl.png

Ends with an error when a command fails, or when the mask is not where it was asked for.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import nibabel as nib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from examples.demo.structures import load_template

GUIDE: Final = Path(__file__).resolve().parents[1] / "docs" / "clients.md"
_SERVICE: Final = "http://127.0.0.1:8000"
_PLANES: Final = (("axial", 2), ("coronal", 1), ("sagittal", 0))


def commands() -> str:
    """The guide's commands from a scan to a mask, as they stand."""
    section = GUIDE.read_text().split("\n## curl\n")[1].split("\n## ")[0]
    block = re.search(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert block is not None
    return block[1]


def type_commands(folder: Path, url: str) -> None:
    """Type them in a folder that has ``scan.nii.gz``; they leave ``mask.nii.gz``."""
    script = commands().replace(_SERVICE, url)
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, check=True)


def main() -> None:
    """Type, look, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of the service")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(load_template().path, folder / "scan.nii.gz")
        type_commands(folder, args.url.rstrip("/"))
        scan, mask = (
            np.asarray(nib.Nifti1Image.from_filename(folder / f"{what}.nii.gz").dataobj)
            for what in ("scan", "mask")
        )
    found = re.search(r'"position": (\[.*?\])', commands())
    assert found is not None
    click: tuple[int, ...] = tuple(json.loads(found[1]))
    if not mask[click]:
        raise SystemExit(f"no mask at {click}")
    draw(args.picture, scan, mask, click)


def draw(
    path: Path, scan: NDArray[np.generic], mask: NDArray[np.generic], click: tuple[int, ...]
) -> None:
    """Write three planes through a click, with the mask's outline; as the array runs (L to R)."""
    figure = Figure(figsize=(9.6, 3.4), facecolor="#0e1116", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, axis) in zip(figure.subplots(1, 3), _PLANES, strict=True):
        across, up = (other for other in range(3) if other != axis)
        image, outline = (np.take(array, click[axis], axis).T for array in (scan, mask))
        axes.imshow(image, cmap="gray", origin="lower")
        axes.contourf(outline, levels=[0.5, 2], colors=["#37d5c8"], alpha=0.3)
        axes.contour(outline, levels=[0.5], colors=["#37d5c8"], linewidths=1.5)
        axes.plot(click[across], click[up], "o", color="#7ee787", markeredgecolor="black")
        axes.set_title(name, color="#d7dde5", fontsize=10)
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
