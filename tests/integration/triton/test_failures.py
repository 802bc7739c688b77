"""Models that are missing or die, and a server that does: who notices, and for how long."""

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from sammoe.bundle import Bundle
from sammoe.engine import Choice
from sammoe.engine.local import LocalEngine
from sammoe.engine.triton import TritonEngine
from sammoe.errors import EngineError
from tests.integration.triton.conftest import make_bundle
from tests.integration.triton.server import PATIENCE, TritonServer, running
from tests.integration.triton.test_answers import (
    CORD,
    assert_equal,
    embedding,
    is_ready,
    prompt,
    ready,
)
from tests.integration.triton.test_shared_memory import SYSTEM, regions

pytestmark = pytest.mark.integration


@pytest.mark.fault("F09")
async def test_a_missing_expert_is_told_and_used_once_it_is_there(
    triton: TritonServer, other: Callable[..., Bundle]
) -> None:
    bundle = other(experts=("tumour",), slack=-5.0, without=("decoder_tumour",))
    folder = bundle.manifest.models["decoder_tumour"]
    engine = TritonEngine(bundle, triton.url)
    try:
        inputs = prompt("click", bundle, CORD)
        async with asyncio.timeout(PATIENCE):
            while not await is_ready(engine):
                await asyncio.sleep(0.2)
        route = (await engine.decode(embedding(), inputs, Choice())).route
        assert (route.used, route.top, route.check) == ("general", "tumour", "failed")
        with pytest.raises(EngineError):
            await engine.decode(embedding(), inputs, Choice("tumour"))

        shutil.copytree(bundle.path / folder, triton.folder / folder)

        async with asyncio.timeout(PATIENCE):
            await ready(engine)
        route = (await engine.decode(embedding(), inputs, Choice())).route
        assert (route.top, route.check) == ("tumour", "rejected")
        assert (await engine.decode(embedding(), inputs, Choice("tumour"))).route.used == "tumour"
    finally:
        await engine.close()


@pytest.mark.fault("F08")
@pytest.mark.parametrize("plain", ["decoder_cord", "decoder_general", "selector"])
async def test_a_killed_model_is_healed(
    triton: TritonServer, engine: TritonEngine, bundle: Bundle, plain: str
) -> None:
    inputs = prompt("click", bundle, CORD)
    async with asyncio.timeout(PATIENCE):
        await ready(engine)
        before = await engine.decode(embedding(), inputs, Choice())
        assert before.route.fused
        model = bundle.manifest.folders[plain]
        killed = triton.stubs(model)

        triton.kill(model)

        # An expert costs itself alone; without the others there is no answer until they are back.
        while True:
            try:
                after = await engine.decode(embedding(), inputs, Choice())
            except EngineError:
                assert plain != "decoder_cord"
                continue
            if after.route == before.route:
                break
            assert (plain, after.route.check) == ("decoder_cord", "failed")
            await asyncio.sleep(0.1)
    for name, logits in before.candidates.items():
        assert after.candidates[name].tobytes() == logits.tobytes()
    assert not set(triton.stubs(model)) & set(killed)


async def test_services_that_see_one_death_heal_it_together(
    triton: TritonServer, bundle: Bundle
) -> None:
    engines = [TritonEngine(bundle, triton.url) for _ in range(3)]
    inputs, model = prompt("click", bundle, CORD), bundle.manifest.models["decoder_general"]
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*map(ready, engines))
            for engine in [*engines] * 3:  # so that a new life can be told from the old by its runs
                await engine.decode(embedding(), inputs, Choice())
            await asyncio.sleep(1.5)
            before = loads(triton, model)

            triton.kill(model)

            async def until_it_answers(engine: TritonEngine) -> None:
                while True:
                    try:
                        await engine.decode(embedding(), inputs, Choice())
                    except EngineError:
                        await asyncio.sleep(0.05)
                    else:
                        return

            await asyncio.gather(*map(until_it_answers, engines))
            await asyncio.sleep(2)
            await asyncio.gather(*map(until_it_answers, engines))
        # Two that find out within milliseconds may both unload it.
        assert 1 <= loads(triton, model) - before <= 2
    finally:
        await asyncio.gather(*(engine.close() for engine in engines))


def loads(server: TritonServer, model: str) -> int:
    """How often the server has loaded a model."""
    return server.log.read_text().count(f"successfully loaded '{model}'")


@pytest.mark.fault("F08")
async def test_a_killed_server_is_told_at_once_and_found_again(
    tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sammoe.engine.triton_shared.SMALL_BYTES", 1000)
    bundle = make_bundle(tmp_path / "repository", experts=())
    # Its models are described as TensorRT plans, for which the stand-in runs the same graphs.
    with running(bundle.path, tmp_path / "log", "--config", "tensorrt") as server:
        engine, local = TritonEngine(bundle, server.url), LocalEngine(bundle)
        sharer = TritonEngine(bundle, server.url, SYSTEM)
        inputs = prompt("click", bundle, CORD)
        before = await sharer.decode(embedding(), inputs, Choice())
        known = await regions(server)
        assert known
        assert_equal(
            await local.decode(embedding(), inputs, Choice()),
            await engine.decode(embedding(), inputs, Choice()),
        )
        await local.close()
        assert server.shared_memory() != []

        server.stop(signal.SIGKILL)

        with pytest.raises(EngineError):
            await engine.decode(embedding(), inputs, Choice())
        await asyncio.sleep(1.1)
        assert not await is_ready(engine)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(PATIENCE):
            await ready(engine)
        assert (await engine.decode(embedding(), inputs, Choice())).candidates
        # The new server knows nothing of the memory that was shared with the old one.
        for _ in range(2):
            assert_equal(before, await sharer.decode(embedding(), inputs, Choice()))
        again = await regions(server)
        assert again
        assert not again & known
        await asyncio.gather(engine.close(), sharer.close())
        assert await regions(server) == set()
        assert server.stop() == 0
        assert server.shared_memory() == []
        assert not list(bundle.path.rglob("__pycache__"))
