"""What is asked of DICOMweb servers: a series' files (WADO-RS), and which there are (QIDO-RS)."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from sammoe.errors import PacsError, PacsUnavailable, PacsUnknown
from sammoe.pacs.connection import Connection, check_status
from sammoe.pacs.lists import parsed, read, value
from sammoe.pacs.parts import RelatedParts
from sammoe.pacs.servers import PacsServer
from sammoe.store.arriving import Arrived, arriving

T = TypeVar("T")

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
        known = tuple(servers)
        self._connections = {server.name: Connection(server) for server in known}
        # Apart, so that viewers which read slowly leave connections for series to be pulled.
        self._viewing = {server.name: Connection(server) for server in known[:1]}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the servers, the default first."""
        return tuple(self._connections)

    async def close(self) -> None:
        """Close all connections."""
        for connection in (*self._connections.values(), *self._viewing.values()):
            await connection.close()

    def connection(self, name: str | None = None) -> Connection:
        """The connection to a server, or to the default one.

        Raises
        ------
        PacsUnknown
            There is no such server.
        """
        known = next(iter(self._connections), None) if name is None else name
        return self._known(self._connections, known or "")

    def viewing(self) -> Connection:
        """The connection to the default server for viewers, who may be slow.

        Raises
        ------
        PacsUnknown
            There is none.
        """
        return self._known(self._viewing, next(iter(self._viewing), ""))

    def _known(self, connections: Mapping[str, Connection], name: str) -> Connection:
        if name not in connections:
            what = "no DICOMweb server" if not connections else "no such DICOMweb server"
            raise PacsUnknown(f"The service has {what}: its operator sets them.")
        return connections[name]

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
                return await _list(
                    connection, f"/studies/{study}/series", wanted, partial(_series, study, day)
                )

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
        return await _list(self.connection(), "/series", wanted, partial(_study_of, series))

    async def instances(self, study: str, series: str) -> int | None:
        """How many images the default server has of a series; None where it does not say so.

        Raises
        ------
        SeriesMissing, PacsError, PacsUnavailable, PacsUnknown
            See `retrieve`.
        """
        if not (_UID.fullmatch(study) and _UID.fullmatch(series)):
            return None
        return await self._instances(self.connection(), study, series)

    async def _studies(self, connection: Connection, query: SeriesQuery) -> dict[str, date | None]:
        wanted = {"limit": str(query.limit), "offset": str(query.offset)}
        if query.modality:
            wanted["ModalitiesInStudy"] = query.modality
        if query.since or query.until:
            wanted["StudyDate"] = f"{_day(query.since)}-{_day(query.until)}"
        return await _list(connection, "/studies", wanted, _days)

    async def _instances(self, connection: Connection, study: str, series: str) -> int | None:
        """How many images a series has, where the server says it."""
        wanted = {"SeriesInstanceUID": series, "includefield": _INSTANCES}
        return await _list(connection, f"/studies/{study}/series", wanted, partial(_count, series))


async def _files(connection: Connection, path: str) -> AsyncGenerator[tuple[int, bytes], None]:
    headers = {"Accept": _FILES, "Accept-Encoding": "identity"}
    async with connection.open("GET", path, headers=headers) as answer:
        check_status(answer)
        parts = RelatedParts(answer.headers.get("content-type", ""))
        async for numbered in parts.pieces(answer.aiter_bytes()):
            yield numbered


async def _list(
    connection: Connection, path: str, wanted: Mapping[str, str], take: Callable[[list[Any]], T]
) -> T:
    """What ``take`` makes, beside the event loop, of the answer to a search: an array, or none."""
    query = urlencode(wanted).encode()
    try:
        async with (
            asyncio.timeout(_LIST_SECONDS),
            connection.open("GET", path, query=query, headers={"Accept": _JSON}) as answer,
        ):
            check_status(answer)
            text = await read(answer, _MAX_JSON)
    except TimeoutError:
        raise PacsUnavailable(f"A list did not come within {_LIST_SECONDS:.0f} s.") from None
    return await asyncio.to_thread(lambda: take(_listed(text)))


def _listed(text: bytes) -> list[Any]:
    found = parsed(text) if text else []
    if not isinstance(found, list):
        raise PacsError("The DICOMweb server answered a search with something else than JSON.")
    return found


def _days(listed: list[Any]) -> dict[str, date | None]:
    """Studies, and when they were made."""
    studies = {}
    for one in listed:
        uid = value(one, _STUDY)
        if isinstance(uid, str):
            studies[uid] = _date(value(one, _STUDY_DATE))
    return studies


def _count(series: str, listed: list[Any]) -> int | None:
    """How many images are told of a series."""
    for one in listed:
        if value(one, _SERIES) == series:
            count = value(one, _INSTANCES)
            return count if isinstance(count, int) else None
    return None


def _study_of(series: str, listed: list[Any]) -> str | None:
    """The study that a series is said to be of."""
    for one in listed:
        study = value(one, _STUDY)
        if value(one, _SERIES) == series and isinstance(study, str) and _UID.fullmatch(study):
            return study
    return None


def _series(study: str, day: date | None, listed: list[Any]) -> list[SeriesFound]:
    return [found for one in listed if (found := _found(one, study, day)) is not None]


def _found(one: Any, study: str, day: date | None) -> SeriesFound | None:
    series, modality = value(one, _SERIES), value(one, _MODALITY)
    count = value(one, _INSTANCES)
    if not isinstance(series, str):
        return None
    return SeriesFound(
        study=study,
        series=series,
        modality=modality if isinstance(modality, str) else "",
        study_date=_date(value(one, _STUDY_DATE)) or day,
        instances=count if isinstance(count, int) else None,
    )


def _date(text: Any) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _day(day: date | None) -> str:
    return "" if day is None else day.strftime("%Y%m%d")
