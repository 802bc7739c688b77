"""What is asked of DICOMweb servers: a series' files (WADO-RS), and which there are (QIDO-RS)."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from sammoe.errors import PacsError, PacsUnavailable, PacsUnknown, TooLarge
from sammoe.pacs.connection import Answer, Connection, check_status
from sammoe.pacs.parts import RelatedParts
from sammoe.pacs.servers import PacsServer
from sammoe.store.arriving import Arrived, arriving

_FILES: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_JSON: Final = "application/dicom+json"
_MAX_JSON: Final = 1 << 24
"""Bytes of a list."""
_SECONDS: Final = 900.0
"""For a whole series."""
_LIST_SECONDS: Final = 60.0
_AT_ONCE: Final = 4
_UID: Final = re.compile(r"[0-9][0-9.]{0,63}")

_STUDY, _SERIES = "0020000D", "0020000E"
_MODALITY, _STUDY_DATE, _INSTANCES = "00080060", "00080020", "00201209"


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Which series are looked for.

    Attributes
    ----------
    study
        UID of their study, if it is known.
    modality
        ``CT``, ``MR``, ...
    since, until
        First and last day of their studies.
    offset, limit
        Studies to leave out, and to look through at most.
    """

    study: str | None = None
    modality: str | None = None
    since: date | None = None
    until: date | None = None
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True, repr=False)
class SeriesFound:
    """A series that a server has."""

    study: str
    series: str
    modality: str
    study_date: date | None
    instances: int | None


@dataclass(frozen=True, slots=True)
class SeriesPage:
    """Series of the studies that were looked through, and whether there may be more studies."""

    items: tuple[SeriesFound, ...]
    more: bool


class Pacs:
    """The DICOMweb servers of a service.

    Parameters
    ----------
    servers
        The first is the default.
    """

    def __init__(self, servers: Iterable[PacsServer]) -> None:
        self._connections = {server.name: Connection(server) for server in servers}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the servers, the default first."""
        return tuple(self._connections)

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            await connection.close()

    def connection(self, name: str | None = None) -> Connection:
        """The connection to a server, or to the default one.

        Raises
        ------
        PacsUnknown
            There is no such server.
        """
        known = next(iter(self._connections), None) if name is None else name
        connection = self._connections.get(known or "")
        if connection is None:
            what = "no DICOMweb server" if not self._connections else "no such DICOMweb server"
            raise PacsUnknown(f"The service has {what}: its operator sets them.")
        return connection

    @asynccontextmanager
    async def retrieve(
        self, study: str, series: str, folder: Path, limit: int, server: str | None = None
    ) -> AsyncIterator[Arrived]:
        """The files of a series, as long as the context lasts; see `arriving`.

        Raises
        ------
        SeriesMissing
            The server has no such series.
        PacsError, PacsUnavailable, PacsUnknown
            It did not answer as it should, in time and in full.
        TooLarge
            The series has more than ``limit`` bytes.
        """
        connection = self.connection(server)
        expected = await self._instances(connection, study, series)
        files = _files(connection, f"/studies/{study}/series/{series}")
        async with AsyncExitStack() as stack:
            pieces = await stack.enter_async_context(aclosing(files))
            try:
                async with asyncio.timeout(_SECONDS):
                    arrived = await stack.enter_async_context(arriving(pieces, folder, limit))
            except TimeoutError:
                raise PacsUnavailable(f"The series did not come within {_SECONDS:.0f} s.") from None
            if expected is not None and arrived.files < expected:
                raise PacsError(
                    f"The DICOMweb server sent {arrived.files} of {expected} images; try again."
                )
            yield arrived

    async def find_series(self, query: SeriesQuery, server: str | None = None) -> SeriesPage:
        """Look for series: those of one study, or of a page of studies.

        Raises
        ------
        SeriesMissing, PacsError, PacsUnavailable, PacsUnknown
            See `retrieve`.
        """
        connection = self.connection(server)
        studies = {query.study: None} if query.study else await self._studies(connection, query)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def of(study: str, day: date | None) -> list[SeriesFound]:
            async with gate:
                wanted = {"Modality": query.modality} if query.modality else {}
                wanted["includefield"] = _INSTANCES
                listed = await _list(connection, f"/studies/{study}/series", wanted)
            return [found for one in listed if (found := _found(one, study, day)) is not None]

        lists = await asyncio.gather(*(of(study, day) for study, day in studies.items()))
        items = tuple(
            found
            for listed in lists
            for found in listed
            # Not every server filters by what it was asked for.
            if query.modality in (None, found.modality)
        )
        return SeriesPage(items, more=not query.study and len(studies) >= query.limit)

    async def study_of(self, series: str) -> str | None:
        """The study that a series of the default server belongs to; None without one.

        Raises
        ------
        PacsError, PacsUnavailable
            See `retrieve`.
        """
        if not self._connections or not _UID.fullmatch(series):
            return None
        wanted = {"SeriesInstanceUID": series, "includefield": _STUDY}
        for one in await _list(self.connection(), "/series", wanted):
            study = _value(one, _STUDY)
            if _value(one, _SERIES) == series and isinstance(study, str) and _UID.fullmatch(study):
                return study
        return None

    async def _studies(self, connection: Connection, query: SeriesQuery) -> dict[str, date | None]:
        wanted = {"limit": str(query.limit), "offset": str(query.offset)}
        if query.modality:
            wanted["ModalitiesInStudy"] = query.modality
        if query.since or query.until:
            wanted["StudyDate"] = f"{_day(query.since)}-{_day(query.until)}"
        listed = await _list(connection, "/studies", wanted)
        studies = {}
        for one in listed:
            uid, day = _value(one, _STUDY), _date(_value(one, _STUDY_DATE))
            if isinstance(uid, str):
                studies[uid] = day
        return studies

    async def _instances(self, connection: Connection, study: str, series: str) -> int | None:
        """How many images a series has, where the server says it."""
        wanted = {"SeriesInstanceUID": series, "includefield": _INSTANCES}
        for one in await _list(connection, f"/studies/{study}/series", wanted):
            if _value(one, _SERIES) == series:
                count = _value(one, _INSTANCES)
                return count if isinstance(count, int) else None
        return None


async def _files(connection: Connection, path: str) -> AsyncGenerator[tuple[int, bytes], None]:
    headers = {"Accept": _FILES, "Accept-Encoding": "identity"}
    async with connection.open("GET", path, headers=headers) as answer:
        check_status(answer)
        parts = RelatedParts(answer.headers.get("content-type", ""))
        async for numbered in parts.pieces(answer.aiter_bytes()):
            yield numbered


async def _list(connection: Connection, path: str, wanted: Mapping[str, str]) -> list[Any]:
    """The answer to a search: a JSON array, or nothing."""
    query = urlencode(wanted).encode()
    try:
        async with (
            asyncio.timeout(_LIST_SECONDS),
            connection.open("GET", path, query=query, headers={"Accept": _JSON}) as answer,
        ):
            check_status(answer)
            text = await _read(answer)
    except TimeoutError:
        raise PacsUnavailable(f"A list did not come within {_LIST_SECONDS:.0f} s.") from None
    if not text:
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise PacsError("The DICOMweb server answered a search with something else than JSON.")
    return found


async def _read(answer: Answer) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > _MAX_JSON:
            raise TooLarge(f"The DICOMweb server's list has more than {_MAX_JSON} bytes.")
    return bytes(body)


def _found(one: Any, study: str, day: date | None) -> SeriesFound | None:
    series, modality = _value(one, _SERIES), _value(one, _MODALITY)
    count = _value(one, _INSTANCES)
    if not isinstance(series, str):
        return None
    return SeriesFound(
        study=study,
        series=series,
        modality=modality if isinstance(modality, str) else "",
        study_date=_date(_value(one, _STUDY_DATE)) or day,
        instances=count if isinstance(count, int) else None,
    )


def _value(one: Any, tag: str) -> Any:
    """The first value of an attribute in DICOM's JSON; None where it is missing."""
    element = one.get(tag) if isinstance(one, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, Sequence) and values else None


def _date(text: Any) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _day(day: date | None) -> str:
    return "" if day is None else day.strftime("%Y%m%d")
