"""What a DICOMweb server may answer, and what of it is taken."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr

from sammoe.errors import (
    PacsError,
    PacsUnavailable,
    PacsUnknown,
    SammoeError,
    SeriesMissing,
    TooLarge,
)
from sammoe.pacs import Pacs, PacsServer, SeriesQuery, connection
from sammoe.pacs.connection import _may_be_server
from sammoe.pacs.lists import parsed

STUDY, SERIES = "1.2.3", "1.2.3.4"
RELATED = 'multipart/related; type="application/dicom"; boundary=b'


def server(url: str, **changes: object) -> PacsServer:
    fields = {
        "name": "default",
        "url": url,
        "user": "",
        "password": SecretStr(""),
        "token": SecretStr(""),
        "ca_file": None,
        "networks": (),
    }
    return PacsServer(**(fields | changes))  # type: ignore[arg-type]


def http(body: bytes, kind: str = RELATED, status: str = "200 OK", *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", "Connection: close", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


def parts(*files: bytes, end: bytes = b"--b--\r\n") -> bytes:
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + file + b"\r\n" for file in files) + end


def listed(*items: dict[str, object]) -> bytes:
    made = [{tag: {"Value": [value]} for tag, value in item.items()} for item in items]
    return http(json.dumps(made).encode(), "application/dicom+json")


COUNTED = listed({"0020000E": SERIES, "00201209": 2})


@asynccontextmanager
async def answering(answer: Callable[[str], bytes]) -> AsyncIterator[tuple[Pacs, list[str]]]:
    """A server that answers each request (its head) with raw bytes; and what it was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        writer.write(answer(head))
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    pacs = Pacs([server(f"http://localhost:{port}/dicom-web", token=SecretStr("secret"))])
    async with listener:
        try:
            yield pacs, asked
        finally:
            await pacs.close()


async def retrieve(
    answer: bytes, folder: Path, limit: int = 1000, count: bytes = COUNTED
) -> list[bytes]:
    def choose(head: str) -> bytes:
        return answer if f"/series/{SERIES} " in head else count

    async with (
        answering(choose) as (pacs, _),
        pacs.retrieve(STUDY, SERIES, folder, limit) as arrived,
    ):
        found = sorted(arrived.path.iterdir()) if arrived.path.is_dir() else [arrived.path]
        return [path.read_bytes() for path in found]


async def test_files_arrive_and_leave_nothing_behind(tmp_path: Path) -> None:
    assert await retrieve(http(parts(b"one", b"two")), tmp_path) == [b"one", b"two"]
    assert list(tmp_path.iterdir()) == []


async def test_a_server_need_not_count(tmp_path: Path) -> None:
    empty = http(b"", "application/dicom+json", "204 No Content")
    assert await retrieve(http(parts(b"one")), tmp_path, count=empty) == [b"one"]


@pytest.mark.fault("S23")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http(b"", status="302 Found", kind="text/html"), PacsError),
        (http(b"", "text/html", "301 Moved", "Location: http://169.254.169.254/"), PacsError),
        (http(b"", status="401 Unauthorized"), PacsError),
        (http(b"", status="403 Forbidden"), PacsError),
        (http(b"", status="404 Not Found"), SeriesMissing),
        (http(b"", status="500 Oh"), PacsError),
        (http(b"", status="503 Busy"), PacsUnavailable),
        (http(parts(b"one", b"two"), status="206 Partial"), PacsError),
        (http(b"<html>", "text/html"), PacsError),
        (http(parts(b"one", b"two"), "multipart/related"), PacsError),
        (http(parts(b"one", b"two"), f"multipart/related; boundary={'b' * 300}"), PacsError),
        (http(b"nonsense"), PacsError),
        (http(parts(b"one", b"two", end=b"")), PacsError),
        (http(parts(b"one", b"two")[:-20]), PacsError),
        (http(parts(b"one", b"two"), RELATED, "200 OK", "Content-Length: 9999"), PacsError),
        (http(parts(b"one")), PacsError),
        (http(parts(b"x" * 2000, b"two")), TooLarge),
        (b"no http at all\r\n\r\n", PacsError),
        (b"", PacsError),
    ],
)
async def test_what_is_no_whole_series_is_refused(
    answer: bytes, error: type[SammoeError], tmp_path: Path
) -> None:
    with pytest.raises(error):
        await retrieve(answer, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("S23")
async def test_silence_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_READ_SECONDS", 0.2)
    silent = http(parts(b"one", end=b""), RELATED, "200 OK", "Content-Length: 9999")

    given_up = asyncio.Event()

    async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if f"/series/{SERIES} ".encode() not in head:
            writer.write(COUNTED)
        else:
            writer.write(silent)
            await reader.read()
            given_up.set()
        writer.close()

    async with await asyncio.start_server(stay, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        pacs = Pacs([server(f"http://127.0.0.1:{port}")])
        with pytest.raises(PacsUnavailable):
            async with pacs.retrieve(STUDY, SERIES, tmp_path, 1000):
                pass
        await pacs.close()
        async with asyncio.timeout(10):
            await given_up.wait()


async def test_credentials_and_the_name_go_along() -> None:
    async with answering(lambda head: listed()) as (pacs, asked):
        await pacs.find_series(SeriesQuery(study=STUDY))

    assert asked[0].startswith(f"GET /dicom-web/studies/{STUDY}/series?includefield=00201209 ")
    assert "authorization: bearer secret" in asked[0].lower()
    assert "host: localhost:" in asked[0].lower()


async def test_series_of_several_studies_are_found() -> None:
    studies = listed(
        {"0020000D": "1.1", "00080020": "20260102"}, {"0020000D": "1.2", "00080020": "bad"}, {}
    )
    series = {
        "/studies/1.1/": listed({"0020000E": "1.1.1", "00080060": "CT", "00201209": 7}, {"x": 1}),
        "/studies/1.2/": listed({"0020000E": "1.2.1", "00080060": "MR"}, {"0020000E": 5}),
    }

    def answer(head: str) -> bytes:
        return next((made for path, made in series.items() if path in head), studies)

    async with answering(answer) as (pacs, asked):
        query = SeriesQuery(since=date(2026, 1, 1), until=date(2026, 2, 1), offset=3, limit=9)
        found = (await pacs.find_series(query)).items
        ct = await pacs.find_series(SeriesQuery(modality="CT", limit=3))

    assert "?limit=9&offset=3&StudyDate=20260101-20260201 " in asked[0]
    assert [(one.series, one.modality, one.instances) for one in found] == [
        ("1.1.1", "CT", 7),
        ("1.2.1", "MR", None),
    ]
    assert found[0].study_date == date(2026, 1, 2)
    assert [one.series for one in ct.items] == ["1.1.1"]
    assert not ct.more


@pytest.mark.fault("S23")
@pytest.mark.parametrize(
    "answer",
    [
        http(b"{}", "application/dicom+json"),
        http(b"[", "application/dicom+json"),
        http(b"[" * 100_000, "application/dicom+json"),
        http(b"\xff", "application/dicom+json"),
    ],
)
async def test_a_list_that_is_none_is_refused(answer: bytes) -> None:
    async with answering(lambda head: answer) as (pacs, _):
        with pytest.raises(PacsError):
            await pacs.find_series(SeriesQuery(study=STUDY))


async def test_lists_are_taken_apart_beside_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = []

    def noted(text: bytes) -> object:
        threads.append(threading.get_ident())
        return parsed(text)

    monkeypatch.setattr("sammoe.pacs.client.parsed", noted)
    async with answering(lambda head: COUNTED) as (pacs, _):
        page = await pacs.find_series(SeriesQuery(study=STUDY))
    assert [one.series for one in page.items] == [SERIES]
    assert threading.get_ident() not in threads


@pytest.mark.fault("S23")
async def test_a_list_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sammoe.pacs.client._MAX_JSON", 100)
    async with answering(lambda head: http(b" " * 200)) as (pacs, _):
        with pytest.raises(TooLarge):
            await pacs.find_series(SeriesQuery(study=STUDY))


@pytest.mark.fault("S22")
async def test_names_that_lead_nowhere() -> None:
    pacs = Pacs([server("http://no-such-host.invalid")])
    with pytest.raises(PacsUnavailable):
        await pacs.find_series(SeriesQuery(study=STUDY))
    with pytest.raises(PacsUnknown, match="no such"):
        pacs.connection("other")
    with pytest.raises(PacsUnknown, match="no DICOMweb server"):
        Pacs([]).connection()
    await pacs.close()


@pytest.mark.fault("S22")
async def test_addresses_are_checked_after_the_name_is_looked_up() -> None:
    away = server("http://localhost:9", networks=(ip_network("10.0.0.0/8"),))
    for refused in (away, server("http://169.254.169.254"), server("http://[fe80::1]")):
        pacs = Pacs([refused])
        with pytest.raises(PacsError, match="not allowed"):
            await pacs.find_series(SeriesQuery(study=STUDY))
        await pacs.close()


@pytest.mark.fault("S22")
@pytest.mark.parametrize(
    ("address", "networks", "may"),
    [
        ("10.1.2.3", [], True),
        ("127.0.0.1", [], True),
        ("8.8.8.8", [], True),
        ("169.254.169.254", [], False),
        ("::ffff:169.254.169.254", [], False),
        ("fe80::1", [], False),
        ("224.0.0.1", [], False),
        ("0.0.0.0", [], False),
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("11.1.2.3", ["10.0.0.0/8", "12.0.0.0/8"], False),
    ],
)
def test_where_a_server_may_be(address: str, networks: list[str], may: bool) -> None:
    assert _may_be_server(ip_address(address), tuple(map(ip_network, networks))) is may


async def test_a_series_alone_leads_to_its_study() -> None:
    found = listed({"0020000E": "1.9", "0020000D": "1.8"}, {"0020000E": SERIES, "0020000D": STUDY})
    async with answering(lambda head: found) as (pacs, asked):
        assert await pacs.study_of(SERIES) == STUDY
        assert await pacs.study_of("1.2.3.5") is None
        for name in ("", "06dt2k9m3g1v8s5b0hf4q7n2ac", "1/../2", "1" * 65):
            assert await pacs.study_of(name) is None
        assert len(asked) == 2
        assert f"/dicom-web/series?SeriesInstanceUID={SERIES}&" in asked[0]
    assert await Pacs([]).study_of(SERIES) is None


async def test_a_series_is_counted() -> None:
    async with answering(lambda head: COUNTED) as (pacs, asked):
        assert await pacs.instances(STUDY, SERIES) == 2
        for study, series in (("../..", SERIES), (STUDY, "1/2"), ("", SERIES)):
            assert await pacs.instances(study, series) is None
        assert len(asked) == 1


async def test_what_reads_is_asked_again_when_a_kept_connection_was_closed(tmp_path: Path) -> None:
    """As Orthanc does after a second, just when it is taken again."""
    answers = [b"", COUNTED]

    async with answering(lambda head: answers.pop(0)) as (pacs, asked):
        assert await pacs._instances(pacs.connection(), STUDY, SERIES) == 2
        assert len(asked) == 2
    async with answering(lambda head: b"") as (pacs, asked):
        with pytest.raises(PacsError):
            async with pacs.connection().open("POST", "/studies", content=b"x"):
                pass
        assert len(asked) == 1
