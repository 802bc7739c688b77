"""Results: several structures of one volume, named; what a report and DICOM files are made of."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from sammoe_client._clicks import CandidateName
from sammoe_client._effects import Steps
from sammoe_client._files import write, write_nifti
from sammoe_client._methods import Context, Handle, M, call
from sammoe_client._parsing import parsed
from sammoe_client._requests import DICOM, NIFTI, NRRD, Request, delete, get, json_body, part, post
from sammoe_client._segmentations import Segmentation
from sammoe_client._sending import send
from sammoe_client._values import Code, ResultInfo, Stored, StoredPage, Structure

Merge = Literal["overlap", "keep_existing", "overwrite"]
"""Whose a voxel is that several structures claim: of all, of the earlier, or of the later one."""

DicomForm = Literal["seg", "labelmap", "rtstruct"]


@dataclass(frozen=True)
class Entry:
    """What is said about one structure of a result.

    Attributes
    ----------
    segmentation
        A segmentation of the volume, or its id.
    label
        For people, 1 to 64 characters.
    code, category
        What it is, and what kind of thing; None: as the expert says that drew it.
    colour
        Red, green, blue, 0 to 255; None: by its place.
    candidate
        Which of the segmentation's masks; None: the chosen one, and of an id the answer.
    """

    segmentation: Segmentation[Any] | str
    label: str
    code: Code | None = None
    category: Code | None = None
    colour: tuple[int, int, int] | None = None
    candidate: CandidateName | None = None

    def members(self) -> dict[str, Any]:
        """As the API takes it."""
        made = self.segmentation
        given = {
            "segmentation": made if isinstance(made, str) else made.id,
            "candidate": self.candidate or (None if isinstance(made, str) else made.chosen),
            "label": self.label,
            "code": None if self.code is None else asdict(self.code),
            "category": None if self.category is None else asdict(self.category),
            "colour": self.colour,
        }
        return {member: value for member, value in given.items() if value is not None}


class Result(Handle[M]):
    """Named structures of one volume, in order.

    Attributes
    ----------
    info
        Everything that the service tells of it, with its revision.
    """

    def __init__(self, context: Context[M], info: ResultInfo) -> None:
        super().__init__(context)
        self.info = info

    def __repr__(self) -> str:
        labels = ", ".join(entry.label for entry in self.info.entries)
        return f"<Result {self.id}, revision {self.info.revision}: {labels}>"

    @property
    def id(self) -> str:
        """Its name at the service."""
        return self.info.id

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What it holds, in order."""
        return self.info.entries

    @call
    def replace(self, entries: Sequence[Entry], merge: Merge = "overlap") -> "Steps[Result[M]]":
        """Give it other entries, all of them; one with the label of an earlier one is the same
        structure, corrected.
        """
        request = Request("PUT", self._path, body=result_body(entries, merge))
        answer = yield from send(request, self._context.retries)
        return Result(self._context, parsed(ResultInfo, answer.content))

    @call
    def to_nifti(self, path: str | PathLike[str], structure: int | None = None) -> Steps[Path]:
        """Write the label map as .nii.gz or .nii: each voxel has its structure's number.

        Parameters
        ----------
        structure
            Number of the only one, written as 1.

        Raises
        ------
        StructuresOverlap
            Of structures that overlap there is no label map.
        """
        return write_nifti(path, (yield from self._file("mask", NIFTI, structure=structure)))

    @call
    def to_nrrd(self, path: str | PathLike[str], structure: int | None = None) -> Steps[Path]:
        """Write it as 3D Slicer's .seg.nrrd, with names, codes and colours."""
        return write(path, (yield from self._file("mask", NRRD, structure=structure)))

    @call
    def to_seg(
        self, path: str | PathLike[str], form: Literal["BINARY", "LABELMAP"] = "BINARY"
    ) -> Steps[Path]:
        """Write it as DICOM SEG on the series that the volume came from.

        Raises
        ------
        NoDicomSource
            The volume did not come from DICOM.
        """
        return write(path, (yield from self._file("seg", DICOM, form=form)))

    @call
    def to_rtstruct(self, path: str | PathLike[str]) -> Steps[Path]:
        """Write it as DICOM RT Structure Set; raises as `to_seg`."""
        return write(path, (yield from self._file("rtstruct", DICOM)))

    @call
    def store(
        self, forms: Sequence[DicomForm] = ("seg",), server: str | None = None
    ) -> Steps[tuple[Stored, ...]]:
        """Send its DICOM files to a PACS that the service knows; sending again is harmless.

        Raises
        ------
        NotStored, PacsError, PacsUnavailable
            Not all of them are there.
        """
        body = json_body({"forms": list(forms), "server": server})
        request = post(f"{self._path}/store", body, upload=True)
        answer = yield from send(request, self._context.retries)
        return parsed(StoredPage, answer.content).items

    @call
    def delete(self) -> Steps[None]:
        """Delete it at the service; its segmentations stay."""
        yield from send(delete(self._path), self._context.retries)

    @property
    def _path(self) -> str:
        return f"/v1/results/{part(self.id)}"

    def _file(self, what: str, accept: str, **query: object) -> Steps[bytes]:
        request = get(f"{self._path}/{what}", accept=accept, **query)
        answer = yield from send(request, self._context.retries)
        return answer.content


def result_body(entries: Sequence[Entry], merge: Merge) -> Any:
    """Entries as the API takes them."""
    return json_body({"entries": [entry.members() for entry in entries], "merge": merge})
