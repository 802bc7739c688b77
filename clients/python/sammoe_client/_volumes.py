"""Volumes: scans at the service, to be segmented."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from sammoe_client._clicks import Click, Place, members
from sammoe_client._effects import Giving, Steps
from sammoe_client._methods import Context, Handle, M, call, iterate
from sammoe_client._nifti import nifti, voxels_of
from sammoe_client._paging import paged
from sammoe_client._parsing import parsed
from sammoe_client._requests import PLAIN_NIFTI, delete, file_body, get, json_body, part, post
from sammoe_client._results import Entry, Merge, Result, result_body
from sammoe_client._segmentations import (
    OnProgress,
    Progress,
    Segmentation,
    fetched,
    growing,
    segmented,
)
from sammoe_client._sending import send
from sammoe_client._values import (
    Doubt,
    Embeddings,
    Indices,
    ResultInfo,
    ResultPage,
    SegmentationInfo,
    SegmentationPage,
    VolumeInfo,
)


class Volume(Handle[M]):
    """A scan at the service.

    Attributes
    ----------
    info
        Everything that the service tells of it.
    """

    def __init__(self, context: Context[M], info: VolumeInfo) -> None:
        super().__init__(context)
        self.info = info

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"<Volume {self.id}: {size}, {self.info.modality}>"

    @property
    def id(self) -> str:
        """Its name at the service."""
        return self.info.id

    @property
    def shape(self) -> Indices:
        """Voxels along i, j, k, as stored in the file; of DICOM: columns, rows, slices."""
        return self.info.shape

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index (i, j, k, 1) to RAS+ mm, [4, 4]."""
        return np.array(self.info.affine)

    @property
    def warnings(self) -> tuple[Doubt, ...]:
        """What the reader handled, and what makes answers doubtful."""
        return self.info.warnings

    @call
    def segment(
        self, *, on_progress: OnProgress | None = None, **click: Unpack[Click]
    ) -> Steps[Segmentation[M]]:
        """Segment the structure that points or a box show.

        Parameters
        ----------
        on_progress
            Told how the mask grows. Without an Idempotency-Key then: what breaks off is not tried
            again.
        click
            See `Click`.

        Raises
        ------
        PromptInvalid
            The prompt can not be used.
        """
        return (yield from segmented(self._context, self.info, members(click), on_progress))

    @iterate
    def segmenting(self, **click: Unpack[Click]) -> Giving[Progress | Segmentation[M]]:
        """As `segment`, step by step: each `Progress`, then the segmentation. Leaving stops it."""
        yield from growing(self._context, self.info, members(click))

    @call
    def bring(
        self, mask: str | PathLike[str] | NDArray[Any], label: int | None = None
    ) -> Steps[Segmentation[M]]:
        """Bring a mask, to be refined by clicks.

        Parameters
        ----------
        mask
            A file on the volume's own grid, NIfTI, NRRD or DICOM SEG; or an array [i, j, k].
        label
            Which voxels of it (of a SEG: which segment); None: all that are not 0.
        """
        source = nifti(mask, self.affine) if isinstance(mask, np.ndarray) else Path(mask)
        request = post(f"{self._path}/masks", file_body(source), upload=True, label=label)
        answer = yield from send(request, self._context.retries)
        info = parsed(SegmentationInfo, answer.content)
        return (yield from fetched(self._context, info, self.info))

    @call
    def voxels(self) -> Steps[NDArray[Any]]:
        """The scan itself, [i, j, k] as masks: intensities, of a CT Hounsfield units."""
        request = get(f"{self._path}/voxels", accept=PLAIN_NIFTI)
        answer = yield from send(request, self._context.retries)
        return voxels_of(answer.content, self.shape)

    @call
    def warm(
        self,
        *,
        extent: Literal["window", "whole"] = "window",
        budget_mib: int | None = None,
        **place: Unpack[Place],
    ) -> Steps[Embeddings]:
        """Prepare a first click; the work goes on behind.

        Parameters
        ----------
        extent
            ``window``: the place, or the middle; ``whole``: what most clicks on the body would
            take.
        budget_mib
            What all embeddings of a whole volume may take; None: as the service allows.

        Raises
        ------
        TooLarge
            They would take more.
        """
        wanted = {**members(place), "extent": extent, "budget_mib": budget_mib}
        request = post(f"{self._path}/embeddings", json_body(wanted))
        answer = yield from send(request, self._context.retries)
        return parsed(Embeddings, answer.content)

    @iterate
    def segmentations(self) -> Giving[SegmentationInfo]:
        """Its segmentations, newest first, without masks: `Client.segmentation` fetches one."""
        path = f"{self._path}/segmentations"
        yield from paged(SegmentationPage, path, self._context.retries, lambda info: info)

    @iterate
    def results(self) -> Giving[Result[M]]:
        """Its results, newest first."""
        path, context = f"{self._path}/results", self._context
        yield from paged(ResultPage, path, context.retries, lambda info: Result(context, info))

    @call
    def add_result(self, entries: Sequence[Entry], merge: Merge = "overlap") -> Steps[Result[M]]:
        """Put segmentations together, each with a name: what files and reports are made of."""
        request = post(f"{self._path}/results", result_body(entries, merge))
        answer = yield from send(request, self._context.retries)
        return Result(self._context, parsed(ResultInfo, answer.content))

    @call
    def delete(self) -> Steps[None]:
        """Delete it at the service, with its segmentations and results."""
        yield from send(delete(self._path), self._context.retries)

    @property
    def _path(self) -> str:
        return f"/v1/volumes/{part(self.id)}"
