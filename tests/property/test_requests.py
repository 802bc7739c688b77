"""Whatever a client sends is understood or refused, and never a fault of ours."""

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from sammoe.access import Access
from sammoe.api.bodies import read_json
from sammoe.api.negotiation import ANSWERS, choose
from sammoe.api.problems import json_pointer
from sammoe.api.schemas import PointIn, SegmentationIn
from sammoe.errors import NotAcceptable, Unauthorized
from sammoe.settings import Settings
from tests.unit.api.applications import application, client

NUMBERS = st.floats() | st.integers() | st.booleans() | st.text(max_size=3)
MEMBERS = st.sampled_from([*SegmentationIn.model_fields, *PointIn.model_fields])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | NUMBERS | st.sampled_from(["voxel", "ras", "auto"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(NUMBERS, min_size=3, max_size=3)
        | st.dictionaries(MEMBERS | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


async def read(request: Request) -> Response:
    asked, _ = await read_json(request, SegmentationIn, 1 << 16)
    prompt = asked.prompt()
    assert all(isinstance(value, float) for p in prompt.points for value in (p.x, p.y, p.z))
    return Response(asked.model_dump_json(), media_type="application/json")


async def sent(body: bytes) -> httpx.Response:
    async with client(application(read)) as http:
        return await http.post("/", content=body, headers={"Content-Type": "application/json"})


@pytest.mark.fault("S33")
@given(VALUES)
async def test_any_json_is_understood_or_refused(value: Any) -> None:
    answer = await sent(json.dumps(value).encode())
    assert answer.status_code in {200, 422}
    if answer.status_code == 200:
        again = await sent(answer.content)
        assert (again.status_code, again.content) == (200, answer.content)


@given(st.binary(max_size=200))
async def test_any_bytes_are_understood_or_refused(body: bytes) -> None:
    assert (await sent(body)).status_code in {200, 400, 422}


@given(st.text(max_size=200))
def test_any_accept_header_gets_an_offer_or_a_refusal(accept: str) -> None:
    try:
        chosen = choose(accept, ANSWERS)
    except NotAcceptable:
        return
    assert chosen in ANSWERS


@pytest.mark.fault("S20")
@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=100))
def test_no_guess_is_a_key(guess: str) -> None:
    access = Access.from_settings(Settings.load({"api_keys": "ann:ann-has-a-long-key"}))
    for headers in ({"authorization": guess}, {"x-api-key": guess}):
        try:
            asyncio.run(access.identify(Headers(headers)))
        except Unauthorized:
            continue
        assert "ann-has-a-long-key" in guess


@given(st.lists(st.text(max_size=20) | st.integers(0, 10**9), max_size=5))
def test_pointers_are_printable_and_keep_their_depth(path: list[str | int]) -> None:
    pointer = json_pointer(path)
    assert pointer.isprintable()
    assert pointer.count("/") == len(path)
    assert not re.search("~(?![01])", pointer)
