"""The configuration of nginx that docker-compose.yml gives OHIF, in a real nginx."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sammoe.api.headers import viewer_headers
from tests import scans
from tests.integration.nginx_server import nginx
from tests.integration.redis_server import free_port
from tests.integration.serving import Server

ROOT = Path(__file__).resolve().parents[2]
PAGE = {"Accept": "text/html"}


@pytest.fixture
def front(server: Server, tmp_path: Path) -> Iterator[str]:
    """Address of nginx before the service, with a viewer's files in the image's folder."""
    site, port = tmp_path / "site", free_port()
    shutil.copytree(ROOT / "clients" / "ohif", site / "sammoe")
    (site / "index.html").write_text("<p>viewer</p>")
    (site / "module.wasm").write_bytes(b"\0asm")
    text = (ROOT / "deploy" / "ohif" / "nginx.conf").read_text()
    for pattern, mine in (
        (r"listen 8080;", f"listen 127.0.0.1:{port};"),
        (r"root /usr/share/nginx/html;", f"root {site};"),
        (r"http://sammoe:8000;", f"{server.url};"),
    ):
        text, count = re.subn(pattern, mine, text)
        assert count == 1
    with nginx(tmp_path, text, port) as url:
        yield url


def test_viewer_and_service_are_one_origin(front: str) -> None:
    with httpx.Client(base_url=front, timeout=60) as http:
        for path in ("/", "/sammoe?StudyInstanceUIDs=1.2", "/callback"):
            assert http.get(path, headers=PAGE).text == "<p>viewer</p>"
        script = http.get("/sammoe/index.js")
        assert script.headers["content-type"] == "text/javascript"
        assert script.headers["cache-control"] == "no-cache"
        lower = {name.lower(): value for name, value in viewer_headers().items()}
        assert lower.items() <= dict(http.get("/sammoe", headers=PAGE).headers).items()
        assert http.get("/module.wasm").headers["content-type"] == "application/wasm"
        assert http.get("/v1/capabilities").json()["bundle"]
        # What a script of the page sends, and what one of another page would.
        own = {"Origin": front, "Content-Type": "application/octet-stream"}
        taken = http.post("/v1/volumes", content=scans.gzipped(7), headers=own)
        assert taken.status_code == 201
        foreign = {"Origin": "http://elsewhere.example", "Content-Type": "application/json"}
        refused = http.post("/v1/volumes", content=b"{}", headers=foreign)
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_refused")
        away = http.get("/dicom-web/studies")
        assert (away.status_code, away.json()["code"]) == (422, "pacs_unknown")
