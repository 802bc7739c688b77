"""Series are got from the PACS before anybody asks, and go when they shall go."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.orthanc_server import PASSWORD, USER, OrthancServer
from tests.integration.redis_server import free_port
from tests.integration.serving import Server, sammoe, serving
from tests.series import SERIES, STUDY, as_bytes, ct, mr, series

SHAPE = (48, 44, 24)
OTHER = "1.2.826.0.1.7"
SCRIPT = Path(__file__).resolve().parents[2] / "clients" / "orthanc" / "warm.lua"


def settings(pacs: OrthancServer) -> dict[str, str]:
    return {
        "SAMMOE_DICOMWEB_URL": pacs.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
    }


@pytest.fixture(scope="module")
def pacs(orthanc: OrthancServer) -> Iterator[OrthancServer]:
    """Orthanc with a CT, an MR, and a CT with a gap, in one study."""
    made = series(ct(SHAPE), uid="1.2.826.0.1.8")
    orthanc.empty()
    orthanc.store(map(as_bytes, series(ct(SHAPE))))
    orthanc.store(map(as_bytes, series(mr(SHAPE), modality="MR", intercept=0, uid=OTHER)))
    orthanc.store(map(as_bytes, made[:5] + made[6:]))
    yield orthanc
    orthanc.empty()


@pytest.fixture
def front(pacs: OrthancServer, bundle: Path, tmp_path: Path) -> Iterator[Server]:
    """A service of its own for each test."""
    with serving(bundle, tmp_path / "state", **settings(pacs)) as server:
        yield server


def volumes(server: Server) -> list[dict[str, object]]:
    with server.client() as http:
        return list(http.get("/v1/volumes").raise_for_status().json()["items"])


def memory(http: httpx.Client) -> float:
    """Bytes of embeddings in the service's memory."""
    text = http.get("/metrics").text
    found = re.search(r"^sammoe_embedding_memory_bytes (\S+)$", text, re.MULTILINE)
    assert found
    return float(found[1])


def test_a_study_is_warmed_and_not_twice(front: Server, tmp_path: Path) -> None:
    done = tmp_path / "done"
    flags = ("warm", "--url", front.url, "--done", done)

    first = sammoe(*flags, "--study", STUDY)
    again = sammoe(*flags, "--since", "2026-01-01", "--modality", "CT")
    third = sammoe("warm", "--url", front.url, "--until", "2026-02-01", "--modality", "MR")

    assert first.returncode == 0, first.stderr
    assert first.stdout == "3 series, 2 prepared, 1 refused (dicom_missing_slices)\n"
    assert again.stdout == "2 series, 2 done before\n"
    assert third.stdout == "1 series, 1 there already\n"
    assert len(volumes(front)) == 2
    # All of each is embedded behind the answer.
    with front.client() as http:
        places = [f"/v1/volumes/{volume['id']}/embeddings" for volume in volumes(front)]
        plans = [http.post(place, json={"extent": "whole"}).json() for place in places]
        size = sum(plan["mib"] for plan in plans) * (1 << 20)
        end = time.monotonic() + 60
        while memory(http) < size:
            assert time.monotonic() < end
            time.sleep(0.1)
    assert SERIES not in done.read_text()


def test_series_beyond_the_budget_get_their_middle(front: Server) -> None:
    made = sammoe("warm", "--url", front.url, "--study", STUDY, "--budget-mib", "0")
    assert "2 in the middle alone" in made.stdout, made.stderr


def test_what_can_not_be_warmed_is_said(front: Server) -> None:
    def said(*arguments: str) -> str:
        done = sammoe("warm", *arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    assert "--study UID" in said("--url", front.url)
    assert "no answer" in said("--url", "http://127.0.0.1:9", "--study", STUDY).lower()
    assert "pacs_unknown" in said("--url", front.url, "--study", STUDY, "--server", "other")
    assert "digits and dots" in said("--study", "x")


def test_purge_removes_all_that_came_of_a_study(front: Server, tmp_path: Path) -> None:
    wanted = {"dicomweb": {"study": STUDY, "series": SERIES}}
    with front.client() as http:
        volume = http.post("/v1/volumes", json=wanted, headers={"Idempotency-Key": "k"}).json()
        click = {"space": "voxel", "points": [{"position": [24, 22, 12], "label": 1}]}
        http.post(f"/v1/volumes/{volume['id']}/segmentations", json=click).raise_for_status()

        other = sammoe("purge", "--study", "1.2.3", "--state", tmp_path / "state")
        assert (other.returncode, other.stdout[:9]) == (0, "0 volume(")
        assert len(volumes(front)) == 1

        done = sammoe("purge", "--study", STUDY, "--state", tmp_path / "state")
        assert (done.returncode, done.stdout[:9]) == (0, "1 volume("), done.stderr
        assert volumes(front) == []
        assert http.get(f"/v1/volumes/{volume['id']}").status_code == 404

    uids = (STUDY.encode(), SERIES.encode())
    left = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert [path for path in left if any(uid in path.read_bytes() for uid in uids)] == []


def test_orthanc_tells_of_a_study_that_is_complete(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orthanc").mkdir()
    port = free_port()
    monkeypatch.setenv("SAMMOE_URL", f"http://127.0.0.1:{port}")
    pacs = OrthancServer(tmp_path / "orthanc", configuration={"LuaScripts": [str(SCRIPT)]})
    try:
        state = tmp_path / "state"
        with serving(bundle, state, "--port", str(port), **settings(pacs)) as server:
            pacs.store(map(as_bytes, series(ct(SHAPE))))
            end = time.monotonic() + 60
            while not volumes(server):
                assert time.monotonic() < end, pacs.log()
                time.sleep(0.2)
            (volume,) = volumes(server)
            assert volume["source"] == {
                "study": STUDY,
                "series": SERIES,
                "frame_of_reference": "1.2.826.0.1.3",
            }
    finally:
        pacs.stop()


NAMES = (
    "Doe",
    "Jane",
    "ID-",
    "19700102",
    "1970-01-02",
    "A1234567",
    "Referrer",
    "somebody",
    "S77",
    STUDY,
    "1.2.826",
    "20260102",
)


def test_nothing_of_a_patient_is_in_logs_metrics_addresses_or_names(
    pacs: OrthancServer, bundle: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    made = [as_bytes(one) for one in series(ct(SHAPE, seed=3))]
    told: list[str] = []
    flags = ("--log-level", "debug")
    with serving(bundle, state, *flags, **settings(pacs)) as server, server.client() as http:

        def ask(method: str, path: str, **options: object) -> httpx.Response:
            answer = http.request(method, path, **options)  # type: ignore[arg-type]
            told.append(json.dumps(dict(answer.headers)))
            if answer.is_error:
                told.append(answer.text)
            return answer

        files = [("file", (f"Doe^Jane {k}.dcm", data)) for k, data in enumerate(made)]
        sent = ask("POST", "/v1/volumes", files=files).json()
        pulled = ask("POST", "/v1/volumes", json={"dicomweb": {"study": STUDY, "series": SERIES}})
        told += [sent["id"], pulled.json()["id"], json.dumps(sent["warnings"])]
        for volume in (sent, pulled.json()):
            click = {"space": "voxel", "points": [{"position": [24, 22, 12], "label": 1}]}
            path = f"/v1/volumes/{volume['id']}/segmentations"
            told.append(ask("POST", path, json=click).text)
        ask("POST", "/v1/dicomweb/search", json={"study": STUDY})
        ask("GET", f"/dicom-web/studies/{STUDY}/series")
        ask("GET", f"/dicom-web/studies/{STUDY}/Doe^Jane")
        ask("GET", "/v1/volumes/Doe^Jane")
        # Refusals of every kind of part: gaps, damage, another's, not there.
        for bad in (files[:4] + files[6:], [files[0], ("file", ("Doe.dcm", made[1][:-400]))]):
            assert ask("POST", "/v1/volumes", files=bad).status_code == 422
        for damage in range(300, 1500, 97):
            broken = made[0][:damage] + b"Doe^Jane" * 9 + made[0][damage:]
            ask("POST", "/v1/volumes", content=broken, headers=OCTETS)
        missing = {"dicomweb": {"study": STUDY, "series": "1.2.826.9"}}
        assert ask("POST", "/v1/volumes", json=missing).status_code == 404
        told.append(http.get("/metrics").text)
        told += [str(path.relative_to(state)) for path in state.rglob("*")]
        ask("DELETE", f"/v1/volumes/{sent['id']}")
        told.append(server.greeting)
    told.append(server.log.read_text())
    assert len(told[-1].splitlines()) > 20

    found = [(name, text[:300]) for text in told for name in NAMES if name in text]
    assert found == []


OCTETS = {"Content-Type": "application/octet-stream"}
