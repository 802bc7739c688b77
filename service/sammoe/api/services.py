"""What routes work with, and who calls them."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from sammoe.api.auth import KeyRing
from sammoe.api.idempotency import Made, answer_once
from sammoe.api.leaving import while_wanted
from sammoe.api.negotiation import JSON, choose
from sammoe.api.problems import InvalidFields
from sammoe.segmentation import Leases, Workspace
from sammoe.settings import Settings
from sammoe.telemetry import Telemetry, Tracer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one application; nothing of it lives in a global."""

    workspace: Workspace
    settings: Settings
    keys: KeyRing
    leases: Leases
    telemetry: Telemetry
    tracer: Tracer | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who sent it, and what serves it."""

    request: Request
    principal: str
    services: Services

    @property
    def workspace(self) -> Workspace:
        """The use cases."""
        return self.services.workspace

    def form(self, *offered: str) -> str:
        """The media type to answer in, by ``Accept``; JSON is what is offered by default."""
        return choose(self.request.headers.get("accept"), offered or (JSON,))

    async def once(
        self, make: Callable[[], Awaitable[Made]], *, content: bytes = b"", form: str = JSON
    ) -> Response:
        """The answer of ``make``, once for an Idempotency-Key; see :func:`answer_once`.

        The work is stopped when the client goes away, or at the service's deadline.
        """
        return await self._answer(lambda _: make(), content, form)

    async def create(
        self,
        volume_id: str,
        make: Callable[[str], Awaitable[Made]],
        *,
        content: bytes,
        form: str = JSON,
    ) -> Response:
        """As `once`, of a ``make`` that makes a record on a volume, under the id it is given."""
        return await self._answer(make, content, form, volume_id)

    async def _answer(
        self,
        make: Callable[[str], Awaitable[Made]],
        content: bytes,
        form: str,
        volume_id: str | None = None,
    ) -> Response:
        answering = answer_once(
            self.workspace,
            self.request,
            self.principal,
            make,
            content=content,
            form=form,
            volume_id=volume_id,
        )
        return await self.while_wanted(answering)

    async def while_wanted(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns; see :func:`sammoe.api.leaving.while_wanted`."""
        return await while_wanted(self.request, work, self.services.settings.deadline_seconds)


async def _authenticate(request: Request) -> Call:
    services: Services = request.app.state.services
    return Call(request, services.keys.principal(request.headers), services)


async def _authenticate_plain(request: Request) -> Call:
    call = await _authenticate(request)
    if request.scope["query_string"]:
        raise InvalidFields.from_names(request.query_params)
    return call


QueryCaller = Annotated[Call, Depends(_authenticate)]
"""First parameter of a route: refuses a request without a valid key before anything is read."""

Caller = Annotated[Call, Depends(_authenticate_plain)]
"""The same for a route without query parameters: a misplaced one must not be ignored."""


def json_answer(value: BaseModel, status: int = 200, location: str | None = None) -> Response:
    """A model as JSON, written once by its own serialiser."""
    headers = None if location is None else {"Location": location}
    return Response(value.model_dump_json(), status, headers, media_type=JSON)


def file_answer(content: bytes, media_type: str, name: str) -> Response:
    """A file for download; its name is the same for everyone, so that it names nobody."""
    headers = {
        "Content-Type": media_type,
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(content, headers=headers)
