"""A viewer's files before the API: which of them answers what."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sammoe.api import Site
from sammoe.api.headers import viewer_headers

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def _api(request: object) -> PlainTextResponse:
    return PlainTextResponse("api", 418)


API = Starlette(routes=[Route("/{path:path}", _api, methods=["GET", "POST", "HEAD"])])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "sammoe").mkdir(parents=True)
    (site / "index.html").write_text("<p>viewer</p>")
    (site / "sammoe" / "index.js").write_text("export default 1;")
    (site / "module.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret.txt").write_text("secret")
    return site


def client(folder: Path, root: str = "/", *embedders: str) -> httpx.AsyncClient:
    site = httpx.ASGITransport(Site(API, folder, root, embedders))
    return httpx.AsyncClient(transport=site, base_url="http://localhost")


async def test_files_come_first_with_their_types(folder: Path) -> None:
    async with client(folder) as http:
        script = await http.get("/sammoe/index.js")
        assert (script.status_code, script.text) == (200, "export default 1;")
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.headers["cache-control"] == "no-cache"
        wanted = {name.lower(): value for name, value in viewer_headers().items()}
        assert wanted.items() <= dict(script.headers).items()
        kept = {"If-None-Match": script.headers["etag"]}
        assert (await http.get("/sammoe/index.js", headers=kept)).status_code == 304
        assert (await http.get("/module.wasm")).headers["content-type"] == "application/wasm"
        assert (await http.get("/")).text == "<p>viewer</p>"


async def test_it_is_framed_by_itself_and_by_those_that_are_named(folder: Path) -> None:
    for embedders, wanted in (
        ((), "frame-ancestors 'self'"),
        (("https://portal.example",), "frame-ancestors 'self' https://portal.example"),
    ):
        async with client(folder, "/", *embedders) as http:
            page = await http.get("/sammoe", headers=PAGE)
            assert page.headers["content-security-policy"] == wanted
            assert page.headers["referrer-policy"] == "no-referrer"
            assert "content-security-policy" not in (await http.get("/v1/volumes")).headers


async def test_pages_of_the_viewer_are_its_first_page(folder: Path) -> None:
    async with client(folder) as http:
        for path in ("/viewer?StudyInstanceUIDs=1.2", "/sammoe", "/callback"):
            answer = await http.get(path, headers=PAGE)
            assert (answer.status_code, answer.text) == (200, "<p>viewer</p>")


async def test_all_else_is_the_apis(folder: Path) -> None:
    async with client(folder) as http:
        for path in ("/v1/volumes", "/dicom-web/studies", "/docs", "/nothing.js"):
            headers = PAGE if path != "/nothing.js" else {"Accept": "*/*"}
            assert (await http.get(path, headers=headers)).status_code == 418
        assert (await http.get("/readyz")).status_code == 418
        assert (await http.post("/", headers=PAGE)).status_code == 418


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/sammoe/%2e%2e/%2e%2e/secret.txt", "/%00"]
)
async def test_nothing_beside_the_folder_is_served(folder: Path, path: str) -> None:
    async with client(folder) as http:
        answer = await http.get(httpx.URL("http://localhost", raw_path=path.encode()))
        assert "secret" not in answer.text
        assert answer.status_code == 418


async def test_a_viewer_may_be_below_the_root(folder: Path) -> None:
    async with client(folder, "/ohif/") as http:
        assert (await http.get("/ohif/")).text == "<p>viewer</p>"
        assert (await http.get("/ohif/sammoe/index.js")).status_code == 200
        assert (await http.get("/ohif/monai-label", headers=PAGE)).text == "<p>viewer</p>"
        assert (await http.get("/info/", headers=PAGE)).status_code == 418
