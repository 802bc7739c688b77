"""Routes of the nnInteractive 2.x remote protocol, below ``/nninteractive``.

Its one client serves 3D Slicer, napari and MITK, unmodified: give them ``http://HOST/nninteractive``
as the server and an API key as theirs. Every answer is what changes in the client's mask.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from starlette.responses import JSONResponse, Response

from sammoe import __version__
from sammoe.api.bodies import read_json
from sammoe.api.nninteractive import schemas
from sammoe.api.nninteractive.wire import pack, read_packed
from sammoe.api.problems import refuse
from sammoe.api.services import Call, Caller, json_answer
from sammoe.api.uploads import OCTETS, received
from sammoe.errors import InvalidInput, LeaseGone, MalformedBody, PromptInvalid
from sammoe.segmentation import Point, Prompt
from sammoe.segmentation.drawing import Change, Drawing
from sammoe.store import LeaseRecord
from sammoe.volume.arrays import AxisOrder, region, volume_from_array
from sammoe.volume.limits import ReadLimits
from sammoe.volume.volume import Volume

META: Final = "X-Meta"
LEASE: Final = "X-Lease-Token"

_META_BYTES: Final = 4096

ModelT = TypeVar("ModelT", bound=BaseModel)


class _Route(APIRoute):
    """What is refused for what it says is status 400 here."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except InvalidInput as error:
                return refuse(error, request.scope["state"], status=400)

        return answer


class Viewer:
    """A call under a lease."""

    def __init__(self, call: Call, lease: LeaseRecord) -> None:
        self.call = call
        self.lease = lease
        self.drawing = Drawing(call.workspace, call.services.leases)

    @property
    def axes(self) -> AxisOrder:
        """Order of the axes of the client's arrays."""
        return self.call.services.settings.nninteractive_axes

    async def body(self, model: type[ModelT]) -> ModelT:
        """The request's JSON."""
        limit = self.call.services.settings.json_limit
        return (await read_json(self.call.request, model, limit))[0]

    def voxel(self, coordinates: Sequence[float]) -> tuple[float, float, float]:
        """Array index to voxel index."""
        x, y, z = coordinates
        return (z, y, x) if self.axes == "kji" else (x, y, z)


async def _viewer(call: Caller) -> Viewer:
    token = call.request.headers.get(LEASE)
    if token is None:
        raise LeaseGone(f"Claim a lease, and send its token as {LEASE}.")
    lease = await call.services.leases.find(call.principal, token)
    call.note(volume=lease.volume_id)
    return Viewer(call, lease)


ViewerCall = Annotated[Viewer, Depends(_viewer)]

router = APIRouter(prefix="/nninteractive", include_in_schema=False, route_class=_Route)


@router.get("/healthz")
async def get_health() -> Response:
    """The process answers."""
    return JSONResponse({"ok": True})


@router.get("/capabilities")
async def get_capabilities(call: Caller) -> Response:
    """What a viewer may offer."""
    manifest = call.workspace.bundle.manifest
    side = manifest.window.side
    return json_answer(
        schemas.Capabilities(
            patch_size=(side, side, side),
            inference_session_version=f"sam-med3d-moe {__version__}",
            license=manifest.provenance.licence,
        )
    )


@router.post("/claim")
async def claim(call: Caller) -> Response:
    """Connect."""
    leases = call.services.leases
    return json_answer(
        schemas.Claimed(
            lease_token=await leases.claim(call.principal),
            idle_timeout_seconds=leases.terms.idle,
            liveness_timeout_seconds=leases.terms.liveness,
            max_sessions=leases.terms.leases,
        )
    )


@router.post("/release")
async def release(viewer: ViewerCall) -> Response:
    """Disconnect; the image goes."""
    await viewer.call.services.leases.end(viewer.lease)
    return JSONResponse({"released": True})


@router.post("/heartbeat")
async def heartbeat(viewer: ViewerCall) -> Response:
    """A sign of life, by which the viewer stays connected as long as somebody uses it."""
    remaining = viewer.call.services.leases.remaining(viewer.lease)
    return json_answer(schemas.Remaining(remaining_seconds=remaining))


@router.get("/lease_status")
async def get_lease_status(viewer: ViewerCall) -> Response:
    """How long the lease lasts."""
    leases = viewer.call.services.leases
    return json_answer(
        schemas.LeaseStatus(
            remaining_seconds=leases.remaining(viewer.lease),
            idle_timeout_seconds=leases.terms.idle,
        )
    )


@router.post("/set_image")
async def set_image(viewer: ViewerCall) -> Response:
    """Segment this image from now on."""
    request, workspace = viewer.call.request, viewer.call.workspace
    meta = _meta(request, schemas.ImageMeta)
    settings = viewer.call.services.settings
    bounds = settings.upload_limit, settings.upload_seconds
    async with received(request, workspace.temporary_folder, *bounds) as upload:
        spacing, axes, limits = meta.image_properties.spacing, viewer.axes, workspace.read_limits
        orientation = viewer.call.services.settings.nninteractive_orientation
        setting = viewer.drawing.set_image(
            viewer.lease, lambda: _read_image(upload.path, spacing, axes, orientation, limits)
        )
        record = await viewer.call.while_wanted(setting)
    before = viewer.lease.volume_id
    viewer.call.note(volume=record.id, replaced=None if before == record.id else before)
    shape = record.shape[::-1] if axes == "kji" else record.shape
    return json_answer(schemas.ImageSet(original_image_shape=(1, *shape)))


@router.post("/set_target_buffer")
async def set_target_buffer(viewer: ViewerCall) -> Response:
    """The client's mask begins empty, and has the image's shape."""
    asked = await viewer.body(schemas.TargetBuffer)
    geometry = await viewer.drawing.geometry(viewer.lease)
    shape = geometry.shape[::-1] if viewer.axes == "kji" else geometry.shape
    if asked.shape != shape:
        raise InvalidInput(f"The target buffer must have the image's shape {shape}.")
    await viewer.drawing.reset(viewer.lease)
    return JSONResponse({})


@router.post("/set_do_autozoom")
async def set_do_autozoom(viewer: ViewerCall) -> Response:
    """Taken, and without effect: windows follow the prompts."""
    await viewer.body(schemas.Autozoom)
    return JSONResponse({})


@router.post("/reset_interactions")
async def reset_interactions(viewer: ViewerCall) -> Response:
    """Start another structure."""
    await viewer.body(schemas.Empty)
    await viewer.drawing.reset(viewer.lease)
    return JSONResponse({})


@router.post("/add_point_interaction")
async def add_point(viewer: ViewerCall) -> Response:
    """A click on the structure or beside it."""
    asked = await viewer.body(schemas.PointIn)
    point = Point(*viewer.voxel(asked.coordinates), positive=asked.include_interaction)
    return await _add(viewer, Prompt((point,)), answer=asked.run_prediction)


@router.post("/add_bbox_interaction")
async def add_box(viewer: ViewerCall) -> Response:
    """A box around the structure, flat or not."""
    asked = await viewer.body(schemas.BoxIn)
    if not asked.include_interaction:
        raise InvalidInput("Boxes around what is not meant are not supported: use negative points.")
    geometry = await viewer.drawing.geometry(viewer.lease)
    low, high = np.array([viewer.voxel(side) for side in zip(*asked.bbox_coords, strict=True)])
    # Drawn by hand, ranges end anywhere; what is narrower than a voxel is one of them.
    start = np.clip(np.rint(low), 0, geometry.shape)
    stop = np.clip(np.maximum(np.rint(high), np.rint(low) + 1), 0, geometry.shape)
    if not ((low < high).all() and (start < stop).all()):
        raise PromptInvalid("The box is empty, or lies outside of the image.")
    first, last = start.tolist(), (stop - 1).tolist()
    return await _add(
        viewer,
        Prompt(box=((first[0], first[1], first[2]), (last[0], last[1], last[2]))),
        answer=asked.run_prediction,
    )


@router.post("/add_scribble_interaction")
@router.post("/add_lasso_interaction")
async def add_drawing(viewer: ViewerCall) -> Response:
    """Not supported, as the capabilities say."""
    raise InvalidInput("Scribbles and lassos are not taken: use points or boxes.")


@router.post("/add_initial_seg_interaction")
async def add_initial_mask(viewer: ViewerCall) -> Response:
    """Go on from a mask that the client has, which it writes into its own."""
    request, workspace = viewer.call.request, viewer.call.workspace
    _meta(request, schemas.MaskMeta)
    settings, axes = viewer.call.services.settings, viewer.axes
    bounds = settings.upload_limit, settings.upload_seconds
    async with received(request, workspace.temporary_folder, *bounds) as upload:
        bringing = viewer.drawing.bring(
            viewer.lease, lambda: _read_mask(upload.path, axes, workspace.read_limits)
        )
        await viewer.call.while_wanted(bringing)
    return await _answer(viewer, Change(ran=False))


@router.post("/predict")
async def predict(viewer: ViewerCall) -> Response:
    """Answer the prompts that wait."""
    await viewer.body(schemas.PredictIn)
    return await _change(viewer, viewer.drawing.predict(viewer.lease))


@router.post("/undo")
async def undo(viewer: ViewerCall) -> Response:
    """Take the last prompt back, once."""
    await viewer.body(schemas.Empty)
    return await _change(viewer, viewer.drawing.undo(viewer.lease))


async def _add(viewer: Viewer, prompt: Prompt, *, answer: bool) -> Response:
    return await _change(viewer, viewer.drawing.add(viewer.lease, prompt, answer=answer))


async def _change(viewer: Viewer, work: Coroutine[Any, Any, Change]) -> Response:
    return await _answer(viewer, await viewer.call.while_wanted(work))


async def _answer(viewer: Viewer, change: Change) -> Response:
    if change.part is None:
        meta, body = schemas.PredictionMeta(ran_prediction=change.ran), b""
    else:
        mask, ranges = region(change.part, viewer.axes)
        values = mask.view(np.uint8)
        body = await asyncio.to_thread(pack, values)
        meta = schemas.PredictionMeta(
            ran_prediction=change.ran, bbox=ranges, dtype=values.dtype.name, shape=values.shape
        )
    return Response(body, headers={META: meta.model_dump_json()}, media_type=OCTETS)


def _meta(request: Request, model: type[ModelT]) -> ModelT:
    text = request.headers.get(META, "{}")
    if len(text) > _META_BYTES:
        raise MalformedBody(f"The header {META} is too long.")
    try:
        return model.model_validate_json(text)
    except ValidationError:
        raise MalformedBody(f"The header {META} can not be understood.") from None


def _read_mask(path: Path, axes: AxisOrder, limits: ReadLimits) -> NDArray[np.bool_]:
    """bool [i, j, k] of a packed array [X, Y, Z]."""
    packed = read_packed(memoryview(path.read_bytes()), limits.max_bytes)
    if len(packed.shape) != 3:
        raise InvalidInput("A mask is an array of three axes.")
    limits.admit(packed.shape, packed.dtype.itemsize)
    mask: NDArray[np.bool_] = packed.unpack() != 0
    return mask.T if axes == "kji" else mask


def _read_image(
    path: Path, spacing: Sequence[float], axes: AxisOrder, orientation: str, limits: ReadLimits
) -> Volume:
    """The image of a packed array [1, X, Y, Z]."""
    packed = read_packed(memoryview(path.read_bytes()), limits.max_bytes)
    if len(packed.shape) != 4 or packed.shape[0] != 1:
        raise InvalidInput("An image is an array of four axes, the first of length 1.")
    limits.admit(packed.shape[1:], packed.dtype.itemsize)
    return volume_from_array(packed.unpack()[0], spacing, axes, orientation)
