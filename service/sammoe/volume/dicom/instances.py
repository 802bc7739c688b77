"""What every DICOM instance that the service writes has: patient, study, series, itself."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Final

from pydicom import Dataset, dcmwrite

from sammoe import __version__
from sammoe.volume.structures import Algorithm, Structure

MANUFACTURER: Final = "SAM-Med3D-MoE"
MODEL: Final = "sammoe"

_NAMESPACE: Final = uuid.UUID("5f2b7a3c-64c1-5d0e-9a68-2b7c1f0de941")
_LONG_STRING: Final = 64

_HEADERS: Final = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("OtherPatientIDs", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("PatientAge", "PatientSize", "PatientWeight"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName"),
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName"),
    *("ClinicalTrialSiteID", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
    *("ClinicalTrialTimePointID", "FrameOfReferenceUID", "PositionReferenceIndicator"),
)
"""Of patient, study and frame of reference: a new series has those of its source."""

_EMPTY_IF_MISSING: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("StudyID", "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator"),
)
"""Type 2: must be there, and may be empty."""


@dataclass(frozen=True)
class Identity:
    """Which instance it is: the same one has the same UIDs whenever it is written.

    Attributes
    ----------
    series
        What its series is named by; all revisions of it are in one.
    content
        What it is named by itself: everything that decides its bytes.
    revision
        Its number in the series, from 1.
    begun, changed
        When the series was begun and the content last changed, UTC.
    """

    series: str
    content: str
    revision: int
    begun: datetime
    changed: datetime

    @property
    def series_uid(self) -> str:
        """UID of the series."""
        return derived_uid(f"series {self.series}")

    @property
    def sop_uid(self) -> str:
        """UID of the instance; another version of the program may write other bytes."""
        return derived_uid(f"instance {self.series} {self.content} {__version__}")


def derived_uid(name: str) -> str:
    """A UID (PS3.5 annex B.2) that is always the same for a name, and tells nothing of it."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


def describe(dataset: Dataset, source: Dataset, identity: Identity) -> None:
    """Give an instance its patient, study and frame of reference, as in ``source``, and its dates.

    Values are copied as they are: one that breaks a rule of DICOM broke it before, and a series
    must stay with its patient.
    """
    for keyword in _HEADERS:
        if keyword in source:
            dataset[keyword] = source[keyword]
        elif keyword in _EMPTY_IF_MISSING:
            setattr(dataset, keyword, None)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    zone = _zone(source)
    if zone is not None:
        dataset.TimezoneOffsetFromUTC = source.TimezoneOffsetFromUTC
    dataset.SeriesDate, dataset.SeriesTime = _date_and_time(identity.begun, zone)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = _date_and_time(
        identity.changed, zone
    )


def dates(source: Dataset, moment: datetime) -> tuple[str, str]:
    """A moment (UTC) as DICOM's date and time, in the zone of ``source``, else this machine's."""
    return _date_and_time(moment, _zone(source))


def device(structures: Sequence[Structure]) -> str:
    """What DICOM calls the device's serial number: SHA-256 of the bundle that drew the first."""
    drawn = (one.algorithm.bundle for one in structures if one.algorithm is not None)
    return next(drawn, "none")


def algorithm_name(algorithm: Algorithm) -> str:
    """Name of what drew a mask, for people."""
    return f"{MANUFACTURER} {algorithm.decoder}"[:_LONG_STRING]


def algorithm_version(algorithm: Algorithm) -> str:
    """Version of the program, and the beginning of the bundle's digest."""
    return f"{__version__}+{algorithm.bundle[:12]}"


def encode(dataset: Dataset) -> bytes:
    """The instance as a DICOM file (PS3.10), explicit little endian."""
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _zone(source: Dataset) -> timezone | None:
    found = re.fullmatch(r"([+-])(\d\d)(\d\d)", str(source.get("TimezoneOffsetFromUTC", "")))
    if found is None:
        return None
    minutes = 60 * int(found[2]) + int(found[3])
    offset = timedelta(minutes=-minutes if found[1] == "-" else minutes)
    return timezone(offset) if abs(offset) < timedelta(days=1) else None


def _date_and_time(moment: datetime, zone: timezone | None) -> tuple[str, str]:
    local = moment.astimezone(zone)
    return local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f")
