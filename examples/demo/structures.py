"""What the demo clicks on: each structure, the rule for its reference mask, and the first click.

The scan is the MNI152 T1 average (1 mm) that the nilearn wheel ships; beside it lie maps of grey
and white matter, from which the references are made. Coordinates are mm in MNI space, RAS+.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sammoe.volume.reading import read_volume

Millimetres = tuple[float, float, float]


@dataclass(frozen=True)
class Structure:
    """One row of the table.

    The reference is the connected component at the first click of: tissue probability at least
    ``at_least``, inside the box ``within`` (its corners included), opened with a ball of
    ``opened`` mm.
    """

    label: str
    tissue: Literal["grey", "white", "fluid"]
    at_least: float
    within: tuple[Millimetres, Millimetres]
    opened: int
    first_click: Millimetres


STRUCTURES: Final = {
    "thalamus": Structure(
        "right thalamus", "grey", 0.3, ((2, -34, -1), (25, -2, 17)), 2, (10, -18, 8)
    ),
    "caudate": Structure(
        "right caudate nucleus", "grey", 0.5, ((4, -4, -6), (20, 27, 24)), 2, (12, 14, 8)
    ),
    "putamen": Structure(
        "right putamen", "grey", 0.35, ((16, -16, -9), (33, 18, 10)), 3, (26, 4, 2)
    ),
    "ventricles": Structure(
        "lateral ventricles", "fluid", 0.5, ((-40, -50, -12), (40, 40, 32)), 1, (12, -8, 24)
    ),
}

DEFAULT: Final = "thalamus"
CLICKS: Final = 3
"""The first as in the table; each further one at the deepest error of the answer before."""


@dataclass(frozen=True, eq=False)
class Template:
    """The scan and its maps, on one grid.

    Attributes
    ----------
    path
        The scan as a file, .nii.gz.
    scan
        Its voxels, uint8, axes to right, anterior, superior.
    affine
        Voxel index to RAS+ mm, float64 [4, 4].
    tissues
        Probability by tissue, float32, shape of ``scan``.
    """

    path: Path
    scan: NDArray[np.uint8]
    affine: NDArray[np.float64]
    tissues: dict[str, NDArray[np.float32]]


def load_template() -> Template:
    """Find the template and its maps in the installed nilearn, without importing it.

    Raises
    ------
    FileNotFoundError
        nilearn is not installed, or its wheel no longer ships the template.
    """
    spec = importlib.util.find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("nilearn is missing: run make demo, or pip install nilearn")
    data = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    paths = {
        name: data / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
        for name in ("t1", "gm", "wm")
    }
    for path in paths.values():
        if not path.is_file():
            raise FileNotFoundError(f"this nilearn ships no {path.name}: install nilearn 0.14")
    scan, affine = _read(paths["t1"])
    grey, white = (_read(paths[name])[0] / np.float32(255) for name in ("gm", "wm"))
    tissues = {
        "grey": grey,
        "white": white,
        "fluid": np.where(scan > 0, 1 - grey - white, 0),
    }
    return Template(paths["t1"], scan, affine, tissues)


def reference_mask(structure: Structure, template: Template) -> NDArray[np.bool_]:
    """The reference by the structure's rule, on the template's grid."""
    probability = template.tissues[structure.tissue]
    low, high = (
        to_index(corner, template.affine).round().astype(int) for corner in structure.within
    )
    box = tuple(
        slice(max(a, 0), min(b + 1, n))
        for a, b, n in zip(low, high, probability.shape, strict=True)
    )
    inside = np.zeros(probability.shape, dtype=bool)
    inside[box] = probability[box] >= structure.at_least
    inside[box] = ndimage.binary_opening(inside[box], _ball(structure.opened))
    components, _ = ndimage.label(inside)
    click = tuple(to_index(structure.first_click, template.affine).round().astype(int))
    reference: NDArray[np.bool_] = inside & (components == components[click])
    return reference


def to_index(point: Millimetres, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """RAS+ mm to voxel index (i, j, k), float64 [3]."""
    index: NDArray[np.float64] = (np.linalg.inv(affine) @ (*point, 1.0))[:3]
    return index


def to_mm(index: NDArray[np.intp], affine: NDArray[np.float64]) -> Millimetres:
    """Voxel index (i, j, k) to RAS+ mm."""
    x, y, z = (affine @ (*index, 1.0))[:3]
    return float(x), float(y), float(z)


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    volume = read_volume(path, modality="MR")
    return volume.voxels.astype(np.uint8), volume.geometry.affine


def _ball(radius: int) -> NDArray[np.bool_]:
    axes = np.mgrid[-radius : radius + 1, -radius : radius + 1, -radius : radius + 1]
    ball: NDArray[np.bool_] = (axes**2).sum(axis=0) <= radius * radius
    return ball
