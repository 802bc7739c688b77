"""The unmodified client of 3D Slicer, napari and MITK against the real service."""

import gc
import gzip
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import pytest
from nnInteractive.inference.remote.remote_session import (
    ServerAtCapacityError,
    SessionExpiredError,
    nnInteractiveRemoteInferenceSession,
)
from nnInteractive.inference.remote.serialization import pack_array
from numpy.typing import NDArray

from tests.integration.serving import Server, serving

# Sessions that the service refuses leave their sockets open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

KEY = "a-key-of-some-length"
OTHER = "another-key-of-some-length"
SPACING = (3.0, 1.5, 1.0)
SHAPE = (30, 50, 60)
INSIDE = (15, 25, 30)


@pytest.fixture(autouse=True)
def _left_open() -> Iterator[None]:
    """What the client leaves open is collected here, not in the middle of another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nninteractive") / "state"


@pytest.fixture(scope="module")
def server(bundle: Path, state: Path) -> Iterator[Server]:
    with start(bundle, state) as server:
        yield server


def start(bundle: Path, state: Path, **more: str):  # type: ignore[no-untyped-def]
    """A service with two users."""
    keys = {"SAMMOE_API_KEYS": f"ann:{KEY},ben:{OTHER}"}
    return serving(bundle, state, **keys, **more)


def connect(server: Server, key: str = KEY) -> nnInteractiveRemoteInferenceSession:
    return nnInteractiveRemoteInferenceSession(f"{server.url}/nninteractive", api_key=key)


def image(seed: int = 0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(100, 20, (1, *SHAPE))
    return noise.clip(1).astype(np.float32)


def opened(
    server: Server, key: str = KEY, seed: int = 0
) -> tuple[nnInteractiveRemoteInferenceSession, NDArray[np.uint8]]:
    """A viewer with an image and an empty mask."""
    session = connect(server, key)
    session.set_image(image(seed), {"spacing": SPACING})
    mask = np.zeros(SHAPE, np.uint8)
    session.set_target_buffer(mask)
    return session, mask


def test_a_click_is_drawn_where_it_was_made(server: Server) -> None:
    session, mask = opened(server)
    with session:
        assert session.original_image_shape == (1, *SHAPE)
        assert session.supported_interactions == {
            "points": True,
            "bbox2d": True,
            "bbox3d": True,
            "scribble": False,
            "lasso": False,
        }
        assert session.supports_undo
        box = session.add_point_interaction(INSIDE, include_interaction=True)
        assert box is not None
        assert mask[INSIDE] == 1
        places = np.argwhere(mask)
        # A ball of 9 mm around the click, in millimetres: the axes have not been mixed up.
        np.testing.assert_allclose(places.mean(axis=0), INSIDE, atol=0.6)
        extent = (places.max(axis=0) - places.min(axis=0) + 1) * SPACING
        np.testing.assert_allclose(extent, extent.mean(), atol=3.1)
        outside = mask.copy()
        outside[tuple(slice(lo, hi) for lo, hi in box)] = 0
        assert not outside.any()


def test_refine_undo_and_another_structure(server: Server) -> None:
    session, mask = opened(server)
    with session:
        session.add_point_interaction(INSIDE, include_interaction=True)
        first = mask.copy()
        session.add_point_interaction((15, 25, 33), include_interaction=False)
        assert mask[15, 25, 33] == 0
        assert 0 < mask.sum() < first.sum()
        assert session.undo()
        np.testing.assert_array_equal(mask, first)
        assert not session.undo()
        session.reset_interactions()
        assert not mask.any()
        assert not session.undo()
        session.add_point_interaction((15, 10, 10), include_interaction=True, run_prediction=False)
        assert not mask.any()
        session.add_point_interaction((15, 14, 10), include_interaction=True, run_prediction=False)
        assert session._predict() is not None
        assert mask[15, 10, 10]
        assert mask[15, 14, 10]
        assert not mask[INSIDE]
        assert session._predict() is None


@pytest.mark.parametrize("flat", [False, True])
def test_boxes(server: Server, flat: bool) -> None:
    session, mask = opened(server)
    with session:
        box = [[10, 11] if flat else [8, 14], [10, 30], [20, 45]]
        session.add_bbox_interaction(box, include_interaction=True)
        assert mask[10, 20, 32] == 1
        assert not mask[:, :5].any()
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            session.add_bbox_interaction(box, include_interaction=False)
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            session.add_bbox_interaction([[5, 5], [0, 9], [0, 9]], include_interaction=True)


def test_a_scan_as_napari_sends_it(server: Server) -> None:
    """Its reader turns scans to RAS, with a minus before each spacing; it draws between voxels."""
    session = connect(server)
    with session:
        session.set_image(image(), {"spacing": np.negative(SPACING)})
        mask = np.zeros(SHAPE, np.uint8)
        session.set_target_buffer(mask)
        headers = {"Authorization": f"Bearer {KEY}"}
        volume = httpx.get(f"{server.url}/v1/volumes", headers=headers).json()["items"][0]
        assert volume["orientation"] == "RAS"
        assert volume["spacing"] == list(reversed(SPACING))
        session.add_point_interaction((15.0, 24.92, 29.95), include_interaction=True)
        assert mask[INSIDE] == 1
        for box, drawn in (
            # a slice that is not quite on a voxel; the first slice, and beyond the image
            ([[9.9, 10.9], [10.2, 30.4], [19.7, 45.1]], True),
            ([[-1e-7, 1.0 - 1e-7], [10.0, 30.0], [20.0, 64.0]], True),
            # hardly a box at all
            ([[10.0, 11.0], [20.02, 20.43], [25.1, 40.6]], False),
        ):
            session.reset_interactions()
            session.add_bbox_interaction(box, include_interaction=True)
            assert mask[round(box[0][0])].any() == drawn


def kept_mask(server: Server) -> NDArray[np.uint8]:
    """The newest mask of the newest scan as our own API gives it, in the array's axis order."""
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as http:
        volume = http.get("/v1/volumes").json()["items"][0]["id"]
        newest = http.get(f"/v1/volumes/{volume}/segmentations").json()["items"][0]["id"]
        answer = http.get(f"/v1/segmentations/{newest}/mask").raise_for_status()
    image = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    return np.asarray(image.dataobj).T


def test_a_mask_that_the_viewer_brings_is_refined(server: Server) -> None:
    session, mask = opened(server)
    with session:
        assert session.supports_initial_label
        given = np.zeros(SHAPE, np.uint8)
        given[10:20, 10:40, 15:45] = 1
        given[2, 2, 2] = 1  # far too small for the networks: the viewer must not keep it
        session.add_initial_seg_interaction(given)
        np.testing.assert_array_equal(mask, given)
        session.add_point_interaction((15, 25, 30), include_interaction=True)
        assert mask[15, 25, 30] == 1
        assert mask[2, 2, 2] == 0
        np.testing.assert_array_equal(mask, kept_mask(server))
        refined = mask.copy()
        assert session.undo()
        np.testing.assert_array_equal(mask, given)  # to the voxel: somebody drew it
        session.add_point_interaction((15, 25, 30), include_interaction=True)
        np.testing.assert_array_equal(mask, refined)
        session.add_point_interaction((15, 25, 55), include_interaction=True)
        assert mask[15, 25, 55] == 1
        assert session.undo()
        np.testing.assert_array_equal(mask, refined)
        session.add_initial_seg_interaction(np.zeros(SHAPE, np.uint8))
        assert not mask.any()
        session.add_point_interaction(INSIDE, include_interaction=True)
        assert mask[INSIDE] == 1
        assert not mask[12, 14, 20]
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            session._post_binary(
                "/add_initial_seg_interaction", {}, pack_array(np.ones((3, 3, 3), np.uint8))
            )


def test_what_a_structure_is_not_waits_for_what_it_is(server: Server) -> None:
    beside = (15, 25, 37)
    session, mask = opened(server)
    with session:
        session.add_point_interaction(beside, include_interaction=False)
        assert session._predict() is None
        assert not mask.any()
        session.add_point_interaction(INSIDE, include_interaction=True)
        assert mask[INSIDE] == 1
        assert mask[beside] == 0
        session.reset_interactions()
        session.add_point_interaction(beside, include_interaction=False)
        assert session.undo()
        session.add_point_interaction(INSIDE, include_interaction=True)
        assert mask[beside] == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.add_point_interaction((15, 25, 600), include_interaction=True),
        lambda s: s.add_scribble_interaction(np.ones(SHAPE, np.uint8), include_interaction=True),
        lambda s: s.add_lasso_interaction(np.ones(SHAPE, np.uint8), include_interaction=True),
        lambda s: s.set_target_buffer(np.zeros((3, 3, 3), np.uint8)),
        lambda s: s.set_image(np.zeros((1, *SHAPE), np.float32), {"spacing": SPACING}),
        lambda s: s.set_image(image(), {"spacing": (0.0, 1.0, 1.0)}),
    ],
)
def test_what_can_not_be_done_is_refused_and_loses_nothing(server: Server, ask) -> None:  # type: ignore[no-untyped-def]
    session, mask = opened(server)
    with session:
        session.add_point_interaction(INSIDE, include_interaction=True)
        before = mask.copy()
        session.add_point_interaction((15, 25, 34), include_interaction=True)
        session.undo()
        session.target_buffer = mask
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            ask(session)
        session.target_buffer = mask
        np.testing.assert_array_equal(mask, before)


@pytest.mark.fault("S18")
def test_a_lease_ends(server: Server) -> None:
    session, _ = opened(server)
    assert session.lease_status()["remaining_seconds"] > 500
    assert session.heartbeat() > 500
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}) as http:
        volumes = http.get("/v1/volumes").json()["items"]
        lease = session._http.headers["X-Lease-Token"]
        session._http.post("/release").raise_for_status()
        assert len(http.get("/v1/volumes").json()["items"]) == len(volumes) - 1
        assert http.post("/nninteractive/undo", headers={"X-Lease-Token": lease}).status_code == 410
    with pytest.raises(SessionExpiredError):
        session.add_point_interaction(INSIDE, include_interaction=True)


@pytest.mark.fault("S18")
def test_nobody_uses_the_lease_of_another(server: Server) -> None:
    ann, ben = connect(server), connect(server, OTHER)
    with ann, ben:
        for token in (ann._http.headers["X-Lease-Token"], "", "x" * 74, "\u00e9"):
            answer = httpx.post(
                f"{server.url}/nninteractive/heartbeat",
                headers=[
                    (b"Authorization", b"Bearer " + OTHER.encode()),
                    (b"X-Lease-Token", token.encode()),
                ],
            )
            assert answer.status_code == 410
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            connect(server, "a-wrong-key-that-is-long")
    assert httpx.get(f"{server.url}/nninteractive/healthz").json() == {"ok": True}


def test_users_at_once_never_see_each_others_masks(server: Server) -> None:
    """Each user clicks at a place of their own, on an image of their own."""

    def use(number: int) -> None:
        session, mask = opened(server, KEY if number % 2 else OTHER, seed=number)
        place = (15, 8 + 8 * (number % 5), 10 + 20 * (number // 5))
        with session:
            for _ in range(3):
                session.add_point_interaction(place, include_interaction=True)
                alone = mask.copy()
                np.testing.assert_allclose(np.argwhere(alone).mean(axis=0), place, atol=2.6)
                beside = (15, place[1], place[2] + 5)
                session.add_point_interaction(beside, include_interaction=True)
                session.undo()
                np.testing.assert_array_equal(mask, alone)
                session.reset_interactions()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(10)))


@pytest.mark.fault("F14")
def test_a_restart_between_clicks_is_not_noticed(bundle: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with start(bundle, state) as server:
        session, mask = opened(server)
        session.add_point_interaction(INSIDE, include_interaction=True)
        first = mask.copy()
        server.stop()
    with start(bundle, state) as again:
        session._http.base_url = httpx.URL(f"{again.url}/nninteractive")
        session.add_point_interaction((15, 25, 33), include_interaction=False)
        assert mask.sum() < first.sum()
        session.undo()
        np.testing.assert_array_equal(mask, first)
        session.close()


def test_full_and_idle(bundle: Path, tmp_path: Path) -> None:
    limits = {"SAMMOE_VIEWER_LEASES": "1", "SAMMOE_VIEWER_IDLE_SECONDS": "2"}
    with start(bundle, tmp_path / "state", **limits) as server:
        first = connect(server)
        with pytest.raises(ServerAtCapacityError, match="1 viewers"):
            connect(server)
        beats = threading.Event()
        end = time.monotonic() + 30.0
        while time.monotonic() < end and not beats.wait(0.5):
            try:
                first.heartbeat()
            except SessionExpiredError:
                beats.set()
        assert beats.is_set()
        connect(server).close()
