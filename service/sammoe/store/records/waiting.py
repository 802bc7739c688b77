"""Records of studies that wait to be prepared."""

from datetime import datetime

from sammoe.store.records.base import Record


class WaitingRecord(Record):
    """A study that a PACS told of.

    Attributes
    ----------
    study
        StudyInstanceUID: the patient's, never logged.
    server
        Which DICOMweb server has it; None: the default one.
    limit
        Bytes that each of its series may have.
    taken
        When a front end last said that it is at it, UTC; None: nobody is.
    tries
        How often one began.
    """

    id: str
    study: str
    server: str | None
    limit: int
    taken: datetime | None = None
    tries: int = 0
