"""Routes of the page. They need no key: the page holds nothing of anybody's, and asks for one."""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from sammoe.api.headers import page_headers
from sammoe.api.viewer.page import Page, PageFile
from sammoe.errors import NotFound

_METHODS: Final = ["GET", "HEAD"]


def page_router(page: Page, embedders: Sequence[str] = ()) -> APIRouter:
    """Serve a page at ``/viewer/``, and lead there from ``/``.

    Parameters
    ----------
    page
        Its files.
    embedders
        See `page_headers`.
    """
    router = APIRouter(include_in_schema=False)
    secured = page_headers(embedders)

    @router.api_route("/", methods=_METHODS)
    @router.api_route("/viewer", methods=_METHODS)
    async def lead_there() -> Response:
        # Relative, for a proxy may serve all this under a path.
        return RedirectResponse("viewer/")

    @router.api_route("/viewer/{name:path}", methods=_METHODS)
    async def get_file(request: Request, name: str) -> Response:
        found = page.find(name)
        if found is None:
            raise NotFound("The page has no such file.")
        return _answer(request, found, secured)

    return router


def _answer(request: Request, found: PageFile, secured: dict[str, str]) -> Response:
    headers = {
        **secured,
        "Cache-Control": found.cache_control,
        "ETag": found.etag,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    content = found.plain
    if found.small is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = found.small, "gzip"
    return Response(content, found.status, headers | {"Content-Type": found.media_type})
