"""Labelled scans as values: nothing is read before it is asked for."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import DataSetInvalid, SammoeError
from sammoe.volume.reading import read_grid, read_volume
from sammoe.volume.volume import Modality, Volume

Mask = NDArray[np.bool_]
_Read = TypeVar("_Read")
_SAME_PLACE_MM = 0.1  # between a voxel of an image and that of its labels


@dataclass(frozen=True)
class LabelSource:
    """Where one class of a case is: a label file, and the values in it that mean the class."""

    path: Path
    values: frozenset[int]


@dataclass(frozen=True)
class Case:
    """One scan with its labels.

    Attributes
    ----------
    dataset, name
        Of the data set, and of the case within it.
    patient
        Cases of one patient are never on both sides of a split.
    image
        The scan's file.
    labels
        Class -> where it is labelled. A class may be labelled and absent.
    modality
        As the data set says.
    """

    dataset: str
    name: str
    patient: str
    image: Path
    labels: Mapping[str, LabelSource]
    modality: Modality

    def read_image(self) -> Volume:
        """The scan, by serving's own reader.

        Raises
        ------
        DataSetInvalid
            The file can not be used; the detail names it.
        """
        asked: Any = "auto" if self.modality is Modality.UNKNOWN else self.modality.value
        return _read(self.image, partial(read_volume, modality=asked))

    def read_masks(self, image: Volume, classes: Collection[str] | None = None) -> dict[str, Mask]:
        """Masks bool [i, j, k] on the image's grid, of every class that is present.

        Parameters
        ----------
        image
            Of this case.
        classes
            That are wanted (default: all).

        Raises
        ------
        DataSetInvalid
            A label file has another shape than its image or lies elsewhere, holds values that are
            no whole numbers, or nothing at all is labelled. The detail names the file.
        """
        voxels: dict[Path, NDArray[Any]] = {}

        def mask_of(source: LabelSource) -> Mask:
            if source.path not in voxels:
                voxels[source.path] = self._read_labels(source.path, image)
            return np.isin(voxels[source.path], list(source.values))

        masks = {
            name: mask
            for name, source in self.labels.items()
            if (classes is None or name in classes) and (mask := mask_of(source)).any()
        }
        if not masks and not any(mask_of(source).any() for source in self.labels.values()):
            files = ", ".join(sorted({str(source.path) for source in self.labels.values()}))
            raise DataSetInvalid(
                f"{files}: nothing of {', '.join(self.labels)} is labelled here;"
                " take the case out, or correct its labels"
            )
        return masks

    def _read_labels(self, path: Path, image: Volume) -> NDArray[Any]:
        labels = _read(path, read_grid)
        geometry = labels.geometry
        if geometry.shape != image.geometry.shape:
            raise DataSetInvalid(
                f"{path} has {geometry.shape} voxels, its image {image.geometry.shape}"
            )
        apart = geometry.apart(image.geometry)
        if apart > _SAME_PLACE_MM:
            raise DataSetInvalid(f"{path} lies elsewhere than its image, by up to {apart:.1f} mm")
        if not np.array_equal(labels.voxels, np.rint(labels.voxels)):
            raise DataSetInvalid(f"{path} holds values that are no whole numbers: not a label map")
        return labels.voxels


@dataclass(frozen=True)
class DataSet:
    """Cases with one list of classes.

    Attributes
    ----------
    name
        Of the folder.
    classes
        What may be labelled, in the data set's order.
    cases
        By name.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    cases: tuple[Case, ...]

    def require(self, classes: tuple[str, ...]) -> None:
        """Check that these classes are labelled here.

        Raises
        ------
        DataSetInvalid
            One is not; the detail lists those that are.
        """
        for name in classes:
            if name not in self.classes:
                known = ", ".join(self.classes)
                raise DataSetInvalid(f"{self.root} has no class {name!r}; it has: {known}")


def _read(path: Path, reader: Callable[[Path], _Read]) -> _Read:
    try:
        return reader(path)
    except OSError as error:
        raise DataSetInvalid(f"{path} can not be read: {error.strerror}") from error
    except SammoeError as error:
        raise DataSetInvalid(f"{path}: {error.detail}") from error
