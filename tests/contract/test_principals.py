"""Who sees what: keys, owners, origins."""

import httpx
import pytest

from sammoe.segmentation import Workspace
from tests import scans
from tests.contract.service import OCTETS, Service, point, refusal

ANN, BOB = "ann-has-a-long-key", "bob-has-a-longer-key"
KEYS = f"ann:{ANN},bob:{BOB}"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.fault("S20")
async def test_nobody_enters_without_a_key(workspace: Workspace) -> None:
    async with Service.over(workspace, api_keys=KEYS) as service:
        http = service.http
        for headers in ({}, bearer("x" * 20), {"X-API-Key": "ann"}):
            for answer in (
                await http.get("/v1/volumes", headers=headers),
                await http.get("/v1/capabilities", headers=headers),
                await http.get("/metrics", headers=headers),
                await http.post("/v1/volumes", content=b"x" * 100, headers=headers | OCTETS),
                await http.get("/v1/volumes?limit=many", headers=headers),
            ):
                assert refusal(answer) == (401, "unauthorized")
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        for path in ("/livez", "/readyz"):
            assert (await http.get(path)).status_code == 200
        for headers in (bearer(ANN), {"X-API-Key": BOB}):
            assert (await http.get("/v1/volumes", headers=headers)).status_code == 200
            assert (await http.get("/metrics", headers=headers)).status_code == 200


async def test_an_upload_without_a_key_is_not_received(workspace: Workspace) -> None:
    async with Service.over(workspace, api_keys=KEYS) as service:
        answer = await service.add()
        assert refusal(answer) == (401, "unauthorized")
        assert answer.headers["Connection"] == "close"


@pytest.mark.fault("S18")
async def test_what_is_anothers_is_not_there(workspace: Workspace) -> None:
    async with Service.over(workspace, api_keys=KEYS) as service:
        http = service.http
        mine, theirs = bearer(ANN), bearer(BOB)
        volume = (await service.add(headers=mine)).json()["id"]
        made = (await service.click(volume, headers=mine)).json()["id"]
        entries = {"entries": [{"segmentation": made, "label": "x"}]}
        path = f"/v1/volumes/{volume}/results"
        result = (await http.post(path, json=entries, headers=mine)).json()["id"]
        foreign = (await service.add(headers=theirs)).json()["id"]
        assert foreign != volume
        body = point(*scans.INSIDE)
        missing = "0" * 26
        for method, path, sent in (
            ("GET", "/v1/volumes/{volume}", None),
            ("DELETE", "/v1/volumes/{volume}", None),
            ("POST", "/v1/volumes/{volume}/embeddings", {}),
            ("POST", "/v1/volumes/{volume}/segmentations", body),
            ("GET", "/v1/volumes/{volume}/segmentations", None),
            ("GET", "/v1/segmentations/{made}", None),
            ("DELETE", "/v1/segmentations/{made}", None),
            ("POST", "/v1/segmentations/{made}/undo", None),
            ("GET", "/v1/segmentations/{made}/mask", None),
            ("GET", "/v1/volumes/{volume}/results", None),
            ("POST", "/v1/volumes/{volume}/results", entries),
            ("GET", "/v1/results/{result}", None),
            ("PUT", "/v1/results/{result}", entries),
            ("DELETE", "/v1/results/{result}", None),
            ("GET", "/v1/results/{result}/mask", None),
            ("GET", "/v1/results/{result}/seg", None),
            ("GET", "/v1/results/{result}/rtstruct", None),
            ("POST", "/v1/results/{result}/store", {}),
        ):
            answers = [
                await http.request(method, path.format(**ids), json=sent, headers=theirs)
                for ids in (
                    {"volume": volume, "made": made, "result": result},
                    {"volume": missing, "made": missing, "result": missing},
                )
            ]
            known, unknown = (a.json() | {"request_id": ""} for a in answers)
            assert refusal(answers[0]) == (404, "not_found")
            assert known == unknown
        stolen = await http.post(f"/v1/volumes/{foreign}/results", json=entries, headers=theirs)
        assert refusal(stolen) == (404, "not_found")
        crossed = await service.click(foreign, parent=made, headers=theirs)
        assert refusal(crossed) == (404, "not_found")
        listed = (await http.get("/v1/volumes", headers=theirs)).json()
        assert [item["id"] for item in listed["items"]] == [foreign]
        assert (await http.get(f"/v1/segmentations/{made}", headers=mine)).status_code == 200


async def test_keys_of_idempotency_are_each_ones_own(workspace: Workspace) -> None:
    async with Service.over(workspace, api_keys=KEYS) as service:
        key = {"Idempotency-Key": "the-same"}
        answers = [await service.add(headers=key | bearer(who)) for who in (ANN, BOB)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json()["id"] != answers[1].json()["id"]


async def preflight(http: httpx.AsyncClient, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    return await http.options("/v1/volumes", headers=headers)


@pytest.mark.fault("S21")
async def test_a_listed_page_may_call_and_read(workspace: Workspace) -> None:
    origin = "https://ohif.example"
    async with Service.over(workspace, allowed_origins=origin) as service:
        asked = await preflight(service.http, origin)
        assert asked.status_code == 200
        assert asked.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in asked.headers
        answer = await service.add(headers={"Origin": origin})
        assert answer.status_code == 201
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
        refused = await service.http.get("/v1/volumes/nope", headers={"Origin": origin})
        assert refusal(refused) == (404, "not_found")
        assert refused.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.fault("S21")
@pytest.mark.parametrize(
    "origin", ["null", "https://ohif.example.evil.example", "http://ohif.example", "https://evil"]
)
async def test_other_pages_may_not(workspace: Workspace, origin: str) -> None:
    async with Service.over(workspace, allowed_origins="https://ohif.example") as service:
        for answer in (
            await preflight(service.http, origin),
            await service.add(headers={"Origin": origin}),
            await service.http.get("/v1/volumes", headers={"Origin": origin}),
        ):
            assert refusal(answer) == (403, "origin_refused")
            assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.fault("S21")
async def test_by_default_no_other_page_may_call(service: Service) -> None:
    answer = await preflight(service.http, "https://ohif.example")
    assert refusal(answer) == (403, "origin_refused")
    own = await service.http.get("/v1/volumes", headers={"Origin": "http://127.0.0.1:8000"})
    assert own.status_code == 200
    assert "Access-Control-Allow-Origin" not in own.headers


@pytest.mark.fault("S21")
async def test_a_rebound_name_is_misdirected(service: Service) -> None:
    answer = await service.http.get("/v1/volumes", headers={"Host": "evil.example"})
    assert refusal(answer) == (421, "host_refused")
