"""Structures of a result with their masks, and the DICOM files that are made of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from sammoe.errors import Conflict, NoDicomSource, NotFound, TooLarge
from sammoe.segmentation.entries import decoder_of
from sammoe.segmentation.parents import Candidate
from sammoe.store import GIVEN, CodeRecord, ResultRecord, Store, VolumeRecord
from sammoe.volume.dicom.instances import Identity
from sammoe.volume.dicom.rtstruct import write_rtstruct
from sammoe.volume.dicom.seg import write_seg
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted
from sammoe.volume.structures import Algorithm, Code, Structure, merged

_MOST_VOLUMES: Final = 4
"""What the boxes around a result's masks may take, in volumes: all are in memory at once."""

DicomForm = Literal["seg", "labelmap", "rtstruct"]
"""DICOM SEG with a bit a voxel and structure, or a number a voxel; outlines as RT Structure Set."""

_WRITE: Final[
    dict[DicomForm, Callable[[Sequence[Structure], Geometry, DicomSource, Identity], bytes]]
] = {
    "seg": partial(write_seg, form="BINARY"),
    "labelmap": partial(write_seg, form="LABELMAP"),
    "rtstruct": write_rtstruct,
}


@dataclass(frozen=True, eq=False)
class Composed:
    """A result with the masks of its structures, merged as it says."""

    record: ResultRecord
    volume: VolumeRecord
    structures: tuple[Structure, ...]


@dataclass(frozen=True, repr=False)
class DicomFile:
    """A DICOM file; ``study``, ``series`` and ``instance`` are its UIDs."""

    study: str
    series: str
    instance: str
    content: bytes


class Composer:
    """Draws results; every method blocks.

    Parameters
    ----------
    mask
        Gives a mask of a principal's segmentation, by its id and candidate, with its volume.
    """

    def __init__(
        self,
        store: Store,
        mask: Callable[[str, str, Candidate], tuple[Pasted, VolumeRecord]],
    ) -> None:
        self._store = store
        self._mask = mask

    def compose(self, record: ResultRecord) -> Composed:
        """Draw and merge the structures of a result; raises as `Results.render`."""
        volume = self._store.volumes.get(record.owner, record.volume_id)
        drawn, left = [], _MOST_VOLUMES * math.prod(volume.shape)
        for place in range(len(record.entries)):
            drawn.append(self._drawn(record, place))
            left -= drawn[-1][0].mask.size
            if left < 0:
                raise TooLarge(
                    f"The masks' boxes are together larger than {_MOST_VOLUMES} times the volume:"
                    " split the result."
                )
        masks = merged([mask for mask, _ in drawn], volume.shape, record.merge)
        structures = (
            Structure(
                label=entry.label,
                code=_code(entry.code),
                category=_code(entry.category),
                colour=entry.colour,
                tracking_uid=entry.tracking_uid,
                algorithm=algorithm,
                pasted=mask,
            )
            for entry, mask, (_, algorithm) in zip(record.entries, masks, drawn, strict=True)
        )
        return Composed(record, volume, tuple(structures))

    def written(self, record: ResultRecord, form: DicomForm) -> DicomFile:
        """Return a result as a DICOM file; raises as `Results.dicom`."""
        volume = self._store.volumes.get(record.owner, record.volume_id)
        if volume.source is None:
            raise NoDicomSource(
                "This volume did not come from a DICOM series, so there are no images that a DICOM"
                " file could refer to, and no patient: fetch NIfTI or NRRD."
            )
        source = self._store.volumes.source(volume)
        composed = self.compose(record)
        identity = Identity(
            series=f"{record.id} {form}",
            content=record.model_dump_json(),
            revision=record.revision,
            begun=record.created,
            changed=record.changed,
        )
        content = _WRITE[form](composed.structures, volume.geometry, source, identity)
        return DicomFile(source.study, identity.series_uid, identity.sop_uid, content)

    def _drawn(self, record: ResultRecord, place: int) -> tuple[Pasted, Algorithm | None]:
        entry = record.entries[place]
        try:
            found = self._store.segmentations.get(record.owner, entry.segmentation)
            mask, _ = self._mask(record.owner, entry.segmentation, entry.candidate)
        except NotFound:
            raise Conflict(
                f"The segmentation of structure {place + 1} was deleted: change the result.",
                pointer=f"/entries/{place}/segmentation",
            ) from None
        if found.route.used == GIVEN:
            return mask, None
        return mask, Algorithm(decoder_of(found, entry.candidate), found.bundle_digest)


def _code(record: CodeRecord) -> Code:
    return Code(record.value, record.meaning, record.scheme)
