"""A Triton server behind a network that fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import numpy as np
import pytest

from sammoe.bundle import Bundle
from sammoe.engine import Choice
from sammoe.engine.triton import TritonEngine, TritonOptions
from sammoe.errors import DeadlineExceeded, EngineError
from tests.integration.triton.server import TritonServer
from tests.integration.triton.test_answers import CORD, embedding, prompt
from tests.support.chaos import ChaosProxy

pytestmark = pytest.mark.integration

SECONDS = 1.0


@pytest.fixture
def network(triton: TritonServer) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(triton.ports[0])
    yield proxy
    proxy.calm()
    proxy.shut()


@pytest.fixture
async def engine(network: ChaosProxy, bundle: Bundle) -> AsyncIterator[TritonEngine]:
    options = TritonOptions(decode_seconds=SECONDS, encode_seconds=SECONDS)
    engine = TritonEngine(bundle, f"127.0.0.1:{network.port}", options)
    yield engine
    await engine.close()


@pytest.mark.fault("F12")
async def test_a_channel_that_stalls_is_given_up(
    engine: TritonEngine,
    network: ChaosProxy,
    bundle: Bundle,
    seen: Callable[[str], None],
) -> None:
    inputs = prompt("click", bundle, CORD)
    before = await engine.decode(embedding(), inputs, Choice())
    network.stall()
    await asyncio.sleep(1.1)  # an answer that young would show that the server can answer
    began = time.monotonic()
    with pytest.raises(EngineError):
        await engine.check_ready()
    assert time.monotonic() - began < 3 * SECONDS
    # The next call goes another way; nobody waited for keep-alives.
    after = await engine.decode(embedding(), inputs, Choice())
    seen(
        f"not ready within {SECONDS:.0f} s of silence; answered {time.monotonic() - began:.1f} s on"
    )
    assert after.route == before.route
    await engine.check_ready()


@pytest.mark.fault("F10")
async def test_a_slow_network_costs_a_deadline(
    engine: TritonEngine,
    network: ChaosProxy,
    bundle: Bundle,
) -> None:
    inputs = prompt("click", bundle, CORD)
    await engine.decode(embedding(), inputs, Choice())
    network.delay_seconds = 2 * SECONDS
    began = time.monotonic()
    calls = [engine.decode(embedding(), inputs, Choice()) for _ in range(8)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer) for answer in answers} == {DeadlineExceeded}
    assert time.monotonic() - began < 3 * SECONDS
    network.calm()
    async with asyncio.timeout(60):
        while True:
            try:
                await engine.decode(embedding(), inputs, Choice())
                break
            except EngineError:
                await asyncio.sleep(0.1)


@pytest.mark.fault("S35")
async def test_many_at_once_are_each_alone(
    engine: TritonEngine,
    bundle: Bundle,
) -> None:
    prompts = [prompt(kind, bundle, CORD) for kind in ("click", "box")] * 8
    alone = [await engine.decode(embedding(), inputs, Choice()) for inputs in prompts[:2]] * 8
    calls = [engine.decode(embedding(), inputs, Choice()) for inputs in prompts]
    for one, other in zip(alone, await asyncio.gather(*calls), strict=True):
        assert one.candidates.keys() == other.candidates.keys()
        for name, logits in one.candidates.items():
            assert np.array_equal(logits, other.candidates[name])
