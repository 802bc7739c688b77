"""What routes work with, and who calls them."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from sammoe.access import Access, Identity
from sammoe.api.auditing import CALLER, note
from sammoe.api.idempotency import Made, answer_once
from sammoe.api.leaving import while_wanted
from sammoe.api.negotiation import JSON, choose
from sammoe.api.problems import InvalidFields
from sammoe.api.rules import Rule, rule_of
from sammoe.audit import AuditLog
from sammoe.errors import Forbidden, NotFound
from sammoe.segmentation import Leases, Reached, Sharing, Workspace
from sammoe.settings import Settings
from sammoe.telemetry import Telemetry, Tracer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one application; nothing of it lives in a global."""

    workspace: Workspace
    settings: Settings
    access: Access
    leases: Leases
    sharing: Sharing
    telemetry: Telemetry
    tracer: Tracer | None = None
    audit: AuditLog | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who sent it, and what serves it."""

    request: Request
    caller: Identity
    rule: Rule
    services: Services

    @property
    def principal(self) -> str:
        """Whose call it is."""
        return self.caller.principal

    @property
    def workspace(self) -> Workspace:
        """The use cases."""
        return self.services.workspace

    async def owner(self, volume_id: str) -> str:
        """In whose place to work on a volume: the caller's own, or another's of its project.

        For a volume that the caller can not see it is the caller, who has none of that id.

        Raises
        ------
        Forbidden
            The caller sees the volume, and may not do this with it.
        """
        sharing, caller = self.services.sharing, self.caller
        return self._admit(await sharing.volume(caller.principal, caller.projects, volume_id))

    async def owner_of_segmentation(self, name: str) -> str:
        """The same by a segmentation on the volume."""
        sharing, caller = self.services.sharing, self.caller
        return self._admit(await sharing.segmentation(caller.principal, caller.projects, name))

    async def owner_of_result(self, name: str) -> str:
        """The same by a result on the volume."""
        sharing, caller = self.services.sharing, self.caller
        return self._admit(await sharing.result(caller.principal, caller.projects, name))

    def project(self, name: str | None) -> str | None:
        """A project that the caller names for what it adds or lists.

        Raises
        ------
        NotFound
            It is none of the caller's, whether or not there is one.
        Forbidden
            The caller may not do this there.
        """
        if name is not None:
            if name not in self.caller.projects:
                raise NotFound("There is no such project.")
            self.caller.role_in(name).require(self.rule.role)
            self.note(project=name)
        return name

    def note(self, **objects: str | None) -> None:
        """Say for the audit log what the call is about: ``volume``, ``study`` (UID) and so on."""
        note(self.request.scope["state"], **objects)

    def _admit(self, reached: Reached | None) -> str:
        if reached is None:
            return self.principal
        self.note(
            volume=reached.volume_id,
            project=reached.project,
            study=reached.study,
            series=reached.series,
        )
        if reached.project is not None:
            self.caller.role_in(reached.project).require(self.rule.role)
        if self.rule.owner and reached.owner != self.principal:
            raise Forbidden("It belongs to another member of the project, who alone may delete it.")
        return reached.owner

    def form(self, *offered: str) -> str:
        """The media type to answer in, by ``Accept``; JSON is what is offered by default."""
        return choose(self.request.headers.get("accept"), offered or (JSON,))

    async def once(
        self,
        make: Callable[[], Awaitable[Made]],
        *,
        content: bytes = b"",
        form: str = JSON,
        owner: str | None = None,
    ) -> Response:
        """The answer of ``make``, once for an Idempotency-Key; see :func:`answer_once`.

        The work is stopped when the client goes away, or at the service's deadline.

        ``owner``: of the volume that it is about, if not the caller.
        """
        return await self._answer(lambda _: make(), content, form, owner)

    async def create(
        self,
        volume_id: str,
        make: Callable[[str | None], Awaitable[Made]],
        *,
        content: bytes,
        form: str = JSON,
        owner: str,
    ) -> Response:
        """As `once`, of a ``make`` that makes a record on a volume, under the id given, if any."""
        return await self._answer(make, content, form, owner, volume_id)

    async def _answer(
        self,
        make: Callable[[str | None], Awaitable[Made]],
        content: bytes,
        form: str,
        owner: str | None,
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
            owner=owner,
        )
        return await self.while_wanted(answering)

    async def while_wanted(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns; see :func:`sammoe.api.leaving.while_wanted`."""
        return await while_wanted(self.request, work, self.services.settings.deadline_seconds)


async def _authenticate(request: Request) -> Call:
    services: Services = request.app.state.services
    rule = rule_of(request.scope["endpoint"])
    caller = await services.access.identify(request.headers)
    request.scope["state"][CALLER] = caller
    caller.role.require(rule.role)
    if rule.changes and services.audit is not None:
        services.audit.check()
    return Call(request, caller, rule, services)


async def _authenticate_plain(request: Request) -> Call:
    call = await _authenticate(request)
    if request.scope["query_string"]:
        raise InvalidFields.from_names(request.query_params)
    return call


QueryCaller = Annotated[Call, Depends(_authenticate)]
"""First parameter of a route: refuses who may not call it before anything is read."""

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
