"""The OpenAPI document: valid, complete, true, and not changed by accident.

``docs/openapi.json`` is the document of the last release. After a wanted change, write it anew:
``SAMMOE_WRITE_OPENAPI=1 python -m pytest tests/contract/test_openapi.py``.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from sammoe.segmentation import Workspace
from tests import scans
from tests.contract.service import EXPERT, Service, point, refusal

SNAPSHOT: Final = Path(__file__).parents[2] / "docs" / "openapi.json"

OPERATIONS: Final = {
    "addVolume",
    "listVolumes",
    "getVolume",
    "getVoxels",
    "deleteVolume",
    "warmVolume",
    "searchSeries",
    "warmStudy",
    "segment",
    "addMask",
    "listSegmentations",
    "getSegmentation",
    "deleteSegmentation",
    "undo",
    "getMask",
    "addResult",
    "listResults",
    "getResult",
    "replaceResult",
    "deleteResult",
    "getResultMask",
    "getResultSeg",
    "getResultRtstruct",
    "storeResult",
    "getCapabilities",
    "getLiveness",
    "getReadiness",
    "getMetrics",
}


@pytest.fixture
async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get("/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each operation by ``method path``, with its problem answers in place of references."""
    shared = document["components"]["responses"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            answers = {
                status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
                for status, answer in operation["responses"].items()
            }
            yield f"{method} {path}", operation | {"responses": answers}


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """The value is what the schema says; references are looked up in the document."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    validator = Draft202012Validator(whole | {"components": document["components"]})
    validator.validate(value)


def surface(document: dict[str, Any]) -> dict[str, Any]:
    """What clients rely on, without words for people."""
    words = {"description", "title", "summary", "example", "examples", "tags"}

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            # A property may be called "description"; its schema is a dict.
            return {
                key: bare(item)
                for key, item in sorted(value.items())
                if key not in words or (isinstance(item, dict) and "type" in item)
            }
        return [bare(item) for item in value] if isinstance(value, list) else value

    bared: dict[str, Any] = bare({key: document[key] for key in ("paths", "components")})
    return bared


def test_it_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_has_a_stable_name_and_words(document: dict[str, Any]) -> None:
    found = dict(operations(document))
    assert {operation["operationId"] for operation in found.values()} == OPERATIONS
    for name, operation in found.items():
        assert operation["description"], name


def test_every_v1_operation_documents_its_refusals(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if "/v1/" not in name:
            continue
        answers = operation["responses"]
        assert {"401", "403", "421", "422", "500", "503"} <= answers.keys(), name
        for status, answer in answers.items():
            if status >= "4":
                (media_type,) = answer["content"]
                assert media_type == "application/problem+json"
        if "{" in name:
            assert "404" in answers, name
        if name.startswith("post "):
            headers = [p["name"] for p in operation["parameters"] if p["in"] == "header"]
            assert headers == ["Idempotency-Key"], name
            assert {"400", "409"} <= answers.keys(), name
        if "requestBody" in operation:
            assert {"400", "408", "413", "415"} <= answers.keys(), name


def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    count = 0
    for _, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for content in body.get("content", {}).values():
                named = content.get("examples", {}).values()
                values = [example["value"] for example in named]
                values += [content["example"]] if "example" in content else []
                for value in values:
                    check(document, content["schema"], value)
                    count += 1
    assert count > 100


async def test_examples_of_clicks_are_understood(
    document: dict[str, Any], service: Service
) -> None:
    volume = await service.volume()
    path = "/v1/volumes/{volume_id}/segmentations"
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    for name, example in content["examples"].items():
        answer = await service.http.post(path.format(volume_id=volume), json=example["value"])
        # The story's volume is another one: its places and its parent are not here.
        assert refusal(answer) in {(422, "point_outside"), (404, "not_found")}, name


async def test_real_answers_are_what_is_documented(
    document: dict[str, Any], service: Service
) -> None:
    http = service.http
    volume = await service.volume()
    first = await service.segmentation(volume, tau=0.0)
    second = await service.segmentation(volume, parent=first, **point(33, 30, 20))
    box = await service.segmentation(
        volume, space="ras", box=[[-5, -15, 30], [10, 5, 50]], expert=EXPERT
    )
    entries = {"entries": [{"segmentation": second, "label": "Spleen"}]}
    other_entries = {"entries": [{"segmentation": box, "label": "Spleen"}]}
    result = (await http.post(f"/v1/volumes/{volume}/results", json=entries)).json()["id"]
    documented_by_name = dict(operations(document))
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("post", "/v1/volumes", {"content": scans.gzipped(), "headers": {"Content-Type": OCTETS}}),
        ("get", "/v1/volumes", {}),
        ("get", "/v1/volumes/{volume_id}", {}),
        ("post", "/v1/volumes/{volume_id}/embeddings", {"json": {}}),
        ("post", "/v1/volumes/{volume_id}/segmentations", {"json": point(*scans.INSIDE)}),
        ("post", "/v1/volumes/{volume_id}/segmentations", {"json": point(999, 1, 1)}),
        ("post", "/v1/volumes/{volume_id}/segmentations", {"content": b"{"}),
        ("get", "/v1/volumes/{volume_id}/segmentations", {}),
        ("get", "/v1/segmentations/{segmentation_id}", {}),
        ("get", "/v1/segmentations/{segmentation_id}/mask", {}),
        ("post", "/v1/segmentations/{segmentation_id}/undo", {}),
        ("post", "/v1/volumes/{volume_id}/results", {"json": other_entries}),
        ("get", "/v1/volumes/{volume_id}/results", {}),
        ("get", "/v1/results/{result_id}", {}),
        ("put", "/v1/results/{result_id}", {"json": entries}),
        ("get", "/v1/results/{result_id}/mask", {}),
        ("delete", "/v1/segmentations/{segmentation_id}", {}),
        ("delete", "/v1/results/{result_id}", {}),
        ("get", "/v1/capabilities", {}),
        ("delete", "/v1/segmentations/{segmentation_id}", {}),
        ("delete", "/v1/segmentations/{segmentation_id}", {}),
        ("delete", "/v1/volumes/{volume_id}", {}),
    ]
    assert (await http.get(f"/v1/segmentations/{box}")).status_code == 200
    for method, path, sent in calls:
        url = path.format(volume_id=volume, segmentation_id=second, result_id=result)
        answer = await http.request(method, url, **sent)
        documented = documented_by_name[f"{method} {path}"]["responses"][str(answer.status_code)]
        for header in documented.get("headers", ()):
            assert header in answer.headers or header == "Idempotent-Replayed", (path, header)
        if not answer.content:
            assert "content" not in documented
            continue
        content = documented["content"][answer.headers["Content-Type"]]
        if answer.headers["Content-Type"].endswith("json"):
            check(document, content["schema"], answer.json())


async def test_keys_are_documented_where_they_are_needed(workspace: Workspace) -> None:
    async with Service.over(workspace, api_keys="ann:ann-has-a-long-key") as service:
        document = (await service.http.get("/openapi.json")).json()
    for name, operation in operations(document):
        needs = operation["security"] != []
        assert needs is (name.split()[1] not in {"/livez", "/readyz"}), name


def test_it_is_that_of_the_last_release(document: dict[str, Any]) -> None:
    if os.environ.get("SAMMOE_WRITE_OPENAPI"):
        SNAPSHOT.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    assert surface(document) == surface(json.loads(SNAPSHOT.read_text()))


OCTETS: Final = "application/octet-stream"
