"""Metrics, logs and traces, without patient data and without globals.

Labels, fields and attributes are bounded: methods and routes come from closed sets (route
*templates*, never paths), experts from the bundles that were served, codes of refusals from the
tree of exceptions. Nothing holds a path, a query, a file name, a prompt or a message of an
exception, any of which could name a patient.
"""

from sammoe.telemetry.logs import (
    LogFormat,
    about,
    configure_logging,
    log_failure,
    log_request,
)
from sammoe.telemetry.metrics import (
    METRICS_TYPE,
    OTHER,
    UNMATCHED,
    Routed,
    Telemetry,
    known_method,
)
from sammoe.telemetry.tracing import Tracer, carrier, span, tracing

__all__ = [
    "METRICS_TYPE",
    "OTHER",
    "UNMATCHED",
    "LogFormat",
    "Routed",
    "Telemetry",
    "Tracer",
    "about",
    "carrier",
    "configure_logging",
    "known_method",
    "log_failure",
    "log_request",
    "span",
    "tracing",
]
