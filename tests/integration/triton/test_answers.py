"""What Triton answers is what this process would answer, byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.bundle import Bundle
from sammoe.engine import Choice, Decoded, DecoderInputs, Engine, decoder_inputs
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.engine.triton import TritonEngine, TritonOptions
from sammoe.engine.watchdog import WATCH_SECONDS
from sammoe.errors import EngineBusy, EngineError, EngineOutputInvalid
from sammoe.volume.volume import Modality
from tests.bundles import CELLS, CHANNELS, GRID, SIDE
from tests.integration.triton.server import PATIENCE, TritonServer

pytestmark = pytest.mark.integration

CORD, LESION = [8.0, 14, 17], [24.0, 16, 15]
"""Places where the gate is sure of each."""

BOX = ([4.0, 8, 8], [20.0, 22, 23])
PROMPTS = ("click", "clicks", "box", "prior")


def image() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((1, 1, SIDE, SIDE, SIDE), np.float32)


def embedding() -> NDArray[np.float16]:
    values = np.random.default_rng(1).standard_normal((1, CHANNELS, GRID, GRID, GRID), np.float32)
    return values.astype(np.float16)


def prompt(kind: str, bundle: Bundle, place: list[float]) -> DecoderInputs:
    rule = bundle.manifest.window_rule()
    prior = np.random.default_rng(2).normal(-3, 2, (CELLS,) * 3).astype(np.float32)
    inputs = {
        "click": ([place], [1], None, None),
        "clicks": ([place, [20.0, 20, 20]], [1, 0], None, None),
        "box": ([place], [1], BOX, None),
        "prior": ([place, [9.0, 9, 9]], [1, 1], None, prior),
    }
    return decoder_inputs(*inputs[kind], rule)


@asynccontextmanager
async def both(triton: TritonServer, bundle: Bundle) -> AsyncIterator[tuple[Engine, TritonEngine]]:
    """The engine of this process, and one on the server, which has loaded the bundle."""
    local, remote = LocalEngine(bundle, EngineOptions(1, 1)), TritonEngine(bundle, triton.url)
    try:
        async with asyncio.timeout(PATIENCE):
            await ready(remote)
        yield local, remote
    finally:
        await asyncio.gather(local.close(), remote.close())


async def ready(engine: TritonEngine) -> None:
    """Wait until the server has every model, experts too, and the engine has seen it."""
    while not await is_ready(engine):
        await asyncio.sleep(0.2)
    await asyncio.sleep(WATCH_SECONDS + 0.2)  # What it knows of experts is up to a look old.
    while engine.missing:
        await asyncio.sleep(0.2)


async def is_ready(engine: TritonEngine) -> bool:
    try:
        await engine.check_ready()
    except EngineError:
        return False
    return True


def assert_equal(one: Decoded, two: Decoded) -> None:
    assert two.route == one.route
    assert list(two.candidates) == list(one.candidates)
    for name, logits in one.candidates.items():
        found = two.candidates[name]
        assert (found.dtype, found.tobytes()) == (logits.dtype, logits.tobytes()), name


async def test_the_mixture_answers_the_same_bytes(triton: TritonServer, bundle: Bundle) -> None:
    async with both(triton, bundle) as (local, remote):
        fused = 0
        for kind in PROMPTS:
            for place in (CORD, LESION):
                inputs = prompt(kind, bundle, place)
                for tau in (None, 0.2, 0.9999):
                    for expert in ("auto", "cord", "lesion", "general"):
                        choice = Choice(expert, tau)
                        one = await local.decode(embedding(), inputs, choice)
                        assert_equal(one, await remote.decode(embedding(), inputs, choice))
                        fused += one.route.fused
        assert fused >= 8  # else the matrix has missed what it is about


@pytest.mark.parametrize(("gate", "top"), [("heads", "lesion"), ("joint", "cord")])
async def test_experts_that_score_alike_are_told_apart_the_same(
    triton: TritonServer, other: Callable[..., Bundle], gate: str, top: str
) -> None:
    bundle = other(gate=gate, reference=gate == "heads", radii={"lesion": 5.0})
    inputs = decoder_inputs(
        [[16.0] * 3], [1], ([9.0] * 3, [23.0] * 3), None, bundle.manifest.window_rule()
    )
    async with both(triton, bundle) as (local, remote):
        one = await local.decode(embedding(), inputs, Choice(tau=0.3))
        assert_equal(one, await remote.decode(embedding(), inputs, Choice(tau=0.3)))
    assert one.route.top == top


async def test_rival_that_fails_is_told_of(
    triton: TritonServer, other: Callable[..., Bundle], caplog: pytest.LogCaptureFixture
) -> None:
    bundle = other(radii={"lesion": 5.0}, broken="decoder_lesion")
    inputs = decoder_inputs(
        [[16.0] * 3], [1], ([9.0] * 3, [23.0] * 3), None, bundle.manifest.window_rule()
    )
    async with both(triton, bundle) as (local, remote):
        one = await local.decode(embedding(), inputs, Choice(tau=0.3))
        caplog.clear()
        assert_equal(one, await remote.decode(embedding(), inputs, Choice(tau=0.3)))
    assert one.route.top == "cord"
    assert "the best expert by score answers: expert lesion failed" in caplog.text


async def test_embeddings_are_the_same_bytes(triton: TritonServer, bundle: Bundle) -> None:
    async with both(triton, bundle) as (local, remote):
        one, two = await asyncio.gather(local.encode(image()), remote.encode(image()))
        assert (one.dtype, one.tobytes()) == (two.dtype, two.tobytes())


@pytest.mark.parametrize(
    "given",
    [
        {"gate": "paper"},
        {"gate": "joint", "reference": False},
        {"slack": -5.0, "fusion": "logit"},
        {"slack": None, "fusion": "logit", "reference": False},
        {"slack": -5.0, "own_slack": {"cord": 0.0}},
        {"experts": ()},
        {"modalities": {"cord": ("MR",)}},
    ],
    ids=str,
)
async def test_every_kind_of_bundle_answers_the_same_bytes(
    triton: TritonServer, other: Callable[..., Bundle], given: dict[str, object]
) -> None:
    # Its models are loaded beside those of the first bundle, while the server runs.
    bundle = other(**given)
    async with both(triton, bundle) as (local, remote):
        for kind in PROMPTS:
            for modality in Modality:
                for tau in (None, 0.9999):
                    inputs, choice = prompt(kind, bundle, CORD), Choice(tau=tau)
                    one = await local.decode(embedding(), inputs, choice, modality)
                    two = await remote.decode(embedding(), inputs, choice, modality)
                    assert_equal(one, two)


@pytest.mark.fault("F11")
async def test_an_expert_that_answers_nan_has_failed(
    triton: TritonServer, other: Callable[..., Bundle]
) -> None:
    bundle = other(broken="decoder_cord")
    async with both(triton, bundle) as (local, remote):
        inputs = prompt("click", bundle, CORD)
        one = await local.decode(embedding(), inputs, Choice())
        assert one.route.check == "failed"
        assert_equal(one, await remote.decode(embedding(), inputs, Choice()))
        for engine in (local, remote):
            with pytest.raises(EngineOutputInvalid, match="NaN or Inf in logits of decoder_cord"):
                await engine.decode(embedding(), inputs, Choice("cord"))


async def test_a_request_for_another_bundle_is_refused(
    triton: TritonServer, bundle: Bundle
) -> None:
    manifest = bundle.manifest
    name = f"{manifest.selector}/1/bundle.json"
    wrong = manifest.model_copy(update={"files": {**manifest.files, name: "0" * 64}})
    engine = TritonEngine(Bundle(bundle.path, wrong, bundle.digest), triton.url)
    with pytest.raises(EngineError, match="belongs to another bundle"):
        await engine.decode(embedding(), prompt("click", bundle, CORD), Choice())
    await engine.close()


@pytest.mark.fault("F10")
async def test_work_in_flight_is_bounded(triton: TritonServer, bundle: Bundle) -> None:
    engine = TritonEngine(bundle, triton.url, TritonOptions(decodes=2))
    inputs = prompt("click", bundle, CORD)
    calls = [engine.decode(embedding(), inputs, Choice()) for _ in range(3)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == [
        "Decoded",
        "Decoded",
        "EngineBusy",
    ]
    assert any(isinstance(answer, EngineBusy) for answer in answers)
    assert (await engine.decode(embedding(), inputs, Choice())).candidates
    await engine.close()


@pytest.mark.fault("F10")
async def test_a_deadline_ends_a_call(triton: TritonServer, bundle: Bundle) -> None:
    engine = TritonEngine(bundle, triton.url, TritonOptions(decode_seconds=0.001))
    with pytest.raises(EngineError, match="in time"):
        await engine.decode(embedding(), prompt("click", bundle, CORD), Choice())
    await engine.close()


@pytest.mark.fault("S34")
async def test_a_caller_who_goes_away_leaves_a_free_place(
    triton: TritonServer, bundle: Bundle
) -> None:
    engine = TritonEngine(bundle, triton.url, TritonOptions(decodes=1))
    inputs = prompt("click", bundle, CORD)
    call = asyncio.create_task(engine.decode(embedding(), inputs, Choice()))
    await asyncio.sleep(0)
    with pytest.raises(EngineBusy):
        await engine.decode(embedding(), inputs, Choice())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await engine.decode(embedding(), inputs, Choice())).candidates
    await engine.close()


async def test_a_closed_engine_finishes_what_runs_and_refuses(
    triton: TritonServer, bundle: Bundle
) -> None:
    engine = TritonEngine(bundle, triton.url)
    inputs = prompt("click", bundle, CORD)
    running = asyncio.create_task(engine.decode(embedding(), inputs, Choice()))
    await asyncio.sleep(0)
    await engine.close()
    assert (await running).candidates
    with pytest.raises(EngineError, match="shutting down"):
        await engine.encode(image())
