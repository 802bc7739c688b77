import logging
import re
from pathlib import Path

import pytest

from sammoe import __version__
from sammoe.api.capabilities import Capabilities
from sammoe.bundle import Bundle
from sammoe.segmentation import Workspace
from sammoe.settings import Settings
from tests.bundles import write_test_bundle
from tests.contract.service import EXPERT, Service, point

PATIENT = "Doe^John"


async def test_capabilities_tell_what_is_served(service: Service, bundle: Bundle) -> None:
    answer = (await service.http.get("/v1/capabilities")).json()
    assert answer["version"] == __version__
    assert answer["notice"] == "Research use only. Not a medical device."
    assert answer["bundle"]["digest"] == bundle.digest
    assert [expert["name"] for expert in answer["experts"]] == [EXPERT]
    assert answer["window_voxels"] == 32
    assert answer["spacings"] == [
        {"spacing_mm": 1.5, "width_mm": 48.0},
        {"spacing_mm": 3.0, "width_mm": 96.0},
    ]
    assert answer["prompts"]["boxes"] == "native"
    assert answer["routing"] == {"own_slack": {}} | bundle.manifest.routing.model_dump()
    assert answer["experts"][0]["classes"] == []
    assert answer["limits"]["upload_bytes"] == 1 << 30


async def test_capabilities_follow_the_settings(workspace: Workspace) -> None:
    async with Service.over(workspace, upload_limit_mib=3, json_limit_kib=5) as service:
        limits = (await service.http.get("/v1/capabilities")).json()["limits"]
    assert (limits["upload_bytes"], limits["json_bytes"]) == (3 << 20, 5 << 10)


async def test_bundle_without_experts_and_boxes_tells_so(tmp_path: Path) -> None:
    told = Capabilities.of(write_test_bundle(tmp_path, boxes=False), Settings.load({}), ())
    assert told.routing is None
    assert told.prompts.boxes == "mapped"


async def test_alive_and_ready(service: Service) -> None:
    for path, word in (("/livez", "alive\n"), ("/readyz", "ready\n")):
        answer = await service.http.get(path)
        assert (answer.status_code, answer.text) == (200, word)


async def test_readiness_tells_that_another_bundle_should_answer(service: Service) -> None:
    service.app.state.services.workspace.swaps.awaited = "0123456789abcdef"
    answer = await service.http.get("/readyz")
    assert (answer.status_code, answer.text) == (200, "ready, bundle 0123456789ab awaited\n")
    assert "sammoe_bundle_awaited 1.0" in (await service.http.get("/metrics")).text


@pytest.mark.fault("S32")
async def test_metrics_count_what_happened_under_bounded_labels(service: Service) -> None:
    volume = await service.volume()
    await service.click(volume)
    await service.click(volume)
    for n in range(20):
        await service.http.get(f"/v1/volumes/random-{n}")
        await service.http.get(f"/random-{n}")
        await service.click(volume, expert=f"random-{n}")
    answer = await service.http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    text = answer.text
    assert "random" not in text
    assert volume not in text
    segment = 'method="POST",route="/v1/volumes/{volume_id}/segmentations"'
    assert f'sammoe_http_requests_total{{{segment},status="201"}} 2.0' in text
    assert f'sammoe_http_requests_total{{{segment},status="422"}} 20.0' in text
    assert 'route="unmatched",status="404"} 20.0' in text
    assert 'sammoe_embedding_cache_total{outcome="hit"} 1.0' in text
    assert 'sammoe_embedding_cache_total{outcome="miss"} 1.0' in text
    assert 'sammoe_embeddings_total{level="memory",outcome="hit"} 1.0' in text
    assert 'sammoe_embeddings_total{level="memory",outcome="miss"} 1.0' in text
    assert re.search(r"sammoe_embedding_memory_bytes [1-9]", text)
    assert "redis" not in text
    assert 'sammoe_phase_seconds_count{phase="decode"} 2.0' in text
    assert re.search(r"sammoe_uploaded_bytes_total [1-9]", text)


@pytest.mark.fault("S13")
async def test_nothing_of_a_patient_is_logged(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        volume = (
            await service.http.post(
                "/v1/volumes", files={"file": (f"{PATIENT}.nii.gz", b"no scan" * 100)}
            )
        ).json()
        assert volume["code"] == "unsupported_format"
        volume_id = await service.volume()
        await service.click(volume_id, **point(12.3456, 30, 20))
        await service.click(volume_id, expert=PATIENT)
        await service.http.get(f"/v1/volumes/{PATIENT}?name={PATIENT}")
        await service.http.get("/v1/volumes", headers={"X-Request-Id": PATIENT})
    ours = [record for record in caplog.records if record.name.startswith("sammoe")]
    assert len([record for record in ours if record.name == "sammoe.access"]) == 6
    text = "\n".join(record.getMessage() for record in ours)
    assert not re.search(r"Doe|John|12\.34", text)
    assert volume_id not in text


async def test_the_docs_page_works_without_anything_from_elsewhere(service: Service) -> None:
    answer = await service.http.get("/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "POST /v1/volumes/{volume_id}/segmentations" in answer.text
    assert "<script" not in answer.text
    assert not re.search(r"(src|href)=.?https?:", answer.text)
