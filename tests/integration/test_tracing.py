"""Traces of a real service at a real OTLP endpoint, and their way on to Triton."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from sammoe.engine.triton_connection import Connection
from sammoe.errors import EngineError
from sammoe.telemetry import span, tracing
from sammoe.telemetry.otlp import OtlpTracer
from tests import scans
from tests.collector import Collector, Received, collecting
from tests.integration.serving import Server, serving

PATIENT = "Doe^John"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SEGMENT = "POST /v1/volumes/{volume_id}/segmentations"
SERVER_KIND = 2


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(
    bundle: Path, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    state = tmp_path_factory.mktemp("traced") / "state"
    flags = ("--tracing-url", collector.url, "--log-format", "json")
    with serving(bundle, state, *flags, OTEL_BSP_SCHEDULE_DELAY="200") as server:
        yield server


def click(server: Server, seed: int, **headers: str) -> httpx.Response:
    with server.client() as http:
        volume = http.post(
            "/v1/volumes", files={"file": (f"{PATIENT}.nii.gz", scans.gzipped(seed))}
        ).json()["id"]
        body = {"space": "voxel", "points": [{"position": scans.INSIDE, "label": 1}]}
        return http.post(f"/v1/volumes/{volume}/segmentations", json=body, headers=headers)


def below(spans: list[Received], name: str) -> set[str]:
    """Names of the spans whose parent has this name."""
    ids = {one.span_id for one in spans if one.name == name}
    return {one.name for one in spans if one.parent_id in ids}


def test_a_click_is_a_tree_of_phases_below_its_callers_span(
    traced: Server, collector: Collector
) -> None:
    answer = click(traced, 1, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert answer.status_code == 201
    spans = collector.wait(SEGMENT, TRACE)
    (request,) = [one for one in spans if one.name == SEGMENT]
    assert (request.kind, request.parent_id) == (SERVER_KIND, PARENT)
    assert below(spans, SEGMENT) == {"read", "embed", "decode", "paste", "store"}
    assert below(spans, "embed") == {"crop", "encode"}
    assert all(request.began <= one.began <= one.ended <= request.ended for one in spans)
    assert request.attributes["http.response.status_code"] == 201
    assert request.attributes["http.route"] == "/v1/volumes/{volume_id}/segmentations"
    assert request.attributes["sammoe.request_id"] == answer.headers["X-Request-Id"]
    assert collector.resource["service.name"] == "sammoe"
    assert not [one for one in spans if one.failed or one.events]


def test_log_lines_and_trace_find_each_other(traced: Server, collector: Collector) -> None:
    answer = click(traced, 1, traceparent=f"00-{TRACE[::-1]}-{PARENT}-01")
    collector.wait(SEGMENT, TRACE[::-1])
    lines = [json.loads(line) for line in traced.log.read_text().splitlines()]
    (line,) = [x for x in lines if x["request_id"] == answer.headers["X-Request-Id"]]
    assert (line["trace_id"], line["status"]) == (TRACE[::-1], 201)


@pytest.mark.parametrize("sent", ["00-0-0-01", "x" * 5000, f"00-{'0' * 32}-{PARENT}-01", PATIENT])
def test_a_malformed_parent_is_none(traced: Server, collector: Collector, sent: str) -> None:
    answer = click(traced, 1, traceparent=sent)
    assert answer.status_code == 201
    identity = answer.headers["X-Request-Id"]

    def mine(one: Received) -> bool:
        return one.attributes.get("sammoe.request_id") == identity

    while not (found := [one for one in collector.spans() if mine(one)]):
        collector.wait(SEGMENT)
    assert found[0].parent_id == ""


def test_nothing_of_a_patient_and_no_probe_is_traced(traced: Server, collector: Collector) -> None:
    with traced.client() as http:
        for path in ("/livez", "/readyz", "/metrics"):
            http.get(path).raise_for_status()
        http.get(f"/v1/volumes/{PATIENT}?name={PATIENT}", headers={"tracestate": f"a={PATIENT}"})
        http.get("/last")
    collector.wait("GET unmatched")
    text = repr(collector.spans())
    assert "Doe" not in text
    assert "readyz" not in text


def test_a_dead_collector_costs_spans_alone(bundle: Path, tmp_path: Path) -> None:
    flags = ("--tracing-url", "http://127.0.0.1:9")
    with serving(bundle, tmp_path / "state", *flags, OTEL_BSP_SCHEDULE_DELAY="50") as server:
        assert click(server, 1).status_code == 201
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()


class _Asked(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Notes what it is asked with, and refuses."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, Any]] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        self.metadata.append(dict(details.invocation_metadata))
        return None


async def test_triton_is_told_whose_span_asks_it(collector: Collector) -> None:
    asked, server = _Asked(), grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((asked,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    connection = Connection(f"127.0.0.1:{port}")
    tracer = OtlpTracer(collector.url)
    image = {"image": np.zeros((1,), np.float32)}
    try:
        with pytest.raises(EngineError):
            await connection.infer("encoder", image, 5)
        with tracing(tracer), span("encode"), pytest.raises(EngineError):
            await connection.infer("encoder", image, 5)
        tracer.close()
    finally:
        await connection.close()
        server.stop(None)
    untraced, traced = asked.metadata
    assert "traceparent" not in untraced
    (told,) = [one for one in collector.spans() if one.name == "triton"]
    assert traced["traceparent"].startswith(f"00-{told.trace_id}-{told.span_id}-")
    assert told.failed
    assert told.attributes["error.type"] == "engine_unavailable"
