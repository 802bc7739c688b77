"""Sending instances to a DICOMweb server (STOW-RS, PS3.18, 10.5), and what it says of each."""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from sammoe.errors import PacsError, PacsUnavailable, TooLarge
from sammoe.pacs.connection import Answer, Connection, check_status
from sammoe.pacs.lists import items, parsed, read, value

_JSON: Final = "application/dicom+json"
_MAX_JSON: Final = 1 << 20
_SECONDS: Final = 300.0
_ALREADY_THERE: Final = 0x0111
"""Duplicate SOP instance: the server has it, and by its UID it is the same."""
_LOOKS: Final = (0.0, 0.5, 1.0, 2.0)
"""Seconds to wait before each look for a stored file: some servers index a little later."""
_NO_REASON: Final = 0x0110
"""Processing failure: what DICOM says where nothing is known."""

_REFERENCED, _FAILED, _OTHERS = "00081199", "00081198", "0008119A"
_SOP_INSTANCE = "00080018"
_INSTANCE, _FAILURE, _WARNING = "00081155", "00081197", "00081196"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an instance.

    Attributes
    ----------
    failure
        DICOM's Failure Reason (PS3.3, C.14); None: it is stored, now or before.
    warning
        Its Warning Reason, if the server changed something.
    """

    failure: int | None = None
    warning: int | None = None


async def store_instance(
    connection: Connection, study: str, series: str, instance: str, content: bytes
) -> Outcome:
    """Send one DICOM file; nothing is deleted, and a file that is there already is stored.

    Afterwards the server is asked for it: some say that they stored what they threw away.

    Parameters
    ----------
    study, series, instance
        The file's UIDs.
    content
        The file.

    Raises
    ------
    PacsError, PacsUnavailable
        The server did not say what became of it, in time and in DICOM's JSON; or it says that the
        file is stored, and does not find it.
    """
    boundary = secrets.token_hex(16)
    headers = {
        "Accept": _JSON,
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
    }
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
            content,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    try:
        async with (
            asyncio.timeout(_SECONDS),
            connection.open("POST", "/studies", headers=headers, content=body) as answer,
        ):
            # 202: stored with a warning, or only a part; 409: nothing; both tell why.
            if answer.status_code not in (202, 409):
                check_status(answer)
            said = await _read(answer)
    except TimeoutError:
        raise PacsUnavailable(f"The file was not taken within {_SECONDS:.0f} s.") from None
    outcome = _outcome(said, instance, taken=answer.status_code != 409)
    if outcome.failure is None:
        await _look(connection, f"/studies/{study}/series/{series}/instances", instance)
    return outcome


async def _look(connection: Connection, path: str, instance: str) -> None:
    """Raise `PacsError` where a server that can be searched does not find an instance."""
    query = urlencode({"SOPInstanceUID": instance}).encode()
    for seconds in _LOOKS:
        await asyncio.sleep(seconds)
        async with connection.open("GET", path, query=query, headers={"Accept": _JSON}) as answer:
            if answer.status_code not in (200, 204, 404):
                return  # it can not be searched in this way
            found = await _read(answer) if answer.status_code == 200 else None
        listed = found if isinstance(found, list) else []
        if any(value(one, _SOP_INSTANCE) == instance for one in listed):
            return
    raise PacsError(
        "The DICOMweb server says that it stored the file, and does not find it: perhaps a rule of"
        " the server's threw it away."
    )


async def _read(answer: Answer) -> Any:
    """The answer's JSON; None where it has none that can be read."""
    try:
        text = await read(answer, _MAX_JSON)
    except TooLarge:
        raise PacsError("The DICOMweb server's answer is too long.") from None
    return await asyncio.to_thread(parsed, text)


def _outcome(said: Any, instance: str, *, taken: bool) -> Outcome:
    if isinstance(said, list):
        said = said[0] if said else None
    failed = [one for one in items(said, _FAILED) if value(one, _INSTANCE) in (instance, None)]
    for item in (*failed, *items(said, _OTHERS)):
        reason = _number(item, _FAILURE)
        if reason == _ALREADY_THERE:
            return Outcome()
        return Outcome(failure=_NO_REASON if reason is None else reason)
    for item in items(said, _REFERENCED):
        if value(item, _INSTANCE) == instance:
            return Outcome(warning=_number(item, _WARNING))
    if not taken:
        return Outcome(failure=_NO_REASON)
    raise PacsError("The DICOMweb server did not say whether it stored the file; look there.")


def _number(item: Any, tag: str) -> int | None:
    number = value(item, tag)
    return number if isinstance(number, int) else None
