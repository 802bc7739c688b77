"""The demo's scan as a DICOM study, so that there is something to click on."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from examples.demo.structures import load_template

STUDY: Final = "1.2.826.0.1.3680043.10.1.152"
SERIES: Final = f"{STUDY}.1"

_GREY: Final = 4
"""Stored numbers are this many times the template's, which has a byte a voxel."""


def sample_study(slices: slice = slice(None)) -> Iterator[bytes]:
    """Files of the MNI152 T1 average, or of some slices, as an axial series from the feet up."""
    template = load_template()
    # To the left and to the back, as images are stored: the template goes right and forward.
    voxels = template.scan[::-1, ::-1].astype(np.uint16) * _GREY
    last = np.array([voxels.shape[0] - 1, voxels.shape[1] - 1, 0, 1])
    corner = (template.affine @ last)[:3]
    for k in range(voxels.shape[2])[slices]:
        yield _file(voxels[:, :, k], corner + k * template.affine[:3, 2], k)


def _file(pixels: NDArray[np.uint16], ras: NDArray[np.float64], k: int) -> bytes:
    image = _head(f"{SERIES}.{k + 1}")
    image.InstanceNumber = k + 1
    image.ImagePositionPatient = [f"{mm:.4f}" for mm in (-ras[0], -ras[1], ras[2])]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [1, 1], 1
    image.Columns, image.Rows = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.WindowCenter, image.WindowWidth = 127 * _GREY, 255 * _GREY
    image.PixelData = pixels.T.astype("<u2").tobytes()
    image["PixelData"].VR = "OW"
    file = BytesIO()
    dcmwrite(file, image, enforce_file_format=True)
    return file.getvalue()


def _head(instance: str) -> Any:
    image: Any = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = MRImageStorage
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = instance
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY, SERIES
    image.FrameOfReferenceUID = f"{STUDY}.2"
    image.PatientName, image.PatientID = "MNI152^Average", "MNI152"
    image.PatientBirthDate = image.PatientSex = image.AccessionNumber = ""
    image.ReferringPhysicianName = image.PositionReferenceIndicator = ""
    image.StudyID, image.SeriesNumber = "1", 1
    image.StudyDate, image.StudyTime = "20090101", "120000"
    image.StudyDescription, image.SeriesDescription = "Sample brain", "T1, 1 mm"
    image.Modality, image.Manufacturer = "MR", "MNI"
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "GR", "SP", ""
    image.MRAcquisitionType, image.EchoTime, image.EchoTrainLength = "3D", None, None
    return image
