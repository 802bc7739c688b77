"""What the service does of its own accord, as the audit log tells it."""

from typing import Final

from sammoe.audit.events import Event, Outcome, Who
from sammoe.audit.log import AuditLog

SERVICE: Final = Who("service", "service")
"""Who did what nobody asked for at the time."""


class Deeds:
    """Tells a log, if there is one."""

    def __init__(self, log: AuditLog | None = None) -> None:
        self._log = log

    def check(self) -> None:
        """Return if something may be changed; see `AuditLog.check`.

        Raises
        ------
        AuditUnavailable
            Not before the log can be written again.
        """
        if self._log is not None:
            self._log.check()

    def tell(self, action: str, outcome: Outcome = "success", **objects: str | None) -> None:
        """Write soon what was done to what; what is not known is left out."""
        if self._log is not None:
            known = {kind: name for kind, name in objects.items() if name is not None}
            self._log.add(Event(action, outcome, SERVICE, known))


UNTOLD: Final = Deeds()
"""Where there is no log."""
