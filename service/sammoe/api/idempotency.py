"""``Idempotency-Key``: the same request sent twice is done once.

A key belongs to its principal and is kept for 24 hours, or as long as the settings say. The same
key with the same request is answered with the first one's bytes and ``Idempotent-Replayed: true``;
with another request it is a conflict. Of two that come at once the second waits for the first;
where they come to two processes, both do the work, and both give the answer of the faster. Only
answers of success are kept: what was refused or failed may be tried again under its key. What a
request makes has the id that its key was promised, so that nothing is made twice when a process
dies before its answer is kept.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from sammoe.errors import NotFound, RequestRefused
from sammoe.segmentation import Workspace
from sammoe.store import StoredResponse

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"

Made = tuple[Response, str | None]
"""An answer, and the id of the volume that it is about, with which it is deleted, if of one."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def answer_once(
    workspace: Workspace,
    request: Request,
    principal: str,
    make: Callable[[str | None], Awaitable[Made]],
    *,
    content: bytes,
    form: str,
    volume_id: str | None = None,
    owner: str | None = None,
) -> Response:
    """What ``make`` answers, or what it answered when this request came first.

    Parameters
    ----------
    workspace
        Keeps answers.
    request
        Its method, path and query are part of what must be the same.
    principal
        Whose key it is.
    make
        Does the work; called at most once, with the id that was promised to what it makes. Without
        a key it is simply called, with None.
    volume_id
        The volume that something is made on.
    content
        The body, or for an upload the digest of the file's bytes.
    form
        Media type of the answer; also part of what must be the same.
    owner
        Of the volume that the answer is about, if not the principal.

    Raises
    ------
    RequestRefused
        The key is empty, longer than 255 characters or not printable ASCII.
    IdempotencyConflict
        The key was used with another request.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return (await make(None))[0]
    if not _KEY.fullmatch(key):
        raise RequestRefused(f"{HEADER} must be 1 to 255 visible ASCII characters.")
    made: Response | None = None
    mine: StoredResponse | None = None

    async def handle(name: str) -> StoredResponse:
        nonlocal made, mine
        made, volume = await make(name)
        headers = {k: v for k, v in made.headers.items() if k != "content-length"}
        other = None if owner == principal else owner
        mine = StoredResponse(made.status_code, headers, bytes(made.body), volume, other)
        return mine

    digest = _digest(request, content, form)
    kept = await workspace.answer_once(principal, key, digest, handle, volume_id, owner)
    if made is not None and kept is mine:
        return made
    if kept.volume_owner is not None and kept.volume_owner != owner:
        # Of a project that the principal has left since.
        raise NotFound("There is no such volume.")
    # Kept before, or by another process that did the same work at the same time and was faster.
    return Response(kept.body, kept.status, headers={**kept.headers, REPLAYED: "true"})


def _digest(request: Request, content: bytes, form: str) -> str:
    digest = hashlib.sha256()
    # Each part ends in a byte that can not be in it.
    for part in (request.method, request.url.path, request.url.query, form):
        digest.update(part.encode() + b"\n")
    digest.update(content)
    return digest.hexdigest()
