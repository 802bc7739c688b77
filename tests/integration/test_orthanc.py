"""The PACS that other tests use: it runs, and lets in who may come in."""

import httpx

from tests.integration.orthanc_server import OrthancServer


def test_basic_credentials_are_asked_for(orthanc: OrthancServer) -> None:
    assert httpx.get(f"{orthanc.dicomweb}/studies").status_code == 401
    with orthanc.client() as http:
        assert http.get("/dicom-web/studies").status_code == 200


def test_a_bearer_token_is_asked_for(bearer_orthanc: OrthancServer) -> None:
    assert httpx.get(f"{bearer_orthanc.dicomweb}/studies").status_code == 403
    with bearer_orthanc.client() as http:
        assert http.get("/dicom-web/studies").status_code == 200
