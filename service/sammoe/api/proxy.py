"""``/dicom-web``: the default DICOMweb server, for viewers that are pages of this service's origin.

A PACS sends no CORS headers, so a page can read it only through its own origin; and it shall not
need the PACS's credentials. What passes: DICOMweb's resources, searched for, read, and stored; no
other path, method or header. Bodies go through as they come, in both directions. MONAI Label's
OHIF knows it as ``/proxy/dicom/wado`` and ``qido``.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

from fastapi import APIRouter
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from sammoe.api.bodies import read_pieces
from sammoe.api.services import QueryCaller
from sammoe.errors import NotFound, SammoeError
from sammoe.pacs import Answer, check_status

router = APIRouter(include_in_schema=False)

_ROOT: Final = re.compile(r"/dicom-web|/proxy/dicom/(wado|qido)")
_READ: Final = re.compile(r"/(studies|series|instances)(/[A-Za-z0-9_,-][A-Za-z0-9._,-]*)*")
_NAMED: Final = re.compile(r"/studies/(?P<study>[0-9.]{1,64})(/series/(?P<series>[0-9.]{1,64}))?")
_STORE: Final = re.compile(r"/studies(/[0-9.]{1,64})?")
_ASKED: Final = ("accept", "content-type")
_ANSWERED: Final = ("content-encoding", "content-length", "etag", "last-modified", "warning")
_TYPES: Final = re.compile(
    r"application/(dicom|dicom\+json|dicom\+xml|json|octet-stream)"
    r"|multipart/related|image/(jpeg|png|gif|jp2|jpx|jls|jph|jphc|x-jls|dicom-rle)|video/[a-z0-9-]+"
)
"""What a browser may be told that it is: a page from a PACS would have this origin's rights."""
_SAFE: Final = {"Content-Security-Policy": "sandbox; default-src 'none'"}


@router.get("/dicom-web/{path:path}")
@router.get("/proxy/dicom/{kind}/{path:path}")
async def read(call: QueryCaller) -> Response:
    """Pass on a search or a retrieval."""
    return await _pass_on(call, _READ, None)


@router.post("/dicom-web/{path:path}")
@router.post("/proxy/dicom/{kind}/{path:path}")
async def store(call: QueryCaller) -> Response:
    """Pass on instances to be stored."""
    settings = call.services.settings
    body = read_pieces(call.request, settings.upload_limit, settings.upload_seconds)
    return await _pass_on(call, _STORE, body)


async def _pass_on(
    call: QueryCaller, allowed: re.Pattern[str], body: AsyncIterator[bytes] | None
) -> Response:
    request = call.request
    # As it was sent: a decoded path could mean another place there.
    path = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
    path = _ROOT.sub("", path, count=1)
    if not allowed.fullmatch(path) or ".." in path:
        raise NotFound("There is no such DICOMweb resource.")
    if (named := _NAMED.match(path)) is not None:
        call.note(study=named["study"], series=named["series"])
    headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
    # So that addresses in its answers lead here.
    headers["Forwarded"] = f"host={request.url.netloc};proto={request.url.scheme}"
    stack = AsyncExitStack()
    try:
        answer = await stack.enter_async_context(
            call.workspace.pacs.viewing().open(
                request.method,
                path,
                query=request.scope["query_string"],
                headers=headers,
                content=body,
            )
        )
        if answer.status_code in (401, 403) or not _is_for_client(answer.status_code):
            check_status(answer)
    except BaseException:
        await stack.aclose()
        raise
    return StreamingResponse(
        _body(answer, stack),
        answer.status_code,
        _headers(answer),
        background=BackgroundTask(stack.aclose),
    )


def _is_for_client(status: int) -> bool:
    """Whether a status says something of the request, rather than of the server."""
    return 200 <= status < 300 or 400 <= status < 500


def _headers(answer: Answer) -> dict[str, str]:
    headers = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
    kind = answer.headers.get("content-type", "")
    known = _TYPES.fullmatch(kind.partition(";")[0].strip().lower())
    headers["content-type"] = kind if known else "application/octet-stream"
    return headers | _SAFE


async def _body(answer: Answer, stack: AsyncExitStack) -> AsyncIterator[bytes]:
    async with stack:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        except SammoeError as error:
            # Too late for a problem: the connection breaks, which tells the client.
            raise ConnectionError(error.code) from None
