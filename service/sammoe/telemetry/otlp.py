"""Traces by OpenTelemetry, sent over OTLP/HTTP. Needs the extra ``tracing``."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sammoe import __version__
from sammoe.errors import SammoeError
from sammoe.telemetry.tracing import Attribute, Span

_W3C: Final = TraceContextTextMapPropagator()
_ACCEPTED: Final = ("traceparent", "tracestate")

EXPORT_SECONDS: Final = 5.0
"""How long one batch may take, a trial more included, and what is left at the end."""


class OtlpTracer:
    """A `sammoe.telemetry.tracing.Tracer` that sends spans to a collector, in a thread of its own.

    What can not be sent is dropped: a collector may cost spans, never an answer. Which traces are
    sampled, headers for the collector, and further attributes of the process come from
    OpenTelemetry's own environment variables (``OTEL_TRACES_SAMPLER``,
    ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_RESOURCE_ATTRIBUTES``).

    Parameters
    ----------
    url
        Of the collector, as in ``http://collector:4318``.
    """

    def __init__(self, url: str) -> None:
        about = Resource.create({"service.name": "sammoe", "service.version": __version__})
        exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
        self._provider = TracerProvider(resource=about, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("sammoe", __version__)

    @contextmanager
    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[Span]:
        """See `Tracer.request`; a parent that is malformed is none."""
        given = {str(name, "latin-1"): str(value, "latin-1") for name, value in headers}
        above = _W3C.extract({name: given[name] for name in _ACCEPTED if name in given})
        with self._tracer.start_as_current_span(
            "request", above, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            yield _Otlp(span)

    @contextmanager
    def span(self, name: str, attributes: dict[str, Attribute]) -> Iterator[Span]:
        """See `Tracer.span`."""
        with self._tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False
        ) as span:
            seen = _Otlp(span)
            seen.note(**attributes)
            try:
                yield seen
            except SammoeError as error:
                seen.fail(error.code)
                raise
            except BaseException as error:
                seen.fail(type(error).__qualname__)
                raise

    def carrier(self) -> dict[str, str]:
        """See `Tracer.carrier`."""
        headers: dict[str, str] = {}
        _W3C.inject(headers)
        return headers

    def trace_id(self) -> str | None:
        """See `Tracer.trace_id`."""
        context = trace.get_current_span().get_span_context()
        return format(context.trace_id, "032x") if context.is_valid else None

    def close(self) -> None:
        """Send what is left, for a few seconds at most; blocks."""
        self._provider.force_flush(int(1000 * EXPORT_SECONDS))
        self._provider.shutdown()


class _Otlp:
    """A `Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def name(self, name: str) -> None:
        """See `Span.name`."""
        self._span.update_name(name)

    def note(self, **attributes: Attribute) -> None:
        """See `Span.note`."""
        for name, value in attributes.items():
            self._span.set_attribute(name, value)

    def fail(self, kind: str) -> None:
        """See `Span.fail`."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))
