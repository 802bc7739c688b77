"""DICOM RT Structure Set (PS3.3, A.19): outlines on the frames that the volume came from.

Written here, on pydicom: no well-kept library writes one that passes a validator and puts outlines
where the mask's edge is, holes included.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from sammoe import __version__
from sammoe.volume.dicom.contours import outlines
from sammoe.volume.dicom.instances import (
    MANUFACTURER,
    MODEL,
    Identity,
    algorithm_name,
    algorithm_version,
    dates,
    describe,
    device,
    encode,
)
from sammoe.volume.dicom.origin import Origin, origins
from sammoe.volume.dicom.seg import check_none_empty, code_item
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.structures import Structure

_STUDY_CLASS: Final = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management: retired, and still what RT Referenced Study names."""

_DECIMALS: Final = 6
"""Of coordinates in mm; a decimal string has at most 16 characters."""


def write_rtstruct(
    structures: Sequence[Structure],
    geometry: Geometry,
    source: DicomSource,
    identity: Identity,
) -> bytes:
    """Write structures as a DICOM RTSTRUCT file; equal arguments give equal bytes.

    Parameters
    ----------
    structures, geometry
        Masks on the volume's grid.
    source
        The series that the volume was read from.

    Raises
    ------
    NoDicomSource
        The series can not be referred to.
    StructureEmpty
        A structure has no voxel.
    """
    came_from = origins(source, geometry)
    check_none_empty(structures)
    rt = Dataset()
    rt.file_meta = FileMetaDataset()
    rt.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    rt.SOPClassUID = RTStructureSetStorage
    rt.SOPInstanceUID = identity.sop_uid
    rt.Modality = "RTSTRUCT"
    rt.SeriesInstanceUID = identity.series_uid
    rt.SeriesNumber = 9002
    rt.SeriesDescription = "Interactive segmentation, research use"
    rt.OperatorsName = None
    rt.InstanceNumber = identity.revision
    rt.Manufacturer = MANUFACTURER
    rt.ManufacturerModelName = MODEL
    rt.SoftwareVersions = __version__
    rt.DeviceSerialNumber = device(structures)
    rt.StructureSetLabel = "SEGMENTATION"
    rt.ApprovalStatus = "UNAPPROVED"
    describe(rt, came_from[0].instance, identity)
    rt.StructureSetDate, rt.StructureSetTime = dates(came_from[0].instance, identity.changed)
    rt.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source, came_from)]
    rt.StructureSetROISequence, rt.ROIContourSequence, rt.RTROIObservationsSequence = [], [], []
    for number, structure in enumerate(structures, start=1):
        rt.StructureSetROISequence.append(_region(number, structure, source))
        rt.ROIContourSequence.append(_contours(number, structure, came_from))
        rt.RTROIObservationsSequence.append(_observation(number, structure))
    return encode(rt)


def _frame_of_reference(source: DicomSource, came_from: Sequence[Origin]) -> Dataset:
    series = _item(
        SeriesInstanceUID=source.series,
        ContourImageSequence=[_image(origin) for origin in came_from],
    )
    study = _item(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=source.study,
        RTReferencedSeriesSequence=[series],
    )
    return _item(FrameOfReferenceUID=source.frame_of_reference, RTReferencedStudySequence=[study])


def _image(origin: Origin) -> Dataset:
    item = _item(
        ReferencedSOPClassUID=origin.instance.SOPClassUID,
        ReferencedSOPInstanceUID=origin.instance.SOPInstanceUID,
    )
    if origin.frame is not None:
        item.ReferencedFrameNumber = origin.frame
    return item


def _region(number: int, structure: Structure, source: DicomSource) -> Dataset:
    algorithm = structure.algorithm
    region = _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=source.frame_of_reference,
        ROIName=structure.label,
        ROIGenerationAlgorithm="MANUAL" if algorithm is None else "SEMIAUTOMATIC",
    )
    if algorithm is not None:
        words = f"{algorithm_name(algorithm)} {algorithm_version(algorithm)}"
        region.ROIGenerationDescription = words[:64]
    return region


def _contours(number: int, structure: Structure, came_from: Sequence[Origin]) -> Dataset:
    contours: list[Dataset] = []
    mask, (column, row, first) = structure.pasted.mask, structure.pasted.offset
    for plane in range(mask.shape[2]):
        origin = came_from[first + plane]
        for polygon in outlines(mask[:, :, plane]):
            points = origin.points(polygon + np.array([column, row]))
            contours.append(
                _item(
                    ContourImageSequence=[_image(origin)],
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(points),
                    ContourNumber=len(contours) + 1,
                    ContourData=_decimals(points),
                )
            )
    return _item(
        ReferencedROINumber=number,
        ROIDisplayColor=list(structure.colour),
        ContourSequence=contours,
    )


def _observation(number: int, structure: Structure) -> Dataset:
    return _item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        ROIObservationLabel=structure.label[:16],
        RTROIInterpretedType=None,
        ROIInterpreter=None,
        RTROIIdentificationCodeSequence=[code_item(structure.code)],
    )


def _decimals(points: Any) -> list[str]:
    # Adding zero turns -0.0 into 0.0.
    rounded = np.round(points, _DECIMALS).ravel() + 0.0
    return [f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".") for value in rounded]


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
