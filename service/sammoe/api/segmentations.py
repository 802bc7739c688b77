"""Routes of segmentations: click, refine, list, look at, fetch masks, undo, delete."""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from sammoe.api import examples
from sammoe.api.answers import MeasuredOut, SegmentationOut, SegmentationPage
from sammoe.api.bodies import read_json
from sammoe.api.documentation import answer, file_body, json_body, keyed, mask, nothing, refusals
from sammoe.api.events import check_unkeyed, stream
from sammoe.api.examples import SEGMENTATION_ID
from sammoe.api.idempotency import REPLAYED, Made
from sammoe.api.leaving import in_time
from sammoe.api.negotiation import (
    ANSWERS,
    EVENTS,
    FILE_NAMES,
    JSON,
    MASKS,
    NIFTI,
    NRRD,
    PACKED,
    choose_steps,
)
from sammoe.api.progress import growing
from sammoe.api.schemas import MaskQuery, MaskUploadQuery, PageQuery, SegmentationIn
from sammoe.api.services import Call, Caller, QueryCaller, json_answer
from sammoe.api.timing import HEADER as SERVER_TIMING
from sammoe.api.timing import server_timing
from sammoe.api.uploads import received
from sammoe.segmentation import Progress, Render, Segmented
from sammoe.volume.geometry import Geometry
from sammoe.volume.nifti import write_nifti
from sammoe.volume.nrrd import write_nrrd
from sammoe.volume.packed import pack
from sammoe.volume.paste import Pasted

router = APIRouter(tags=["segmentations"])


def _nifti(pasted: Pasted, geometry: Geometry) -> bytes:
    return write_nifti(pasted.full(geometry.shape), geometry)


def _nrrd(pasted: Pasted, geometry: Geometry) -> bytes:
    return write_nrrd(pasted.full(geometry.shape), geometry)


_RENDER: Final[dict[str, Callable[[Pasted, Geometry], bytes]]] = {
    PACKED: pack,
    NIFTI: _nifti,
    NRRD: _nrrd,
}


@router.post(
    "/v1/volumes/{volume_id}/segmentations",
    operation_id="segment",
    status_code=201,
    responses=mask(
        201,
        "the answer: what was found (JSON), or the mask itself, as Accept says",
        *("Location", SEGMENTATION_ID, SERVER_TIMING, REPLAYED),
        with_json=answer(201, "", SegmentationOut, examples.SEGMENTATION),
    )
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 502, 504, 507),
    openapi_extra=json_body(SegmentationIn, examples.SEGMENTATION_REQUESTS, required=True),
)
async def segment(call: Caller, volume_id: str) -> Response:
    """Segment the structure that points or a box show; with `parent`, refine an earlier answer.

    The answer is a new, immutable segmentation. Undo is to go back to the parent. As
    `text/event-stream` it comes in steps while the mask grows; who closes the connection stops it.
    """
    started = time.perf_counter()
    form = choose_steps(call.request.headers.get("accept"), ANSWERS)
    owner = await call.owner(volume_id)
    asked, body = await read_json(call.request, SegmentationIn, call.services.settings.json_limit)

    async def work(
        render: Render | None, progress: Progress | None = None, name: str | None = None
    ) -> Segmented:
        made = await call.workspace.segment(
            owner,
            volume_id,
            asked.prompt(),
            parent=asked.parent,
            tau=asked.tau,
            expert=asked.expert,
            extent=asked.extent(),
            refined=asked.candidate,
            render=render,
            progress=progress,
            name=name,
        )
        call.note(segmentation=made.record.id)
        return made

    async def work_in_time(render: Render, progress: Progress) -> Segmented:
        return await in_time(work(render, progress), call.services.settings.deadline_seconds)

    if form == EVENTS:
        check_unkeyed(call)
        volume = await call.workspace.volumes.get(owner, volume_id)
        return stream(call, growing(volume, work_in_time), 201)

    async def make(name: str | None) -> Made:
        made = await work(_RENDER.get(form), name=name)
        response = await _answered(call, made, form)
        total_ms = 1000 * (time.perf_counter() - started)
        timings = made.timings
        response.headers[SERVER_TIMING] = server_timing(timings.phases_ms, timings.cache, total_ms)
        return response, volume_id

    return await call.create(volume_id, make, content=body, form=form, owner=owner)


@router.post(
    "/v1/volumes/{volume_id}/masks",
    operation_id="addMask",
    status_code=201,
    responses=answer(201, "a segmentation to refine", SegmentationOut, examples.GIVEN, "Location")
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 504, 507),
    openapi_extra=file_body(),
)
async def add_mask(
    call: QueryCaller, volume_id: str, query: Annotated[MaskUploadQuery, Query()]
) -> Response:
    """Bring a mask on the volume's own grid, to be refined by clicks: NIfTI, NRRD, or DICOM SEG.

    A SEG must be made on the series that the volume came from; `label` is its segment's number.

    The answer is a segmentation like any other: name it as `parent`.
    """
    form = call.form()
    owner = await call.owner(volume_id)
    folder, settings = call.workspace.temporary_folder, call.services.settings
    limits = settings.upload_limit, settings.upload_seconds
    async with received(call.request, folder, *limits) as upload:

        async def make(name: str | None) -> Made:
            record, volume = await call.workspace.add_mask(
                owner, volume_id, upload.path, label=query.label, name=name
            )
            place = f"/v1/segmentations/{record.id}"
            return json_answer(SegmentationOut.of(record, volume), 201, place), volume_id

        content = upload.digest.encode()
        return await call.create(volume_id, make, content=content, form=form, owner=owner)


@router.get(
    "/v1/volumes/{volume_id}/segmentations",
    operation_id="listSegmentations",
    responses=answer(200, "a page of the list", SegmentationPage, examples.SEGMENTATIONS)
    | refusals(404, 406, 429),
)
async def list_segmentations(
    call: QueryCaller, volume_id: str, query: Annotated[PageQuery, Query()]
) -> Response:
    """The segmentations of one volume, newest first."""
    call.form()
    owner = await call.owner(volume_id)
    page = await call.workspace.list_segmentations(owner, volume_id, query.cursor, query.limit)
    volume = await call.workspace.volumes.get(owner, volume_id)
    items = tuple(SegmentationOut.of(record, volume) for record in page.items)
    return json_answer(SegmentationPage(items=items, next=page.cursor))


@router.get(
    "/v1/segmentations/{segmentation_id}",
    operation_id="getSegmentation",
    responses=answer(200, "the segmentation", MeasuredOut, examples.MEASURED)
    | refusals(404, 406, 429),
)
async def get_segmentation(call: Caller, segmentation_id: str) -> Response:
    """One segmentation: prompts, route, timings, and the sizes of what was found."""
    call.form()
    owner = await call.owner_of_segmentation(segmentation_id)
    record = await call.workspace.get_segmentation(owner, segmentation_id)
    volume = await call.workspace.volumes.get(owner, record.volume_id)
    measures = await call.workspace.measure(owner, segmentation_id)
    return json_answer(MeasuredOut.measured(record, volume, measures))


@router.delete(
    "/v1/segmentations/{segmentation_id}",
    operation_id="deleteSegmentation",
    status_code=204,
    responses=nothing("deleted") | refusals(404, 409, 429),
)
async def delete_segmentation(call: Caller, segmentation_id: str) -> Response:
    """Delete one segmentation that no result holds; for the volume's owner alone. Those that
    refine it stay.
    """
    owner = await call.owner_of_segmentation(segmentation_id)
    await call.workspace.delete_segmentation(owner, segmentation_id)
    return Response(status_code=204)


@router.post(
    "/v1/segmentations/{segmentation_id}/undo",
    operation_id="undo",
    responses=answer(200, "the segmentation before", SegmentationOut, examples.SEGMENTATION)
    | refusals(400, 404, 406, 409, 429, 504, 507),
    openapi_extra=keyed(),
)
async def undo(call: Caller, segmentation_id: str) -> Response:
    """The segmentation that this one refines. Nothing is deleted: redo is to go on from here."""
    form = call.form()
    owner = await call.owner_of_segmentation(segmentation_id)

    async def make() -> Made:
        record = await call.workspace.undo(owner, segmentation_id)
        volume = await call.workspace.volumes.get(owner, record.volume_id)
        return json_answer(SegmentationOut.of(record, volume)), volume.id

    return await call.once(make, form=form, owner=owner)


@router.get(
    "/v1/segmentations/{segmentation_id}/mask",
    operation_id="getMask",
    responses=mask(200, "the mask on the volume's own grid, as Accept says")
    | refusals(404, 406, 409, 429, 502, 504, 507),
)
async def get_mask(
    call: QueryCaller, segmentation_id: str, query: Annotated[MaskQuery, Query()]
) -> Response:
    """A mask as NIfTI, NRRD or packed. `fused` is the answer; `general` and `expert` are what it
    was made of, `rival` is that of the expert which `route.rival` names; computed now if the click
    did not.
    """
    form = call.form(*MASKS)
    owner = await call.owner_of_segmentation(segmentation_id)
    masking = call.workspace.mask(owner, segmentation_id, query.candidate)
    pasted, volume = await call.while_wanted(masking)
    content = await asyncio.to_thread(_RENDER[form], pasted, volume.geometry)
    return Response(content, headers=_mask_headers(form))


async def _answered(call: Call, made: Segmented, form: str) -> Response:
    record = made.record
    headers = {
        "Location": f"/v1/segmentations/{record.id}",
        SEGMENTATION_ID: record.id,
    }
    if made.rendered is not None:
        return Response(made.rendered, 201, headers | _mask_headers(form))
    volume = await call.workspace.volumes.get(record.owner, record.volume_id)
    content = SegmentationOut.of(record, volume).model_dump_json()
    return Response(content, 201, headers, media_type=JSON)


def _mask_headers(form: str) -> dict[str, str]:
    return {
        "Content-Type": form,
        "Content-Disposition": f'attachment; filename="{FILE_NAMES[form]}"',
    }
