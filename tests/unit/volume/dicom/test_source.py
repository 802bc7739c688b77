from io import BytesIO

import pytest
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from sammoe.volume.dicom.source import DicomSource, SliceSource


def header(uid: str) -> bytes:
    """A DICOM file without pixels."""
    dataset = Dataset()
    dataset.SOPInstanceUID = uid
    dataset.PatientName = "Doe^Jane"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=False)
    return file.getvalue()


SOURCE = DicomSource(
    study="1.2",
    series="1.2.3",
    frame_of_reference=None,
    slices=(SliceSource("1.2.3.5", 1), SliceSource("1.2.3.4", 1)),
    headers=(header("1.2.3.5"), header("1.2.3.4")),
)


def test_what_was_packed_comes_back() -> None:
    found = DicomSource.unpack(SOURCE.pack())

    assert (found.study, found.series, found.frame_of_reference) == ("1.2", "1.2.3", None)
    assert found.slices == SOURCE.slices
    assert found.headers == SOURCE.headers


def test_headers_are_datasets() -> None:
    first, second = SOURCE.datasets()

    assert (first.SOPInstanceUID, second.SOPInstanceUID) == ("1.2.3.5", "1.2.3.4")
    assert first.PatientName == "Doe^Jane"


@pytest.mark.parametrize("damage", [b"", b"text", SOURCE.pack()[:-9]])
def test_damage_is_noticed(damage: bytes) -> None:
    with pytest.raises(ValueError, match="packed source"):
        DicomSource.unpack(damage)


def test_a_source_shows_nobody_s_name() -> None:
    assert "Doe" not in repr(SOURCE)
