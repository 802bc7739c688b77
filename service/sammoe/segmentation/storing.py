"""Sending a result to a PACS."""

from collections.abc import Sequence
from dataclasses import dataclass

from sammoe.errors import NotStored, PacsError, PacsUnavailable
from sammoe.pacs import Connection
from sammoe.pacs.storing import store_instance
from sammoe.segmentation.composing import DicomFile, DicomForm
from sammoe.segmentation.results import Results


@dataclass(frozen=True)
class StoredFile:
    """A file that is in the PACS; ``warning``: the server's reason (PS3.3, C.14), if it has one."""

    form: DicomForm
    file: DicomFile
    warning: int | None


async def send_result(
    results: Results,
    connection: Connection,
    principal: str,
    name: str,
    forms: Sequence[DicomForm],
) -> tuple[StoredFile, ...]:
    """Send a result's DICOM files, all made before the first is sent; nothing is deleted there.

    The files of an unchanged result have the same UIDs, so sending them again is harmless. Each is
    sent, whatever became of those before.

    Raises
    ------
    NotStored
        The server did not take every file; the detail says which it has.
    PacsUnavailable
        It can not be reached; nothing is stored.
    Conflict, TooLarge
        See `Results.dicom`; nothing was sent.
    """
    files = [(form, await results.dicom(principal, name, form)) for form in forms]
    stored: list[StoredFile] = []
    failed: dict[int, PacsError] = {}
    for place, (form, file) in enumerate(files):
        try:
            outcome = await store_instance(
                connection, file.study, file.series, file.instance, file.content
            )
        except PacsError as error:
            failed[place] = error
            continue
        if outcome.failure is None:
            stored.append(StoredFile(form, file, outcome.warning))
        else:
            failed[place] = PacsError(
                "The DICOMweb server refuses the file (failure reason"
                f" {outcome.failure:04X}H of DICOM)."
            )
    if not stored and isinstance(failed[0], PacsUnavailable):
        raise failed[0]
    if failed:
        raise _not_stored(forms, failed)
    return tuple(stored)


def _not_stored(forms: Sequence[DicomForm], failed: dict[int, PacsError]) -> NotStored:
    first = min(failed)
    kept = [form for place, form in enumerate(forms) if place not in failed]
    there = f"Stored: {', '.join(kept)}." if kept else "Nothing is stored."
    lost = ", ".join(forms[place] for place in failed)
    return NotStored(
        f"Not stored: {lost}. {failed[first].detail} {there} Sending again is harmless.",
        pointer=f"/forms/{first}",
    )
