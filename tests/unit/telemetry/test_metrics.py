import os

import pytest

from sammoe.telemetry import UNMATCHED, Routed, Telemetry


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


def test_segmentations_refusals_and_uploads_are_measured() -> None:
    telemetry = Telemetry()
    routed = Routed("spleen", fused=True, check="accepted", s_top=0.93)
    telemetry.segmentation(routed, phases_ms={"decode": 20.0}, cache="miss")
    telemetry.segmentation(
        Routed("general", check="rejected", s_top=0.5), phases_ms={}, cache="hit"
    )
    telemetry.segmentation(Routed("general"), phases_ms={}, cache="hit")
    telemetry.refusal("point_outside")
    telemetry.upload(1234)
    assert value(telemetry, "sammoe_phase_seconds_sum", phase="decode") == pytest.approx(0.02)
    assert value(telemetry, "sammoe_embedding_cache_total", outcome="miss") == 1
    counted = "sammoe_segmentations_total"
    assert value(telemetry, counted, expert="spleen", fused="true") == 1
    assert value(telemetry, counted, expert="general", fused="false") == 2
    assert value(telemetry, "sammoe_expert_checks_total", verdict="accepted") == 1
    assert value(telemetry, "sammoe_expert_checks_total", verdict="rejected") == 1
    # Where the gate was not asked there is no score.
    assert value(telemetry, "sammoe_gate_score_count") == 2
    assert value(telemetry, "sammoe_gate_score_bucket", le="0.5") == 1
    assert value(telemetry, "sammoe_gate_score_bucket", le="0.95") == 2
    assert value(telemetry, "sammoe_refusals_total", code="point_outside") == 1
    assert value(telemetry, "sammoe_uploaded_bytes_total") == 1234


def test_the_process_tells_its_memory_and_descriptors() -> None:
    telemetry = Telemetry()
    assert (value(telemetry, "process_resident_memory_bytes") or 0) > 1 << 20
    assert (value(telemetry, "process_open_fds") or 0) >= len(os.listdir("/proc/self/fd")) - 2


def test_two_applications_do_not_share_counters() -> None:
    one, other = Telemetry(), Telemetry()
    one.upload(1)
    assert value(other, "sammoe_uploaded_bytes_total") == 0
    assert b"sammoe_uploaded_bytes_total 1.0" in one.exposition()
