"""Sending a request until it is answered, and refusals as exceptions."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sammoe_client._effects import Open, Read, Send, Sleep, Steps
from sammoe_client._requests import Answer, Request
from sammoe_client._settings import Retries
from sammoe_client.errors import ClientError, Refused, Unavailable, Unreachable, refusal

_BUSY = (429, 503)
"""Nothing was done: come again."""

_PROXY = (502, 504)
"""Of a proxy whose service is away; of the service itself they are about a PACS."""

_GONE = 404


def send(request: Request, retries: Retries) -> Steps[Answer]:
    """The answer to a request, tried again as ``retries`` say.

    Raises
    ------
    Unavailable, Refused, UnexpectedAnswer
        As the last attempt ended.
    """
    return (yield from _attempts(request, retries, whole=True))


def stream(request: Request, retries: Retries) -> Steps[Answer]:
    """The same for an answer that is then read piece by piece."""
    return (yield from _attempts(request, retries, whole=False))


def _attempts(request: Request, retries: Retries, *, whole: bool) -> Steps[Answer]:
    attempt, broke = 0, False
    while True:
        attempt += 1
        failure: ClientError
        try:
            answer: Answer = yield Send(request) if whole else Open(request)
            if answer.status < 400:
                return answer
            content = answer.content if whole else (yield from _rest())
        except Unavailable as error:
            failure, asked = error, None
            again = request.repeatable or isinstance(error, Unreachable)
            broke = broke or not isinstance(error, Unreachable)
        else:
            if request.method == "DELETE" and broke and answer.status == _GONE:
                return answer  # the attempt whose answer was lost has deleted it
            asked = _seconds(answer.headers.get("retry-after"))
            failure = refusal(answer.status, content, asked)
            away = answer.status in _PROXY and not isinstance(failure, Refused)
            again = answer.status in _BUSY or (away and request.repeatable)
        wait = retries.wait(attempt, asked) if again else None
        if wait is None:
            raise failure
        yield Sleep(wait)


def _rest() -> Steps[bytes]:
    content = b""
    while piece := (yield Read()):
        content += piece
    return content


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds: a number, or a date (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
