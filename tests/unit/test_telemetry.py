import logging

import pytest

from sammoe.telemetry import (
    UNMATCHED,
    Telemetry,
    configure_logging,
    error_log,
    log_failure,
    log_request,
)


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def test_requests_are_counted_by_template() -> None:
    telemetry = Telemetry()
    telemetry.request("GET", "/v1/volumes/{volume_id}", 200, 0.03)
    telemetry.request("GET", "/v1/volumes/{volume_id}", 200, 0.03)
    labels = {"method": "GET", "route": "/v1/volumes/{volume_id}", "status": "200"}
    assert value(telemetry, "sammoe_http_requests_total", **labels) == 2
    assert value(
        telemetry, "sammoe_http_request_seconds_sum", route=labels["route"]
    ) == pytest.approx(0.06)


def test_made_up_methods_share_one_label() -> None:
    telemetry = Telemetry()
    for method in ("BREW", "POUR", "SIP"):
        telemetry.request(method, UNMATCHED, 405, 0.0)
    labels = {"method": "other", "route": UNMATCHED, "status": "405"}
    assert value(telemetry, "sammoe_http_requests_total", **labels) == 3


def test_segmentations_and_uploads_are_measured() -> None:
    telemetry = Telemetry()
    telemetry.segmentation("spleen", fused=True, phases_ms={"decode": 20.0}, cache="miss")
    telemetry.upload(1234)
    assert value(telemetry, "sammoe_phase_seconds_sum", phase="decode") == pytest.approx(0.02)
    assert value(telemetry, "sammoe_embedding_cache_total", outcome="miss") == 1
    counted = "sammoe_segmentations_total"
    assert value(telemetry, counted, expert="spleen", fused="true") == 1
    assert value(telemetry, "sammoe_uploaded_bytes_total") == 1234


def test_two_applications_do_not_share_counters() -> None:
    one, other = Telemetry(), Telemetry()
    one.upload(1)
    assert value(other, "sammoe_uploaded_bytes_total") == 0
    assert b"sammoe_uploaded_bytes_total 1.0" in one.exposition()


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
    logger = logging.getLogger("sammoe")
    before = (logger.handlers[:], logger.level, logger.propagate)
    try:
        configure_logging("error")
        error_log.error("seen")
        error_log.info("not seen")
    finally:
        logger.handlers[:], logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("ERROR sammoe.errors seen\n")
    assert "not seen" not in captured.err
