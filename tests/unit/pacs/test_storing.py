"""What a DICOMweb server may say to a file that is sent to it."""

import json
from typing import Any

import pytest

from sammoe.errors import PacsError, PacsUnavailable
from sammoe.pacs import storing
from sammoe.pacs.storing import Outcome, store_instance
from tests.unit.pacs.test_client import answering, http, listed

STUDY, SERIES, INSTANCE = "1.2.3", "1.2.3.4", "1.2.3.4.5"
JSON = "application/dicom+json"
THERE = listed({"00080018": INSTANCE})
NOT_THERE = http(b"", JSON, "204 No Content")


def said(tag: str, **elements: Any) -> bytes:
    """STOW-RS's answer with one item in a sequence."""
    item = {name.removeprefix("x"): {"Value": [value]} for name, value in elements.items()}
    return json.dumps({tag: {"vr": "SQ", "Value": [item]}}).encode()


STORED = said("00081199", x00081155=INSTANCE)


async def outcome(answer: bytes, found: bytes = THERE) -> Outcome:
    def serve(head: str) -> bytes:
        return answer if head.startswith("POST") else found

    async with answering(serve) as (pacs, asked):
        made = await store_instance(pacs.connection(), STUDY, SERIES, INSTANCE, b"file")
        assert asked[0].startswith("POST /")
        assert "/studies HTTP" in asked[0]
        assert 'type="application/dicom"' in asked[0]
        return made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "_LOOKS", (0.0, 0.01))


async def test_a_stored_file_is_stored() -> None:
    assert await outcome(http(STORED, JSON)) == Outcome()
    assert await outcome(http(b"[" + STORED + b"]", JSON)) == Outcome()


async def test_warnings_are_passed_on() -> None:
    warned = said("00081199", x00081155=INSTANCE, x00081196=0xB000)
    assert await outcome(http(warned, JSON, "202 Accepted")) == Outcome(warning=0xB000)


@pytest.mark.fault("S24")
@pytest.mark.parametrize("status", ["200 OK", "202 Accepted", "409 Conflict"])
@pytest.mark.parametrize("sequence", ["00081198", "0008119A"])
async def test_failures_are_told_whatever_the_status(status: str, sequence: str) -> None:
    refused = said(sequence, x00081155=INSTANCE, x00081197=0xA700)
    assert await outcome(http(refused, JSON, status)) == Outcome(failure=0xA700)


@pytest.mark.parametrize("body", [b"", b"no JSON", b"{}", b"[]", b"null", b"<html>"])
async def test_a_conflict_without_a_reason_is_a_failure(body: bytes) -> None:
    assert await outcome(http(body, JSON, "409 Conflict")) == Outcome(failure=0x0110)


async def test_a_file_that_was_there_before_is_stored() -> None:
    twice = said("00081198", x00081155=INSTANCE, x00081197=0x0111)
    assert await outcome(http(twice, JSON, "409 Conflict")) == Outcome()


@pytest.mark.fault("S24")
@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"{}", b"[[]]", b"7", said("00081199", x00081155="1.9"), b"[" * 5000],
)
async def test_a_success_that_does_not_name_the_file_is_none(body: bytes) -> None:
    with pytest.raises(PacsError, match="did not say whether"):
        await outcome(http(body, JSON))


async def test_a_file_that_is_not_found_afterwards_is_not_stored() -> None:
    odd = (b"[]", b"?", b"7", b"true", b"[7]", b'{"a": 1}', b'[{"00080018": {"Value": [{}]}}]')
    for found in (NOT_THERE, http(b"", JSON, "404 Not Found"), *(http(body, JSON) for body in odd)):
        with pytest.raises(PacsError, match="does not find it"):
            await outcome(http(STORED, JSON), found)


async def test_a_file_may_be_found_a_little_later() -> None:
    answers = iter([http(STORED, JSON), NOT_THERE, THERE])
    async with answering(lambda head: next(answers)) as (pacs, _):
        await store_instance(pacs.connection(), STUDY, SERIES, INSTANCE, b"file")


async def test_a_server_that_can_not_be_searched_is_believed() -> None:
    assert await outcome(http(STORED, JSON), http(b"", JSON, "501 Not Implemented")) == Outcome()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", PacsError),
        ("302 Found", PacsError),
        ("500 Internal Server Error", PacsError),
        ("503 Service Unavailable", PacsUnavailable),
    ],
)
async def test_other_answers_are_the_servers_fault(status: str, kind: type[PacsError]) -> None:
    with pytest.raises(kind):
        await outcome(http(b"", JSON, status))


@pytest.mark.fault("S23")
async def test_an_endless_answer_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "_MAX_JSON", 1000)
    with pytest.raises(PacsError, match="too long"):
        await outcome(http(b" " * 2000, JSON))
