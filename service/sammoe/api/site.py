"""A web viewer's files and the API on one origin: for viewers that must own the root of theirs.

OHIF's builds have their address written in, and a page may read a PACS or this API only through its
own origin. So such a viewer gets a port of its own, where its files come first and the API behind
them. The files are public, as they are from npm: no key is asked for them, and none is in them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sammoe.api.headers import viewer_headers

INDEX: Final = "index.html"
"""The viewer's first page."""

_API: Final = ("/v1/", "/dicom-web/", "/docs", "/openapi.json")
"""Addresses that people open in a browser and that are no page of the viewer."""

_CACHE_CONTROL: Final = "no-cache"
"""Names of files stay from version to version: ask again each time, and get 304 mostly."""


class Site:
    """ASGI application: a folder's files, the viewer's first page for its addresses, else the API.

    Parameters
    ----------
    api
        What answers everything else.
    folder
        The viewer's build, with :data:`INDEX`.
    root
        Where it is served, with a slash at both ends: what its build was made for.
    embedders
        See `viewer_headers`.
    """

    def __init__(
        self, api: ASGIApp, folder: Path, root: str = "/", embedders: Iterable[str] = ()
    ) -> None:
        self._api = api
        self._files = StaticFiles(directory=folder)
        self._root = root
        headers = {"Cache-Control": _CACHE_CONTROL, **viewer_headers(embedders)}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._find(scope)
        if response is None:
            await self._api(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
            await send(message)

        await response(scope, receive, send_with_headers)

    async def _find(self, scope: Scope) -> Response | None:
        """A file, or the first page; None for what is the API's."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        path: str = scope["path"]
        if not path.startswith(self._root):
            return None
        try:
            return await self._files.get_response(path.removeprefix(self._root) or INDEX, scope)
        except HTTPException:
            pass  # it is no file
        is_page = "text/html" in Headers(scope=scope).get("accept", "")
        if is_page and not path.startswith(_API):
            return await self._files.get_response(INDEX, scope)
        return None
