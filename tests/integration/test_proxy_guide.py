"""The proxy guide's configuration in a real nginx, before a real service with keys."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from nnInteractive.inference.remote.remote_session import nnInteractiveRemoteInferenceSession

from sammoe_client import Client, Progress, Segmentation, errors
from tests import scans
from tests.integration.nginx_server import nginx
from tests.integration.redis_server import free_port
from tests.integration.serving import Server, serving

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "proxy.md").read_text()
KEY = "a-key-of-some-length"
NAME = "imaging.example.org"


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    state = tmp_path_factory.mktemp("proxied") / "state"
    keys = {"SAMMOE_API_KEYS": f"ann:{KEY}"}
    with serving(bundle, state, "--allowed-hosts", NAME, **keys) as server:
        yield server


@pytest.fixture(scope="module")
def front(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nginx with both blocks of the guide, without TLS and passwords."""
    whole, viewers = re.findall(r"^```nginx\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    port = free_port()
    text = re.sub(r"\n}\n$", f"\n{viewers}}}\n", whole)
    for pattern, mine in (
        (r"listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        (r" *ssl_certificate.*\n *ssl_certificate_key.*\n", ""),
        (r" *auth_basic .*\n *auth_basic_user_file .*\n", ""),
        (r'"the key of the principal[^"]*"', f'"{KEY}"'),
    ):
        text, count = re.subn(pattern, mine, text)
        assert count == 1, pattern
    text, count = re.subn(r"http://127\.0\.0\.1:8000", server.url, text)
    assert count == 2
    with nginx(tmp_path_factory.mktemp("nginx"), text, port) as url:
        yield url


def test_a_session_below_a_path(front: str, tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii.gz"
    voxels = np.random.default_rng(0).integers(1, 900, (150, 120, 100)).astype(np.int16)
    scan.write_bytes(gzip.compress(scans.as_nifti(voxels, np.diag([2.0, 2, 2, 1])), 1))
    assert scan.stat().st_size > 1 << 20  # what nginx lets through by itself
    with Client(f"{front}/sammoe", api_key=KEY) as client:
        volume = client.open(scan)
        *steps, last = volume.segmenting(box=[(20, 20, 20), (110, 100, 80)], max_windows=4)
        assert isinstance(last, Segmentation)
        assert steps
        assert all(isinstance(step, Progress) for step in steps)
        with pytest.raises(errors.PointOutside):
            volume.segment(points=(999, 1, 1))
    with (
        Client(f"{front}/sammoe", api_key="wrong-key-of-some-length") as nobody,
        pytest.raises(errors.Unauthorized),
    ):
        nobody.capabilities()


def test_names_origins_and_addresses(front: str) -> None:
    headers = {"Host": NAME, "Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=front, headers=headers, timeout=60) as http:
        sent = {"Content-Type": "application/octet-stream", "Origin": f"http://{NAME}"}
        made = http.post("/sammoe/v1/volumes", content=scans.gzipped(3), headers=sent)
        assert made.status_code == 201
        place = httpx.URL(made.headers["Location"])
        assert place.path == f"/sammoe/v1/volumes/{made.json()['id']}"
        assert http.get(place.path).json() == made.json()
        sent["Origin"] = "http://elsewhere.example"
        refused = http.post("/sammoe/v1/volumes", content=scans.gzipped(3), headers=sent)
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_refused")
        # The answer comes before most of the body has been sent.
        long = http.post("/sammoe/v1/volumes", content=bytes(16 << 20), headers=sent)
        assert (long.status_code, long.json()["code"]) == (403, "origin_refused")
        other = http.get("/sammoe/v1/capabilities", headers={"Host": "other.example"})
        assert (other.status_code, other.json()["code"]) == (421, "host_refused")


def test_viewers_below_a_path(front: str) -> None:
    address = f"{front}/sammoe/nninteractive"
    with nnInteractiveRemoteInferenceSession(address, api_key=KEY) as session:
        image = np.random.default_rng(0).normal(100, 20, (1, 30, 50, 60)).clip(1)
        session.set_image(image.astype(np.float32), {"spacing": (3.0, 1.5, 1.0)})
        mask = np.zeros((30, 50, 60), np.uint8)
        session.set_target_buffer(mask)
        session.add_point_interaction((15, 25, 30), include_interaction=True)
        assert mask[15, 25, 30] == 1
    # A viewer that sends no key, and one whose own Authorization is the proxy's.
    for headers in ({}, {"Authorization": "Basic dmlld2VyOnBhc3N3b3Jk"}):
        assert httpx.get(f"{front}/sammoe/monailabel/info/", headers=headers).status_code == 200
    assert httpx.get(f"{front}/sammoe/v1/volumes").status_code == 401
