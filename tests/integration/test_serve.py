import gzip
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests import scans
from tests.integration.serving import START_SECONDS, Server, sammoe, serving

OCTETS = {"Content-Type": "application/octet-stream"}
CLICK = {"space": "voxel", "points": [{"position": scans.INSIDE, "label": 1}]}


def add(http: httpx.Client, seed: int = 0) -> str:
    answer = http.post("/v1/volumes", content=scans.gzipped(seed), headers=OCTETS)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def click(http: httpx.Client, volume: str, **headers: str) -> httpx.Response:
    return http.post(f"/v1/volumes/{volume}/segmentations", json=CLICK, headers=headers)


def exchange(server: Server, *pieces: bytes) -> bytes:
    """Send bytes as they are, and read until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), START_SECONDS) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
        return answer


def test_it_says_where_everything_is(server: Server, bundle: Path) -> None:
    lines = server.greeting
    assert "research use, not a medical device" in lines
    assert f"{server.url}/v1" in lines
    assert f"{server.url}/docs" in lines
    assert str(bundle.resolve()) in lines
    assert "this machine only" in lines


def test_a_whole_session(http: httpx.Client) -> None:
    volume = add(http, seed=52)  # of no other test: nobody has had it embedded
    assert add(http, seed=52) == volume
    named = {"file": ("Doe^John.nii.gz", scans.gzipped(52))}
    with_form = http.post("/v1/volumes", files=named)
    assert (with_form.status_code, with_form.json()["id"]) == (200, volume)
    first = click(http, volume)
    assert first.status_code == 201
    assert 'cache;desc="miss"' in first.headers["Server-Timing"]
    refined = http.post(
        f"/v1/volumes/{volume}/segmentations",
        json={
            "space": "voxel",
            "points": [{"position": [36, 30, 20], "label": 0}],
            "parent": first.json()["id"],
        },
        headers={"Accept": "application/vnd.sammoe.mask"},
    )
    assert refined.status_code == 201
    assert 'cache;desc="hit"' in refined.headers["Server-Timing"]
    path = refined.headers["Location"]
    seen = http.get(path).json()
    assert seen["parent"] == first.json()["id"]
    mask = http.get(f"{path}/mask")
    assert len(gzip.decompress(mask.content)) > 60 * 70 * 50
    assert http.delete(f"/v1/volumes/{volume}").status_code == 204
    assert http.get(path).status_code == 404


@pytest.mark.fault("S28")
def test_fifty_first_clicks_at_once_are_one_encode(http: httpx.Client) -> None:
    volume = add(http, seed=50)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: click(http, volume), range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 50
    assert len({answer.json()["voxel_count"] for answer in answers}) == 1
    encoded = ["crop;dur" in answer.headers["Server-Timing"] for answer in answers]
    assert sum(encoded) == 1


def test_the_same_click_has_the_same_bytes_hit_or_miss(http: httpx.Client) -> None:
    volume = add(http, seed=51)
    form = {"Accept": "application/x-nifti+gzip"}
    miss, hit = click(http, volume, **form), click(http, volume, **form)
    assert "miss" in miss.headers["Server-Timing"]
    assert "hit" in hit.headers["Server-Timing"]
    assert miss.content == hit.content


@pytest.mark.fault("S01")
def test_a_declared_size_over_the_limit_is_refused_before_it_is_sent(server: Server) -> None:
    head = (
        b"POST /v1/volumes HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Length: 3000000\r\n\r\n"
    )
    answer = exchange(server, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"too_large"' in answer


@pytest.mark.fault("S02")
def test_an_undeclared_size_over_the_limit_is_cut(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"\0" * (1 << 16)

    with server.client() as http:
        try:
            answer_seen = http.post("/v1/volumes", content=endless(), headers=OCTETS)
        except httpx.TransportError:
            pass  # the server answered and closed; this client was still writing
        else:
            assert answer_seen.status_code == 413
    head = (
        b"POST /v1/volumes HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"210000\r\n" + b"\0" * 0x210000 + b"\r\n"
    answer = exchange(server, head, chunk)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


@pytest.mark.fault("S25")
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/volumes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_nobody_else_notices(
    server: Server, http: httpx.Client, request_bytes: bytes
) -> None:
    try:
        answer = exchange(server, request_bytes)
    except ConnectionError:
        answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert http.get("/livez").is_success


@pytest.mark.fault("S25")
def test_two_lengths_at_once_do_not_smuggle_a_request(server: Server) -> None:
    answer = exchange(
        server,
        b"POST /v1/volumes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"0\r\n\r\nGET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    )
    assert b"alive" not in answer


@pytest.mark.fault("S21")
def test_a_foreign_host_header_is_refused(server: Server) -> None:
    answer = exchange(server, b"GET /livez HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 421 ")


def test_a_stalled_service_loses_no_request_on_an_idle_connection(server: Server) -> None:
    """Clients use one for up to 5 s; the service must not close it as it wakes up."""
    with server.client() as http, ThreadPoolExecutor(1) as pool:
        http.get("/v1/capabilities").raise_for_status()
        time.sleep(4.5)
        server.process.send_signal(signal.SIGSTOP)
        try:
            waiting = pool.submit(http.get, "/v1/capabilities")
            time.sleep(1.0)
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert waiting.result(START_SECONDS).status_code == 200


@pytest.mark.fault("F13")
def test_a_request_under_way_is_finished_before_the_end(bundle: Path, tmp_path: Path) -> None:
    body = scans.gzipped()
    head = (
        "POST /v1/volumes HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with serving(bundle, tmp_path / "state") as server:
        with socket.create_connection(("127.0.0.1", server.port), START_SECONDS) as connection:
            connection.sendall(head + body[:1000])
            with server.client() as http:
                # Answered after the head above was: so that one is under way.
                http.get("/livez").raise_for_status()
            server.process.send_signal(signal.SIGTERM)
            threading.Event().wait(0.5)
            connection.sendall(body[1000:])
            answer = b""
            while piece := connection.recv(1 << 16):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert server.process.wait(START_SECONDS) == 0


def test_ctrl_c_ends_it(bundle: Path, tmp_path: Path) -> None:
    with serving(bundle, tmp_path / "state") as server:
        assert server.stop(signal.SIGINT) == 130
        assert "Traceback" not in server.log.read_text()


@pytest.mark.fault("F14")
def test_a_kill_loses_nothing(bundle: Path, tmp_path: Path) -> None:
    key = {"Idempotency-Key": "once"}
    with serving(bundle, tmp_path / "state") as server:
        with server.client() as http:
            volume = add(http)
            first = click(http, volume, **key)
        server.stop(signal.SIGKILL)
    with serving(bundle, tmp_path / "state") as server, server.client() as http:
        assert http.get(first.headers["Location"]).json()["id"] == first.json()["id"]
        again = click(http, volume, **key)
        assert (again.headers["Idempotent-Replayed"], again.content) == ("true", first.content)
        assert len(http.get(f"/v1/volumes/{volume}/segmentations").json()["items"]) == 1


def test_keys_and_log_level_come_from_the_environment(bundle: Path, tmp_path: Path) -> None:
    settings = {"SAMMOE_API_KEYS": "ann:ann-has-a-long-key", "SAMMOE_LOG_LEVEL": "error"}
    with serving(bundle, tmp_path / "state", **settings) as server, server.client() as http:
        assert "principals: ann" in server.greeting
        assert http.get("/v1/volumes").status_code == 401
        headers = {"Authorization": "Bearer ann-has-a-long-key"}
        assert http.get("/v1/volumes", headers=headers).status_code == 200
        assert server.stop() == 0
        assert server.log.read_text() == ""


@pytest.mark.fault("S13")
def test_nothing_of_a_patient_is_written_to_the_log(bundle: Path, tmp_path: Path) -> None:
    with serving(bundle, tmp_path / "state", "--log-level", "debug") as server:
        with server.client() as http:
            file = {"file": ("Doe^John.nii.gz", scans.gzipped())}
            volume = http.post("/v1/volumes", files=file).json()["id"]
            click(http, volume)
            http.get("/v1/volumes/Doe^John?patient=Doe^John", headers={"X-Request-Id": "Doe^John"})
        exchange(server, b"GET /Doe^John HTTP/9.9 Doe^John\r\n\r\n")
        server.stop()
        log = server.log.read_text()
    assert "route=/v1/volumes status=201" in log
    assert "Doe" not in log
    assert volume not in log


def test_other_machines_are_not_served_without_keys(bundle: Path) -> None:
    done = sammoe("serve", "--host", "0.0.0.0", "--bundle", str(bundle))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--insecure" in done.stderr


def test_a_port_in_use_is_one_clear_line(server: Server, bundle: Path, tmp_path: Path) -> None:
    flags = ["--port", str(server.port), "--bundle", str(bundle), "--state", str(tmp_path)]
    done = sammoe("serve", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"sammoe serve: can not listen on 127.0.0.1 port {server.port}: Address already in use;"
        " choose another with --port (SAMMOE_PORT)\n"
    )
