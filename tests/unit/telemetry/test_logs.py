import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest

from sammoe.telemetry import UNMATCHED, about, configure_logging, log_failure, log_request
from sammoe.telemetry.logs import access_log, error_log

FORGED = "Doe\r\n2026-01-01 INFO sammoe.access status=200\x1b[2J\x85\u2028\x00"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    loggers = [
        logging.getLogger(name) for name in ("sammoe", "asyncio", "opentelemetry", "uvicorn")
    ]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines on stderr, however a terminal or a collector may split them."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_request_is_one_line_without_its_path(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sammoe.access"):
        log_request("abc", "GET", "/v1/volumes/{volume_id}", 200, 0.0123)
        log_request("abc", "GE\nT", UNMATCHED, 404, 0.0)
    assert [record.getMessage() for record in caplog.records] == [
        "request_id=abc method=GET route=/v1/volumes/{volume_id} status=200 ms=12.3",
        "request_id=abc method=other route=unmatched status=404 ms=0.0",
    ]


def test_a_fault_is_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("could not read Doe^John")
    except ValueError as error:
        log_failure("abc", error)
    assert "exception=ValueError" in caplog.text
    assert "test_a_fault_is_logged_without_its_message" in caplog.text
    assert "Doe" not in caplog.text


def test_logging_goes_to_stderr_from_its_level_up(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("error")
    error_log.error("seen")
    error_log.info("not seen")
    (line,) = told(capsys)
    assert line.endswith("ERROR sammoe.errors seen")


def test_requests_are_json_with_their_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    with about("abc"):
        log_request("abc", "GET", "/v1/volumes/{volume_id}", 200, 0.0123)
    (line,) = told(capsys)
    said = json.loads(line)
    assert datetime.fromisoformat(said.pop("time")).tzinfo is not None
    assert said == {
        "level": "info",
        "logger": "sammoe.access",
        "request_id": "abc",
        "method": "GET",
        "route": "/v1/volumes/{volume_id}",
        "status": 200,
        "ms": 12.3,
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_every_line_tells_its_request(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json" if form == "json" else "text")
    with about("abc"):
        error_log.warning("a part is slow")
    error_log.warning("nobody asked")
    within, beside = told(capsys)
    assert ("abc" in within, "abc" in beside) == (True, False)
    if form == "json":
        assert json.loads(within)["request_id"] == "abc"
        assert json.loads(within)["message"] == "a part is slow"
    else:
        assert within.endswith("WARNING sammoe.errors a part is slow request_id=abc")


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_forges_a_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json" if form == "json" else "text")
    access_log.warning("a name was sent: %s", FORGED)
    (line,) = told(capsys)
    assert line.isprintable()
    if form == "json":
        assert json.loads(line)["message"] == f"a name was sent: {FORGED}"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_librarys_exception_is_told_without_its_message(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", "json" if form == "json" else "text")
    try:
        raise ValueError("could not read Doe^John")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    (line,) = told(capsys)
    assert "ValueError at " in line
    assert "test_a_librarys_exception_is_told_without_its_message" in line
    assert "Doe" not in line
