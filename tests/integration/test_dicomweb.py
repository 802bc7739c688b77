"""Series out of a real PACS: pulled, searched for, and read through the proxy."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom.uid import UID

from tests.integration.orthanc_server import PASSWORD, TOKEN, USER, OrthancServer
from tests.integration.serving import Server, serving
from tests.series import SERIES, STUDY, as_bytes, ct, enhanced, mr, series

SHAPE = (48, 44, 24)
CT = ct(SHAPE)
OTHER = "1.2.826.0.1.7"


@pytest.fixture(scope="module")
def pacs(orthanc: OrthancServer) -> Iterator[OrthancServer]:
    """Orthanc with a CT of two patients' and an MR in a study."""
    orthanc.empty()
    orthanc.store(map(as_bytes, series(CT)))
    orthanc.store(map(as_bytes, series(mr(SHAPE), modality="MR", intercept=0, uid=OTHER)))
    yield orthanc
    orthanc.empty()


@pytest.fixture(scope="module")
def front(
    pacs: OrthancServer, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A service that knows that PACS."""
    state = tmp_path_factory.mktemp("front") / "state"
    environment = {
        "SAMMOE_DICOMWEB_URL": pacs.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
    }
    with serving(bundle, state, **environment) as server:
        yield server


@pytest.fixture
def http(front: Server) -> Iterator[httpx.Client]:
    with front.client() as http:
        yield http


def pull(http: httpx.Client, study: str = STUDY, series: str = SERIES) -> httpx.Response:
    return http.post("/v1/volumes", json={"dicomweb": {"study": study, "series": series}})


def test_a_series_is_pulled_once(http: httpx.Client) -> None:
    first, again = pull(http), pull(http)

    assert first.status_code == 201, first.text
    assert again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["shape"] == list(SHAPE)
    assert first.json()["source"]["series"] == SERIES
    assert http.get("/v1/capabilities").json()["dicomweb"] == ["default"]


def test_what_is_pulled_is_what_was_stored(http: httpx.Client) -> None:
    volume = pull(http).json()
    body = {"space": "voxel", "points": [{"position": [24, 22, 12], "label": 1}]}

    pulled = http.post(f"/v1/volumes/{volume['id']}/segmentations", json=body).json()
    files = [("file", as_bytes(one)) for one in series(CT)]
    sent = http.post("/v1/volumes", files=files).json()
    direct = http.post(f"/v1/volumes/{sent['id']}/segmentations", json=body).json()

    assert pulled["voxel_count"] == direct["voxel_count"]
    assert sent["affine"] == volume["affine"]


@pytest.mark.parametrize("study_and_series", [(STUDY, "1.2.3"), ("1.2.3", SERIES)])
def test_what_is_not_there_is_said(http: httpx.Client, study_and_series: tuple[str, str]) -> None:
    answer = pull(http, *study_and_series)

    assert (answer.status_code, answer.json()["code"]) == (404, "series_not_found")


@pytest.mark.fault("S22")
@pytest.mark.parametrize("uid", ["", "abc", "1.2/../..", "1.2?x=y", "1" * 65, "http://other/"])
def test_what_is_no_uid_is_refused(http: httpx.Client, uid: str) -> None:
    answer = pull(http, uid)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


@pytest.mark.fault("S22")
def test_only_servers_that_are_set_can_be_asked(http: httpx.Client) -> None:
    wanted = {"study": STUDY, "series": SERIES, "server": "other"}

    answer = http.post("/v1/volumes", json={"dicomweb": wanted})

    assert (answer.status_code, answer.json()["code"]) == (422, "pacs_unknown")


def test_series_are_found(http: httpx.Client) -> None:
    def search(**query: object) -> list[dict[str, object]]:
        answer = http.post("/v1/dicomweb/search", json=query)
        assert answer.status_code == 200, answer.text
        assert "Doe" not in answer.text
        return list(answer.json()["items"])

    assert {one["series"] for one in search(study=STUDY)} == {SERIES, OTHER}
    assert search(modality="CT", since="2026-01-01") == [
        {
            "study": STUDY,
            "series": SERIES,
            "modality": "CT",
            "study_date": "2026-01-02",
            "instances": SHAPE[2],
        }
    ]
    assert search(since="2026-01-03") == []
    assert search(until="2026-01-01") == []
    assert search(modality="PT") == []


def test_the_proxy_lets_viewers_in(http: httpx.Client, pacs: OrthancServer) -> None:
    found = http.get("/dicom-web/studies", params={"StudyDate": "20260102"})
    assert found.status_code == 200
    assert found.headers["Content-Type"] == "application/dicom+json"
    assert found.json()[0]["0020000D"]["Value"] == [STUDY]

    metadata = http.get(f"/dicom-web/studies/{STUDY}/series/{SERIES}/metadata").json()
    assert len(metadata) == SHAPE[2]
    bulk = metadata[0]["7FE00010"]["BulkDataURI"]
    assert bulk.startswith(f"{http.base_url}/dicom-web/"), bulk
    assert http.get(bulk).status_code == 200

    instance = metadata[0]["00080018"]["Value"][0]
    frame = http.get(
        f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{instance}/frames/1",
        headers={"Accept": 'multipart/related; type="application/octet-stream"'},
    )
    assert frame.status_code == 200, frame.text
    assert frame.headers["Content-Type"].startswith("multipart/related")
    assert len(frame.content) > SHAPE[0] * SHAPE[1] * 2


def test_the_proxy_stores(http: httpx.Client, pacs: OrthancServer) -> None:
    (new,) = enhanced(CT)
    new.SOPInstanceUID = new.file_meta.MediaStorageSOPInstanceUID = UID("1.2.826.0.1.99.1")
    new.SeriesInstanceUID = "1.2.826.0.1.99"
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + as_bytes(new) + b"\r\n--b--\r\n"

    answer = http.post(
        "/dicom-web/studies",
        content=body,
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
    )

    assert answer.status_code == 200, answer.text
    listed = http.get(f"/dicom-web/studies/{STUDY}/series").json()
    assert "1.2.826.0.1.99" in {one["0020000E"]["Value"][0] for one in listed}


@pytest.mark.fault("S22")
@pytest.mark.parametrize(
    "path",
    [
        "/dicom-web/",
        "/dicom-web/../system",
        "/dicom-web/%2e%2e/system",
        "/dicom-web/studies/%2e%2e/%2e%2e/system",
        "/dicom-web/studies/..%2f..%2fsystem",
        "/dicom-web/servers",
        "/dicom-web/studies/a b",
        "/dicom-web/studies//series",
    ],
)
def test_the_proxy_leads_nowhere_else(front: Server, path: str) -> None:
    # By hand: clients tidy such paths up.
    import socket

    with socket.create_connection(("127.0.0.1", front.port)) as connection:
        request = f"GET {path.replace(' ', '%20')} HTTP/1.1\r\nHost: 127.0.0.1:{front.port}\r\n"
        connection.sendall(f"{request}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))

    assert answer.startswith(b"HTTP/1.1 404"), answer[:200]


def test_the_proxy_does_not_delete(http: httpx.Client) -> None:
    assert http.delete(f"/dicom-web/studies/{STUDY}").status_code == 405
    assert http.post(f"/dicom-web/studies/{STUDY}/series").status_code == 404


def test_a_viewer_that_tells_the_uid_clicks_in_the_whole_series(
    http: httpx.Client, pacs: OrthancServer
) -> None:
    grown = "1.2.826.0.1.55"
    images = [as_bytes(one) for one in series(CT, uid=grown)]

    def clicked() -> httpx.Response:
        sent = {"params": (None, '{"foreground": [[24, 22, 6]], "result_extension": ".nrrd"}')}
        return http.post(f"/monailabel/infer/general?image={grown}&output=image", files=sent)

    def slices(answer: httpx.Response) -> int:
        assert answer.status_code == 200, answer.text
        (line,) = re.findall(rb"sizes: 48 44 (\d+)", answer.content)
        return int(line)

    pacs.store(images[:16])
    assert slices(clicked()) == 16
    pacs.store(images[16:])
    assert slices(clicked()) == SHAPE[2]
    # A part that is sent here later is newer, and not what the viewer shows either.
    part = [("file", image) for image in images[4:20]]
    assert http.post("/v1/volumes", files=part).json()["shape"][2] == 16
    assert slices(clicked()) == slices(clicked()) == SHAPE[2]


def test_keys_are_asked_for(pacs: OrthancServer, bundle: Path, tmp_path: Path) -> None:
    environment = {
        "SAMMOE_DICOMWEB_URL": pacs.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": "wrong",
        "SAMMOE_API_KEYS": "alice:a-key-of-16-characters",
    }
    with serving(bundle, tmp_path / "state", **environment) as server, server.client() as http:
        assert http.get("/dicom-web/studies").status_code == 401
        http.headers["Authorization"] = "Bearer a-key-of-16-characters"
        refused = http.get("/dicom-web/studies")
        assert (refused.status_code, refused.json()["code"]) == (502, "pacs_failed")
        refused = pull(http)
        assert (refused.status_code, refused.json()["code"]) == (502, "pacs_failed")
        assert PASSWORD not in server.log.read_text()


def test_a_bearer_token_and_a_second_server(
    pacs: OrthancServer, bearer_orthanc: OrthancServer, bundle: Path, tmp_path: Path
) -> None:
    bearer_orthanc.empty()
    bearer_orthanc.store(map(as_bytes, series(CT, patient="Roe^Richard", uid=OTHER)))
    servers = tmp_path / "servers.toml"
    servers.write_text(
        f'[research]\nurl = "{bearer_orthanc.dicomweb}"\ntoken = "{TOKEN}"\n'
        'networks = ["127.0.0.0/8"]\n'
        f'[elsewhere]\nurl = "{bearer_orthanc.dicomweb}"\nnetworks = ["10.0.0.0/8"]\n'
        '[gone]\nurl = "http://127.0.0.1:9/dicom-web"\n'
        f'[html]\nurl = "{bearer_orthanc.url}"\ntoken = "{TOKEN}"\n'
    )
    with (
        serving(bundle, tmp_path / "state", SAMMOE_DICOMWEB_FILE=str(servers)) as server,
        server.client() as http,
    ):

        def ask(name: str) -> tuple[int, str]:
            wanted = {"study": STUDY, "series": OTHER, "server": name}
            answer = http.post("/v1/volumes", json={"dicomweb": wanted})
            return answer.status_code, answer.json().get("code", "")

        assert ask("research") == (201, "")
        assert ask("elsewhere") == (502, "pacs_failed")
        assert ask("gone") == (504, "pacs_unavailable")
        assert ask("html")[0] == 404
    bearer_orthanc.empty()
