"""What clients send to a running service that no client should."""

import os
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pydicom import dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.integration.serving import START_SECONDS, Server, serving
from tests.integration.test_serve import CLICK, OCTETS, add
from tests.series import as_bytes, ct, series

SHAPE = (24, 20, 10)
CONNECTIONS = 700
"""More than the service keeps, and fewer than a process may open by default."""

MIB = 1 << 20


def cpu_seconds(process: int) -> float:
    """Of a process and all its threads, so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> int:
    """Bytes of memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.fault("S26")
def test_requests_on_one_connection_are_answered_in_order(server: Server) -> None:
    asked = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n"
    paths = [b"/livez", b"/v1/nothing", b"/livez"]
    sent = b"".join(asked % (path, b"") for path in paths) + asked % (
        b"/v1/volumes",
        b"Connection: close\r\n",
    )
    with socket.create_connection(("127.0.0.1", server.port), START_SECONDS) as connection:
        connection.sendall(sent)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404", b"200", b"200"]


@pytest.mark.fault("S26")
@pytest.mark.parametrize("method", ["HEAD", "TRACE", "OPTIONS", "CONNECT", "PATCH"])
def test_other_methods_are_refused_on_every_route(http: httpx.Client, method: str) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    for path in paths:
        answer = http.request(method, path.replace("{", "").replace("}", ""))
        assert answer.status_code in {400, 404, 405}, path
        assert "Traceback" not in answer.text


@pytest.mark.fault("S33")
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b"{" + b",".join(b'"k%d":1' % k for k in range(20_000)) + b"}",
        b'{"points":[' + b",".join([b"{}"] * 60_000) + b"]}",
        b'{"tau":' + b"9" * 250_000 + b"}",
        b'{"tau":1e' + b"9" * 250_000 + b"}",
        b"{" + b",".join(b'"k%d":1' % k for k in range(1_000_000)) + b"}",
    ],
    ids=["lists", "objects", "members", "points", "digits", "exponent", "megabytes"],
)
def test_json_of_any_kind_costs_little(
    server: Server, http: httpx.Client, body: bytes, seen: Callable[[str], None]
) -> None:
    volume = add(http)
    before = cpu_seconds(server.process.pid)
    path = f"/v1/volumes/{volume}/segmentations"
    answer = http.post(path, content=body, headers={"Content-Type": "application/json"})
    spent = cpu_seconds(server.process.pid) - before
    assert answer.status_code in {400, 413, 422}
    assert len(answer.content) < 20_000
    # Of the processor, whatever else runs here; the clock ticks in 10 ms.
    assert spent < 0.5
    if spent > 0.05:
        seen(f"{1000 * spent:.0f} ms of the processor")


@pytest.mark.fault("S04")
def test_idle_connections_keep_nobody_out(
    server: Server, http: httpx.Client, seen: Callable[[str], None]
) -> None:
    volume, before = add(http), resident(server.process.pid)
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10.0))
        with server.client() as other:
            other.get("/livez").raise_for_status()
            other.post(f"/v1/volumes/{volume}/segmentations", json=CLICK).raise_for_status()
        held = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        grown = resident(server.process.pid) - before
    assert held < CONNECTIONS
    assert grown < 64 * MIB
    seen(f"{CONNECTIONS} idle connections: {held} files open, {grown / MIB:.0f} MiB more")


@pytest.mark.fault("S03")
def test_slow_uploads_leave_room_for_clicks(bundle: Path, tmp_path: Path) -> None:
    head = (
        b"POST /v1/volumes HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Length: 9000000\r\n\r\n"
    )
    flags = ["--limit-concurrency", "8", "--upload-seconds", "3"]
    with (
        serving(bundle, tmp_path / "state", *flags) as server,
        server.client() as http,
        ExitStack() as stack,
    ):
        volume = add(http)
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60.0))
            for _ in range(8)
        ]
        for connection in slow:
            connection.sendall(head + b"slow")
        click = http.post(f"/v1/volumes/{volume}/segmentations", json=CLICK)
        assert click.status_code == 201
        statuses = sorted(connection.recv(1 << 16)[9:12] for connection in slow)
        # Half of them had no place, the others no time.
        assert statuses == [b"408"] * 4 + [b"503"] * 4


@pytest.mark.fault("S27")
def test_one_principal_s_encodes_do_not_take_all(bundle: Path, tmp_path: Path) -> None:
    settings = {"SAMMOE_API_KEYS": "ann:ann-has-a-long-key,bob:bob-has-a-long-key"}
    flags = ["--encodes-per-minute", "3"]
    with serving(bundle, tmp_path / "state", *flags, **settings) as server, ExitStack() as stack:
        ann, bob = (
            stack.enter_context(
                httpx.Client(
                    base_url=server.url,
                    headers={"Authorization": f"Bearer {name}-has-a-long-key"},
                    timeout=START_SECONDS,
                )
            )
            for name in ("ann", "bob")
        )
        volumes = [add(ann, seed) for seed in range(5)]
        answers = [ann.post(f"/v1/volumes/{v}/segmentations", json=CLICK) for v in volumes]
        codes = [answer.status_code for answer in answers]
        assert codes[:3] == [201] * 3
        assert 429 in codes[3:]
        refused = answers[codes.index(429)]
        assert refused.json()["code"] == "rate_exceeded"
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        # Later clicks need no encode, and others have theirs.
        for client, volume in ((ann, volumes[0]), (bob, add(bob, 9))):
            client.post(f"/v1/volumes/{volume}/segmentations", json=CLICK).raise_for_status()


def element(tag: tuple[int, int], vr: bytes, length: int, value: bytes = b"") -> bytes:
    """A data element in explicit VR, little-endian, with a length that may lie."""
    head = struct.pack("<HH", *tag) + vr
    if vr in (b"SQ", b"OB", b"OW", b"UN"):
        return head + struct.pack("<HI", 0, length) + value
    return head + struct.pack("<H", length) + value


def nested(depth: int) -> bytes:
    """Sequences of undefined length within each other, none of which is ever closed."""
    opened = element((0x0040, 0xA730), b"SQ", 0xFFFFFFFF)
    return (opened + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * depth


def headed(body: bytes) -> bytes:
    """A DICOM file of explicit VR, little-endian, of any content."""
    whole = as_bytes(series(ct(SHAPE))[0])
    # Preamble and magic, the element with the length of what follows, and that.
    meta = 144 + int.from_bytes(whole[140:144], "little")
    return whole[:meta] + body


@pytest.mark.fault("S11")
@pytest.mark.parametrize(
    "content",
    [
        headed(nested(10_000)),
        headed(nested(1)),
        headed(element((0x0008, 0x0005), b"UN", 0xFFFFFFF0, b"x")),
        headed(element((0x0010, 0x0010), b"PN", 0xFFFE, b"Doe^John")),
        headed(element((0x7FE0, 0x0010), b"OW", 0xFFFFFFFF, b"x" * 99)),
        headed(b"\xff" * 5000),
    ],
    ids=["deep", "open", "long", "short", "pixels", "noise"],
)
def test_dicom_without_end_is_refused(server: Server, http: httpx.Client, content: bytes) -> None:
    before = resident(server.process.pid)
    answer = http.post("/v1/volumes", content=content, headers=OCTETS)
    assert 400 <= answer.status_code < 500, answer.text
    assert "Doe" not in answer.text
    assert resident(server.process.pid) - before < 64 * MIB
    assert http.get("/livez").is_success


def bomb(size: int) -> bytes:
    """A deflated DICOM image of so many pixels, all alike."""
    one = series(ct(SHAPE))[0]
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    side = int(size**0.5) & ~1
    one.Rows = one.Columns = side
    one.BitsAllocated = one.BitsStored = 8
    one.HighBit, one.PixelRepresentation = 7, 0
    one.PixelData = bytes(side * side)
    file = BytesIO()
    dcmwrite(file, one, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.fault("S06")
def test_a_deflated_bomb_is_inflated_no_further_than_images_are(
    server: Server, http: httpx.Client
) -> None:
    content = bomb(160 * MIB)
    assert len(content) < MIB
    before = resident(server.process.pid)
    answer = http.post("/v1/volumes", content=content, headers=OCTETS)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert resident(server.process.pid) - before < 64 * MIB
