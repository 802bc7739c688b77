"""What the audit log says: who did what to which study, when, and what came of it.

Nothing in an event is a name of a patient's, or text that somebody wrote: ids are those of the
store, actions and codes come from closed sets, and UIDs appear as the settings say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

UidForm = Literal["hashed", "plain", "none"]
"""How UIDs of studies and series appear."""

Outcome = Literal["success", "refused", "failed", "abandoned"]

UIDS: Final = ("study", "series")
"""Which of an event's objects are UIDs."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who did it.

    Attributes
    ----------
    principal
        None where nobody was recognised.
    via
        How: ``key:ID``, ``key``, ``token``, ``open`` (no key needed), ``command``, ``service``
        (of its own accord).
    role
        What that lets it do.
    """

    principal: str | None = None
    via: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line's worth.

    Attributes
    ----------
    action
        What was done, e.g. ``volume.delete``.
    outcome
        ``refused``: because of what or who asked. ``failed``: because of the service.
        ``abandoned``: who asked did not wait for an answer.
    objects
        To what: ids of ``volume``, ``segmentation``, ``result``, ``key``; ``study`` and ``series``
        (UIDs); ``project``, ``bundle``; ``owner`` where that is not who did it; ``replaced``
        (a volume that went for another).
    request
        How it came: ``id``, ``method``, ``route`` (template), ``status``, ``code``, ``address``.
    time
        When it ended, UTC.
    """

    action: str
    outcome: Outcome
    who: Who = field(default_factory=Who)
    objects: Mapping[str, str | int] = field(default_factory=dict)
    request: Mapping[str, str | int] = field(default_factory=dict)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def said(self) -> dict[str, Any]:
        """As members of a line, without those that say nothing."""
        who = {"principal": self.who.principal, "via": self.who.via, "role": self.who.role}
        members: dict[str, Any] = {
            "time": self.time.isoformat(timespec="milliseconds"),
            "action": self.action,
            "outcome": self.outcome,
            "who": {name: value for name, value in who.items() if value is not None},
            "objects": dict(self.objects),
            "request": dict(self.request),
        }
        return {name: value for name, value in members.items() if value != {}}
