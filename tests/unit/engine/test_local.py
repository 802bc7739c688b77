"""The engine of this process, on the real ONNX Runtime."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.bundle import Bundle, Routing, load_bundle
from sammoe.bundle.features import FEATURES_FILE
from sammoe.engine import Choice, Decoded, DecoderInputs, agreement, decoder_inputs, fuse
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.engine.protocol import Engine
from sammoe.engine.selector import pooled
from sammoe.errors import (
    BundleInvalid,
    EngineBusy,
    EngineError,
    EngineOutputInvalid,
    ExpertUnknown,
)
from sammoe.volume.volume import Modality
from tests.bundles import BALL_VOXELS, CELLS, EXPERT_BALL_VOXELS, SIDE, write_test_bundle

OPTIONS = EngineOptions(encoder_threads=1, decoder_threads=1)


@pytest.fixture
async def engine(general_bundle: Bundle) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(general_bundle, OPTIONS)
    yield engine
    await engine.close()


@pytest.fixture
async def mixture(expert_bundle: Bundle) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(expert_bundle, OPTIONS)
    yield engine
    await engine.close()


def image() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((1, 1, SIDE, SIDE, SIDE), np.float32)


def click(bundle: Bundle, *place: float) -> DecoderInputs:
    return decoder_inputs([place], [1], None, None, bundle.manifest.window_rule())


def volume_of(logits: NDArray[np.float32]) -> float:
    """Voxels of the window that are in the mask."""
    return float((logits > 0).sum()) * (SIDE / CELLS) ** 3


def ball(radius: float) -> float:
    return 4 / 3 * np.pi * radius**3


async def test_embedding_is_the_graph_s(engine: LocalEngine) -> None:
    embedding = await engine.encode(image())
    means = image().reshape(4, 8, 4, 8, 4, 8).mean(axis=(1, 3, 5))
    gains = np.arange(1, 5).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(embedding[0], means * gains, atol=1e-3)
    assert embedding.dtype == np.float16


async def test_click_is_answered_by_the_general_decoder(engine: Engine) -> None:
    embedding = await engine.encode(image())
    decoded = await engine.decode(embedding, click(engine.bundle, 16, 10, 20), Choice())
    assert list(decoded.candidates) == ["general"]
    logits = decoded.candidates["general"]
    assert logits.shape == (CELLS, CELLS, CELLS)
    assert volume_of(logits) == pytest.approx(ball(BALL_VOXELS), rel=0.1)
    centre = (np.argwhere(logits > 0).mean(axis=0) + 0.5) * SIDE / CELLS - 0.5
    np.testing.assert_allclose(centre, [16, 10, 20], atol=0.6)
    route = decoded.route
    assert (route.used, route.fused, dict(route.scores), route.top) == ("general", False, {}, None)
    assert decoded.queue_ms >= 0


async def test_sure_gate_mixes_general_and_expert(mixture: LocalEngine) -> None:
    embedding = await mixture.encode(image())
    inputs = click(mixture.bundle, 8, 16, 16)
    decoded = await mixture.decode(embedding, inputs, Choice())
    route = decoded.route
    assert (route.used, route.fused, route.top, route.tau) == ("cord", True, "cord", 0.5)
    assert list(route.scores) == ["cord", "lesion"]
    assert route.s_top == route.scores["cord"]
    assert route.s_top == pytest.approx(1 / (1 + np.exp(-8)), abs=1e-6)
    general, expert = decoded.candidates["general"], decoded.candidates["expert"]
    assert volume_of(expert) == pytest.approx(ball(EXPERT_BALL_VOXELS), rel=0.1)
    expected = fuse(general, expert, route.s_top, "probability")
    np.testing.assert_array_equal(decoded.candidates["fused"], expected)


async def test_unsure_gate_leaves_the_general_mask(mixture: LocalEngine) -> None:
    embedding = await mixture.encode(image())
    inputs = click(mixture.bundle, 14, 16, 16)
    decoded = await mixture.decode(embedding, inputs, Choice(tau=0.999))
    route = decoded.route
    assert list(decoded.candidates) == ["general"]
    assert (route.used, route.fused, route.top, route.tau) == ("general", False, "cord", 0.999)
    assert route.s_top is not None
    assert 0.5 < route.s_top < 0.999


@pytest.mark.parametrize(("expert", "radius"), [("general", BALL_VOXELS), ("lesion", 9.0)])
async def test_named_decoder_runs_alone(mixture: LocalEngine, expert: str, radius: float) -> None:
    embedding = await mixture.encode(image())
    inputs = click(mixture.bundle, 8, 16, 16)
    decoded = await mixture.decode(embedding, inputs, Choice(expert))
    (name,) = decoded.candidates
    assert name == ("general" if expert == "general" else "expert")
    assert volume_of(decoded.candidates[name]) == pytest.approx(ball(radius), rel=0.1)
    assert (decoded.route.used, dict(decoded.route.scores)) == (expert, {})


async def test_fusion_is_the_manifest_s(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord",), fusion="logit")
    engine = LocalEngine(bundle, OPTIONS)
    embedding = await engine.encode(image())
    decoded = await engine.decode(embedding, click(bundle, 16, 16, 16), Choice())
    candidates, s_top = decoded.candidates, decoded.route.s_top
    assert s_top is not None
    expected = fuse(candidates["general"], candidates["expert"], s_top, "logit")
    np.testing.assert_array_equal(candidates["fused"], expected)
    await engine.close()


async def test_unknown_expert_costs_nothing(engine: LocalEngine) -> None:
    embedding = await engine.encode(image())
    with pytest.raises(ExpertUnknown):
        await engine.decode(embedding, click(engine.bundle, 1, 1, 1), Choice("cord"))


@pytest.mark.fault("F11")
@pytest.mark.parametrize("broken", ["image_encoder", "decoder_general", "gate"])
async def test_nan_is_never_answered(tmp_path: Path, broken: str) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord",), broken=broken)
    engine = LocalEngine(bundle, OPTIONS)

    async def segment() -> None:
        embedding = await engine.encode(image())
        await engine.decode(embedding, click(bundle, 16, 16, 16), Choice())

    with pytest.raises(EngineOutputInvalid, match=broken):
        await segment()
    await engine.close()


@pytest.mark.fault("F11")
async def test_failing_expert_leaves_the_general_mask_unless_it_was_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord",), broken="decoder_cord")
    engine = LocalEngine(bundle, OPTIONS)
    embedding = await engine.encode(image())
    inputs = click(bundle, 16, 16, 16)
    decoded = await engine.decode(embedding, inputs, Choice())
    route = decoded.route
    assert list(decoded.candidates) == ["general"]
    assert (route.used, route.fused, route.top, route.check) == ("general", False, "cord", "failed")
    assert "expert cord failed" in caplog.text
    with pytest.raises(EngineOutputInvalid, match="decoder_cord"):
        await engine.decode(embedding, inputs, Choice("cord"))
    await engine.close()


async def decode_click(bundle: Bundle, *place: float, **asked: Any) -> Decoded:
    """A click on an engine of its own; ``modality`` and what a choice has may be asked."""
    modality = asked.pop("modality", Modality.UNKNOWN)
    engine = LocalEngine(bundle, OPTIONS)
    embedding = await engine.encode(image())
    decoded = await engine.decode(embedding, click(bundle, *place), Choice(**asked), modality)
    await engine.close()
    return decoded


@pytest.mark.parametrize(
    ("slack", "own", "check"),
    [
        (0.0, {}, "accepted"),
        (-5.0, {}, "rejected"),
        (-5.0, {"cord": 0.0}, "accepted"),
        (0.0, {"cord": -5.0}, "rejected"),
    ],
)
async def test_check_has_the_last_word(
    tmp_path: Path, slack: float, own: dict[str, float | None], check: str
) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord",), slack=slack, own_slack=own)
    decoded = await decode_click(bundle, 16, 16, 16)
    route, candidates = decoded.route, decoded.candidates
    general, expert = candidates["general"], candidates["expert"]
    assert (route.check, route.top) == (check, "cord")
    assert route.agreement == pytest.approx(agreement(general, expert))
    if check == "accepted":
        assert (route.used, route.fused, list(candidates)) == (
            "cord",
            True,
            ["general", "expert", "fused"],
        )
    else:
        assert (route.used, route.fused, list(candidates)) == (
            "general",
            False,
            ["general", "expert"],
        )


@pytest.mark.parametrize(("radius", "top"), [(5.0, "lesion"), (12.0, "cord"), (9.0, "cord")])
async def test_of_two_experts_that_score_alike_the_mask_decides(
    tmp_path: Path, radius: float, top: str
) -> None:
    # Between the two parts of the window: both score .5. A ball of 9 voxels leaves the box by 2.
    other = {"cord": "lesion", "lesion": "cord"}[top]
    bundle = write_test_bundle(
        tmp_path,
        experts=("cord", "lesion"),
        tau=0.3,
        slack=1.0,
        own_slack={other: -5.0},  # the one that answers is not held to it
        radii={"lesion": radius},
    )
    engine = LocalEngine(bundle, OPTIONS)
    rule = bundle.manifest.window_rule()
    inputs = decoder_inputs([[16, 16, 16]], [1], ([9.0] * 3, [23.0] * 3), None, rule)
    embedding = await engine.encode(image())
    decoded = await engine.decode(embedding, inputs, Choice())
    named = await engine.decode(embedding, inputs, Choice(top))
    assert (decoded.route.used, decoded.route.top, decoded.route.s_top) == (top, top, 0.5)
    np.testing.assert_array_equal(decoded.candidates["expert"], named.candidates["expert"])
    await engine.close()


async def test_rival_that_fails_leaves_the_best(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = write_test_bundle(
        tmp_path,
        experts=("cord", "lesion"),
        tau=0.3,
        slack=1.0,
        radii={"lesion": 5.0},
        broken="decoder_lesion",
    )
    engine = LocalEngine(bundle, OPTIONS)
    rule = bundle.manifest.window_rule()
    inputs = decoder_inputs([[16, 16, 16]], [1], ([9.0] * 3, [23.0] * 3), None, rule)
    decoded = await engine.decode(await engine.encode(image()), inputs, Choice())
    assert (decoded.route.top, decoded.route.check) == ("cord", "accepted")
    assert "expert lesion failed" in caplog.text
    await engine.close()


@pytest.mark.parametrize("gate", ["joint", "paper"])
@pytest.mark.parametrize("reference", [False, True])
async def test_gate_may_read_what_the_decoders_read(
    tmp_path: Path, gate: Literal["joint", "paper"], reference: bool
) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord", "lesion"), gate=gate, reference=reference)
    route = (await decode_click(bundle, 24, 16, 16)).route
    assert (route.used, route.top) == ("lesion", "lesion")
    assert route.scores["lesion"] == pytest.approx(1 / (1 + np.exp(-8)), abs=1e-6)
    assert (route.distance is not None) == reference


async def test_tau_is_that_of_the_kind_of_prompt(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord",))
    routing = Routing(tau={"box": 0.3, "click": 0.4, "clicks": 0.6})
    manifest = bundle.manifest.model_copy(update={"routing": routing})
    engine = LocalEngine(Bundle(bundle.path, manifest, bundle.digest), OPTIONS)
    embedding = await engine.encode(image())
    rule = bundle.manifest.window_rule()
    place, box = [16.0, 16, 16], ([4.0, 4, 4], [20.0, 20, 20])
    prompts = {
        0.4: decoder_inputs([place], [1], None, None, rule),
        0.6: decoder_inputs([place, place], [1, 1], None, None, rule),
        0.3: decoder_inputs([place, place], [1, 1], box, None, rule),
    }
    for tau, inputs in prompts.items():
        assert (await engine.decode(embedding, inputs, Choice())).route.tau == tau
    await engine.close()


async def test_expert_of_another_modality_is_taken_by_name_only(tmp_path: Path) -> None:
    bundle = write_test_bundle(
        tmp_path, experts=("cord", "lesion"), modalities={"cord": ("MR",), "lesion": ("CT",)}
    )
    for modality in (Modality.MR, Modality.UNKNOWN):
        assert (await decode_click(bundle, 8, 16, 16, modality=modality)).route.used == "cord"
    other = (await decode_click(bundle, 8, 16, 16, modality=Modality.CT)).route
    assert (other.used, other.top) == ("general", "lesion")
    assert other.scores["cord"] > 0.9
    named = await decode_click(bundle, 8, 16, 16, modality=Modality.CT, expert="cord")
    assert (named.route.used, list(named.candidates)) == ("cord", ["expert"])


async def test_of_the_experts_one_alone_may_be_allowed(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord", "lesion"), tau=0.0)
    free = (await decode_click(bundle, 8, 16, 16)).route
    assert free.top == "cord"
    held = (await decode_click(bundle, 8, 16, 16, only="lesion")).route
    assert (held.top, held.used, held.scores) == ("lesion", "lesion", free.scores)
    assert held.s_top == pytest.approx(free.scores["lesion"])


@pytest.mark.parametrize("gate", ["heads", "joint", "paper"])
async def test_heads_alone_remember_what_was_said_of_the_answer_before(
    tmp_path: Path, gate: Literal["heads", "joint", "paper"]
) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord", "lesion"), gate=gate)
    now = (await decode_click(bundle, 8, 16, 16)).route
    assert now.used == "cord"
    route = (await decode_click(bundle, 8, 16, 16, earlier=(1e-4, 1 - 1e-4))).route
    if gate != "heads":
        assert route == replace(now, scores=route.scores)
        assert route.scores == now.scores
        return
    expected = pooled(np.array(list(now.scores.values()), np.float32), (1e-4, 1 - 1e-4))
    assert list(route.scores.values()) == expected.tolist()
    assert (route.top, route.s_top) == ("lesion", route.scores["lesion"])


async def test_no_expert_is_chosen_where_all_exclude_the_modality(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord",), modalities={"cord": ("MR",)})
    route = (await decode_click(bundle, 16, 16, 16, modality=Modality.CT)).route
    assert (route.used, route.top, route.s_top, route.tau) == ("general", None, None, 0.5)
    assert route.scores["cord"] > 0.9


@pytest.mark.parametrize("experts", [(), ("cord",)])
async def test_distance_grows_away_from_the_reference(
    tmp_path: Path, experts: tuple[str, ...]
) -> None:
    bundle = write_test_bundle(tmp_path, experts=experts, reference=True)
    near, far = [(await decode_click(bundle, x, 16, 16)).route.distance for x in (16, 30)]
    assert near == pytest.approx(0, abs=0.02)
    deviation = np.linspace(0.25, 0.75, 9).std()
    assert far == pytest.approx((30 / SIDE - 0.75) / deviation, abs=0.04)
    general = await decode_click(bundle, 30, 16, 16, expert="general")
    assert general.route.distance == far


def test_damaged_reference_features_are_refused(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path, reference=True)
    path = bundle.path / bundle.manifest.models["decoder_general"] / FEATURES_FILE
    path.write_bytes(b"no features")
    with pytest.raises(BundleInvalid, match=FEATURES_FILE):
        LocalEngine(load_bundle(tmp_path, verify=False), OPTIONS)


@pytest.mark.fault("F17")
async def test_image_that_does_not_fit_is_an_engine_error(engine: LocalEngine) -> None:
    with pytest.raises(EngineError, match="could not be run"):
        await engine.encode(np.zeros((1, 1, 8, 8, 8), np.float32))


def test_graph_that_does_not_fit_the_manifest_is_refused(
    tmp_path: Path, general_bundle: Bundle
) -> None:
    manifest = general_bundle.manifest
    wider = manifest.model.model_copy(update={"embedding_channels": 5})
    bundle = Bundle(
        general_bundle.path, manifest.model_copy(update={"model": wider}), general_bundle.digest
    )
    with pytest.raises(BundleInvalid, match=r"image_encoder-\w+/1/model.onnx.*not float16"):
        LocalEngine(bundle, OPTIONS)


def test_graph_without_an_output_is_refused(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path, experts=("cord",))
    models = {**bundle.manifest.models, "decoder_general": bundle.manifest.models["decoder_cord"]}
    swapped = Bundle(
        bundle.path, bundle.manifest.model_copy(update={"models": models}), bundle.digest
    )
    with pytest.raises(BundleInvalid, match="has no output gate_features"):
        LocalEngine(swapped, OPTIONS)


def test_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path)
    path = bundle.model_path("decoder_general")
    path.write_bytes(b"no graph")
    with pytest.raises(BundleInvalid, match="can not be loaded"):
        LocalEngine(load_bundle(tmp_path, verify=False), OPTIONS)


async def test_decodes_do_not_wait_for_encodes(general_bundle: Bundle) -> None:
    options = EngineOptions(1, 1, encode_workers=1, encode_waiting=0)
    engine = LocalEngine(general_bundle, options)
    embedding = await engine.encode(image())
    slow = np.zeros((1, 1, SIDE, SIDE, SIDE), np.float32)
    encodes = [asyncio.create_task(engine.encode(slow)) for _ in range(2)]
    decoded = await engine.decode(embedding, click(general_bundle, 16, 16, 16), Choice())
    assert decoded.candidates
    with pytest.raises(EngineBusy):
        await asyncio.gather(*encodes)
    await asyncio.gather(*encodes, return_exceptions=True)
    await engine.close()
    with pytest.raises(EngineError, match="shutting down"):
        await engine.encode(image())


async def test_all_cores_give_the_same_bytes(engine: LocalEngine, general_bundle: Bundle) -> None:
    other = LocalEngine(general_bundle, EngineOptions())
    ours, theirs = await engine.encode(image()), await other.encode(image())
    np.testing.assert_array_equal(ours, theirs)
    inputs = click(general_bundle, 16, 10, 20)
    one, two = [await e.decode(ours, inputs, Choice()) for e in (engine, other)]
    np.testing.assert_array_equal(one.candidates["general"], two.candidates["general"])
    await other.close()
