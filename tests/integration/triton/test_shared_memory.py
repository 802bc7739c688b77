"""Inputs in memory that is shared with a real Triton: the same answers, and nothing left behind."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from sammoe.bundle import Bundle
from sammoe.engine import Choice, triton_regions
from sammoe.engine import triton_shared as shared
from sammoe.engine.triton import TritonEngine, TritonOptions
from sammoe.errors import EngineError
from tests.integration.triton.conftest import make_bundle
from tests.integration.triton.server import PATIENCE, TritonServer
from tests.integration.triton.test_answers import (
    CORD,
    PROMPTS,
    assert_equal,
    embedding,
    image,
    prompt,
    ready,
)

pytestmark = pytest.mark.integration

SYSTEM = TritonOptions(shared_memory="system")


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the small networks take counts as large."""
    monkeypatch.setattr(shared, "SMALL_BYTES", 1000)


@asynccontextmanager
async def sharing(triton: TritonServer, bundle: Bundle) -> AsyncIterator[TritonEngine]:
    engine = TritonEngine(bundle, triton.url, SYSTEM)
    try:
        async with asyncio.timeout(PATIENCE):
            await ready(engine)
        yield engine
    finally:
        await engine.close()


async def regions(triton: TritonServer) -> set[str]:
    """What the server has mapped."""
    client = InferenceServerClient(triton.url)
    status = await client.get_system_shared_memory_status()
    await client.close()
    return set(status.regions)


def files() -> list[Path]:
    """What is left of it in the file system."""
    return list(Path("/dev/shm").glob("sammoe-inputs-*"))


async def test_answers_are_the_same_bytes_and_nothing_is_left(
    triton: TritonServer, engine: TritonEngine, bundle: Bundle
) -> None:
    async with sharing(triton, bundle) as sharer:
        one, two = await asyncio.gather(engine.encode(image()), sharer.encode(image()))
        assert one.tobytes() == two.tobytes()
        for kind in PROMPTS:
            inputs = prompt(kind, bundle, CORD)
            assert_equal(
                await engine.decode(embedding(), inputs, Choice()),
                await sharer.decode(embedding(), inputs, Choice()),
            )
        assert len(await regions(triton)) == 2  # one for images, one for decoders' inputs
        assert files() == []
    assert await regions(triton) == set()


async def test_more_calls_at_once_than_there_are_regions(
    triton: TritonServer, engine: TritonEngine, bundle: Bundle
) -> None:
    prompts = [prompt(kind, bundle, CORD) for kind in PROMPTS]
    wanted = [await engine.decode(embedding(), inputs, Choice()) for inputs in prompts]
    async with sharing(triton, bundle) as sharer:
        calls = [sharer.decode(embedding(), inputs, Choice()) for inputs in prompts * 5]
        for one, two in zip(wanted * 5, await asyncio.gather(*calls), strict=True):
            assert_equal(one, two)
        assert len(await regions(triton)) == shared.REGIONS


async def test_a_region_that_may_still_be_read_is_not_taken_away(
    triton: TritonServer, engine: TritonEngine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = prompt("prior", bundle, CORD)
    wanted = await engine.decode(embedding(), inputs, Choice())
    async with sharing(triton, bundle) as sharer:
        call = asyncio.create_task(sharer.decode(embedding(), inputs, Choice()))
        await asyncio.sleep(0.002)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert call.cancelled()
        assert_equal(wanted, await sharer.decode(embedding(), inputs, Choice()))
    left = await regions(triton)
    assert left
    client = InferenceServerClient(triton.url)
    for region in left:
        await forgotten(client, region)
        owner(region).unlink(missing_ok=True)
    await client.close()


async def forgotten(client: InferenceServerClient, region: str) -> None:
    """Let the server forget it, once the call that was given up has ended there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await client.unregister_system_shared_memory(region)
                return
            except InferenceServerException as error:
                if "in use" not in str(error):
                    raise
            await asyncio.sleep(0.01)


KILLED = """
import asyncio, sys, time
import numpy as np
from tritonclient.grpc.aio import InferenceServerClient
from sammoe.engine.triton_regions import SystemRegion
from sammoe.engine.triton_shared import SharedInputs

async def share() -> None:
    async with SharedInputs(SystemRegion).holding(
        InferenceServerClient(sys.argv[1]), {"image": np.zeros(1 << 20, np.float32)}
    ) as places:
        print(places["image"].region, flush=True)
        time.sleep(60)

asyncio.run(share())
"""


@contextmanager
def another(triton: TritonServer) -> Iterator[Popen[str]]:
    """A process that shares memory with the server, and is killed at the end."""
    with Popen([sys.executable, "-c", KILLED, triton.url], stdout=PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def owner(region: str) -> Path:
    """The file of the process whose region it is."""
    return Path("/dev/shm") / f"sammoe-owner-{region.split('-')[2]}"


async def told(process: Popen[str]) -> str:
    """The region that it shares."""
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def test_what_a_killed_process_shared_is_forgotten(
    triton: TritonServer, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "QUIET_SECONDS", 0.1)
    with another(triton) as killed, another(triton) as living:
        dead, alive = await told(killed), await told(living)
        killed.kill()
        killed.wait()
        async with sharing(triton, bundle) as sharer, asyncio.timeout(PATIENCE):
            await sharer.encode(image())
            while owner(dead).exists():
                await asyncio.sleep(0.01)
        assert await regions(triton) == {alive}
    async with sharing(triton, bundle) as sharer, asyncio.timeout(PATIENCE):
        await sharer.encode(image())
        while owner(alive).exists():
            await asyncio.sleep(0.01)
    assert await regions(triton) == set()


async def test_a_server_on_another_machine_is_sent_everything(
    triton: TritonServer,
    engine: TritonEngine,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(triton_regions, "SYSTEM", tmp_path)  # which the server does not look into
    async with sharing(triton, bundle) as sharer:
        for kind in PROMPTS:
            inputs = prompt(kind, bundle, CORD)
            assert_equal(
                await engine.decode(embedding(), inputs, Choice()),
                await sharer.decode(embedding(), inputs, Choice()),
            )
    assert len([r for r in caplog.records if "no memory is shared" in r.getMessage()]) == 1
    assert list(tmp_path.iterdir()) == []
    assert await regions(triton) == set()


async def test_memory_that_is_full(
    triton: TritonServer,
    engine: TritonEngine,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(handle: int, start: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    async with sharing(triton, bundle) as sharer:
        inputs = prompt("prior", bundle, CORD)
        assert_equal(
            await engine.decode(embedding(), inputs, Choice()),
            await sharer.decode(embedding(), inputs, Choice()),
        )
    assert "No space left" in caplog.text
    assert files() == []


async def test_a_dead_server_is_no_reason_to_stop_sharing(tmp_path: Path) -> None:
    engine = TritonEngine(make_bundle(tmp_path / "repository"), "127.0.0.1:1", SYSTEM)
    with pytest.raises(EngineError, match="can not be reached"):
        await engine.encode(image())
    connection = engine._connection
    assert connection._shared is not None
    assert connection._shared._retry_at < 0
    await engine.close()
    assert files() == []
