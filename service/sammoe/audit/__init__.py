"""The audit log: who did what to which study, when, and what came of it.

It is no operational log: nothing else is written there, nothing is ever changed or removed, and
each line is sealed with the one before. See `sammoe.audit.seals` for the form.
"""

from sammoe.audit.deeds import UNTOLD, Deeds
from sammoe.audit.events import Event, Outcome, UidForm, Who
from sammoe.audit.log import AuditLog, AuditOptions
from sammoe.audit.seals import Sealer
from sammoe.audit.verifying import Finding, Heads, Verdict, verify

__all__ = [
    "UNTOLD",
    "AuditLog",
    "AuditOptions",
    "Deeds",
    "Event",
    "Finding",
    "Heads",
    "Outcome",
    "Sealer",
    "UidForm",
    "Verdict",
    "Who",
    "verify",
]
