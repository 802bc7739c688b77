"""The layer that writes the audit log: who asked for what, and what came of it.

It lies around all others, so that it sees each answer as it is sent, refusals included. A change is
in the log before its answer is sent; of one that comes in steps, before the last.
"""

import re
import time
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sammoe.access import Identity
from sammoe.api.context import CLIENT_CLOSED
from sammoe.api.problems import PROBLEM
from sammoe.api.rules import OPEN, RULES, Rule, name_of, rule_of
from sammoe.audit import AuditLog, Event, Outcome, Who

CALLER: Final = "caller"
"""Name in a request's state of the identity that was recognised."""

OBJECTS: Final = "objects"
"""Name in a request's state of what it is about: kind -> id."""

_ENDED: Final = "ended"
"""Name in a request's state of the status with which its answer ends, once that is known."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REFUSED: Final = (401, 403, 421)
_ID: Final = re.compile(r"[0-9a-v]{26}")
_LOCATION: Final = re.compile(rb"/v1/(volume|segmentation|result)s/([0-9a-v]{26})")
_STEPS: Final = b"text/event-stream"

_MOST_STRANGERS: Final = 600
"""Lines a minute for those whom nobody knows; the rest is counted: they must not fill the disk."""


class Auditing:
    """ASGI layer.

    Parameters
    ----------
    log
        Where lines go; None: nowhere.
    """

    def __init__(self, app: ASGIApp, log: AuditLog | None) -> None:
        self._app = app
        self._log = log
        self._strangers = Strangers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._log is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        written = False

        async def noting(message: Message) -> None:
            nonlocal written
            if message["type"] == "http.response.start":
                _note_location(scope, message)
                if not _comes_in_steps(message):
                    end(state, message["status"])
            if not written and _ENDED in state:
                written = True
                await self._write(scope, state[_ENDED])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            if not written:
                await self._write(scope, CLIENT_CLOSED)

    async def _write(self, scope: Scope, status: int) -> None:
        log = self._log
        assert log is not None
        rule = _rule(scope)
        refused = status in _REFUSED
        if not refused and (rule is None or rule.action is None):
            return
        count = 0
        if refused and CALLER not in scope["state"]:
            admitted, count = self._strangers.admit()
            if not admitted:
                return
        action = (rule.action if rule is not None else None) or "request"
        event = Event(
            action,
            _outcome(status),
            _who(scope),
            _objects(scope) | ({"unlisted": count} if count else {}),
            _request(scope, status),
        )
        if rule is not None and rule.changes and not refused:
            await log.written(event)
        else:
            log.add(event)


class Strangers:
    """Counts callers whom nobody knows."""

    def __init__(self) -> None:
        self._minute = 0
        self._listed = 0
        self._unlisted = 0

    def admit(self) -> tuple[bool, int]:
        """Whether one more may have a line; and how many before had none."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._listed = minute, 0
        if self._listed >= _MOST_STRANGERS:
            self._unlisted += 1
            return False, 0
        self._listed += 1
        count, self._unlisted = self._unlisted, 0
        return True, count


def note(state: dict[str, Any], **objects: str | None) -> None:
    """Say what a request is about; ids that are none, and what is not known, are left out."""
    told = state.setdefault(OBJECTS, {})
    told.update({kind: name for kind, name in objects.items() if name is not None})


def end(state: MutableMapping[str, Any], status: int) -> None:
    """Say with which status an answer ends, before the last of it is sent."""
    state[_ENDED] = status


def _rule(scope: Scope) -> Rule | None:
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return None
    name = name_of(endpoint)
    return OPEN[name] if name in OPEN and name not in RULES else rule_of(endpoint)


def _note_location(scope: Scope, message: Message) -> None:
    for name, value in message.get("headers", ()):
        if name.lower() == b"location" and (found := _LOCATION.fullmatch(value)):
            note(scope["state"], **{found[1].decode(): found[2].decode()})


def _comes_in_steps(message: Message) -> bool:
    """Whether the outcome of a request is known at the end of its answer alone."""
    headers = message.get("headers", ())
    return any(name.lower() == b"content-type" and _STEPS in value for name, value in headers)


def _outcome(status: int) -> Outcome:
    if status == CLIENT_CLOSED:
        return "abandoned"
    if status >= 500:
        return "failed"
    return "refused" if status >= 400 else "success"


def _who(scope: Scope) -> Who:
    caller: Identity | None = scope["state"].get(CALLER)
    if caller is None:
        return Who()
    return Who(caller.principal, caller.via, caller.role)


def _objects(scope: Scope) -> dict[str, str | int]:
    objects: dict[str, str | int] = {}
    # What a client wrote in a path counts only where it has the form of an id of ours.
    for name, value in scope.get("path_params", {}).items():
        kind = "volume" if name == "session_id" else name.removesuffix("_id")
        if name.endswith("_id") and isinstance(value, str) and _ID.fullmatch(value):
            objects[kind] = value
    objects.update(scope["state"].get(OBJECTS, {}))
    return objects


def _request(scope: Scope, status: int) -> dict[str, str | int]:
    state, client = scope["state"], scope.get("client")
    method = scope["method"]
    told = {
        "id": state.get("request_id"),
        "method": method if method in _METHODS else "other",
        "route": getattr(scope.get("route"), "path", None),
        "status": status,
        "code": state.get(PROBLEM),
        "address": client[0] if client else None,
    }
    return {name: value for name, value in told.items() if value is not None}
