"""Routes of volumes: add, list, look at, fetch, delete, warm up."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from sammoe.api import examples
from sammoe.api.answers import EmbeddingsOut, VolumeOut, VolumePage
from sammoe.api.bodies import media_type_of, read_json
from sammoe.api.documentation import answer, file, file_body, json_body, nothing, refusals, steps
from sammoe.api.events import Step, Steps, check_unkeyed, stream
from sammoe.api.idempotency import REPLAYED, Made
from sammoe.api.negotiation import EVENTS, JSON, PLAIN_NIFTI, choose_steps
from sammoe.api.schemas import EmbeddingsIn, UploadQuery, VolumeIn, VolumesQuery
from sammoe.api.services import Call, Caller, QueryCaller, json_answer
from sammoe.api.uploads import received
from sammoe.segmentation import Pull, WarmUp
from sammoe.store import VolumeRecord
from sammoe.volume.nifti import nifti_header, nifti_pieces

router = APIRouter(tags=["volumes"])


@router.post(
    "/v1/volumes",
    operation_id="addVolume",
    responses=answer(201, "added", VolumeOut, examples.VOLUME, "Location", REPLAYED)
    | answer(200, "was there already", VolumeOut, examples.VOLUME, "Location", REPLAYED)
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 502, 504, 507),
    openapi_extra=file_body(VolumeIn, examples.VOLUME_REQUESTS),
)
async def add_volume(call: QueryCaller, query: Annotated[UploadQuery, Query()]) -> Response:
    """Add a scan: NIfTI (.nii, .nii.gz), NRRD or DICOM, told apart by content.

    A DICOM series comes as a zip archive, as several files of one form, as one enhanced image, or,
    as JSON, by its UIDs from a DICOMweb server that the service knows.

    The same principal sending the same files with the same modality and project again gets the same
    volume.
    """
    form = call.form()
    project = call.project(query.project)
    if media_type_of(call.request) == JSON:
        return await _pull(call, query, form)
    folder, settings = call.workspace.temporary_folder, call.services.settings
    limits = settings.upload_limit, settings.upload_seconds
    async with received(call.request, folder, *limits) as upload:
        call.services.telemetry.upload(upload.size)

        async def make() -> Made:
            record, is_new = await call.workspace.volumes.add(
                call.principal,
                upload.path,
                modality=query.modality,
                file_digest=upload.digest,
                project=project,
            )
            return _added(call, record, is_new)

        return await call.once(make, content=upload.digest.encode(), form=form)


async def _pull(call: QueryCaller, query: UploadQuery, form: str) -> Response:
    limit = call.services.settings.upload_limit
    asked, body = await read_json(call.request, VolumeIn, call.services.settings.json_limit)
    wanted = asked.dicomweb

    async def make() -> Made:
        call.note(study=wanted.study, series=wanted.series)
        pull = Pull(wanted.study, wanted.series, wanted.server, query.modality, query.project)
        return _added(call, *await call.workspace.volumes.pull(call.principal, pull, limit))

    return await call.once(make, content=body, form=form)


def _added(call: Call, record: VolumeRecord, is_new: bool) -> Made:
    if record.source is not None:
        call.note(study=record.source.study, series=record.source.series)
    status = 201 if is_new else 200
    answer = json_answer(VolumeOut.of(record), status, f"/v1/volumes/{record.id}")
    return answer, record.id


@router.get(
    "/v1/volumes",
    operation_id="listVolumes",
    responses=answer(200, "a page of the list", VolumePage, examples.VOLUMES)
    | refusals(404, 406, 429),
)
async def list_volumes(call: QueryCaller, query: Annotated[VolumesQuery, Query()]) -> Response:
    """The caller's own volumes, or those that the members of a project share; newest first."""
    call.form()
    page = await call.workspace.volumes.list(
        call.principal, query.cursor, query.limit, project=call.project(query.project)
    )
    items = tuple(VolumeOut.of(record) for record in page.items)
    return json_answer(VolumePage(items=items, next=page.cursor))


@router.get(
    "/v1/volumes/{volume_id}",
    operation_id="getVolume",
    responses=answer(200, "the volume", VolumeOut, examples.VOLUME) | refusals(404, 406, 429),
)
async def get_volume(call: Caller, volume_id: str) -> Response:
    """One volume: its grid, its modality, and how that was learnt."""
    call.form()
    owner = await call.owner(volume_id)
    return json_answer(VolumeOut.of(await call.workspace.volumes.get(owner, volume_id)))


@router.get(
    "/v1/volumes/{volume_id}/voxels",
    operation_id="getVoxels",
    responses=file(200, "the scan as .nii, for a viewer to show", PLAIN_NIFTI)
    | refusals(404, 406, 429),
)
async def get_voxels(call: Caller, volume_id: str) -> Response:
    """The voxels on the grid that masks have, whatever the scan came as: NIfTI, not compressed.

    Numbers are those that the networks see before they are normalised: of a CT, Hounsfield units.
    """
    call.form(PLAIN_NIFTI)
    record, voxels = await call.workspace.volumes.voxels(await call.owner(volume_id), volume_id)
    size = len(nifti_header(record.geometry, voxels.dtype)) + voxels.nbytes
    headers = {
        "Content-Disposition": 'attachment; filename="scan.nii"',
        "Content-Length": str(size),
        "Content-Type": PLAIN_NIFTI,
    }
    # A plain iterator: each piece is made in a thread.
    return StreamingResponse(nifti_pieces(voxels, record.geometry), headers=headers)


@router.delete(
    "/v1/volumes/{volume_id}",
    operation_id="deleteVolume",
    status_code=204,
    responses=nothing("deleted") | refusals(404, 429),
)
async def delete_volume(call: Caller, volume_id: str) -> Response:
    """Delete a volume with all its segmentations and results; for its owner alone."""
    await call.workspace.volumes.delete(await call.owner(volume_id), volume_id)
    return Response(status_code=204)


@router.post(
    "/v1/volumes/{volume_id}/embeddings",
    operation_id="warmVolume",
    status_code=202,
    responses=steps(
        202,
        "begun; as events, for the whole volume alone, as it is being done",
        answer(202, "", EmbeddingsOut, examples.EMBEDDINGS, REPLAYED),
        examples.WARMING,
    )
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 504, 507),
    openapi_extra=json_body(EmbeddingsIn, examples.EMBEDDINGS_REQUESTS, required=False),
)
async def warm_volume(call: Caller, volume_id: str) -> Response:
    """Prepare the window around a place, or a whole volume, so that a first click is as fast as a
    later one.

    Answers at once; the work goes on behind, one whole volume after the other. As
    `text/event-stream` a whole volume is prepared now and told window by window; who closes the
    connection stops it. What would take more than the budget is refused.
    """
    limit = call.services.settings.json_limit
    owner = await call.owner(volume_id)
    asked, body = await read_json(call.request, EmbeddingsIn, limit, optional=True)
    whole = asked.extent == "whole"
    accept = call.request.headers.get("accept")
    form = choose_steps(accept, (JSON,)) if whole else call.form()

    async def make() -> Made:
        if whole:
            planned, told = await _planned(call, owner, volume_id, asked)
            call.workspace.warmer.warm_later(owner, volume_id, planned)
        else:
            prompt = asked.prompt_or_none()
            windows = await call.workspace.warmer.warm(owner, volume_id, prompt, asked.spacing)
            told = EmbeddingsOut(windows=windows)
        return json_answer(told, 202), volume_id

    if form == EVENTS:
        check_unkeyed(call)
        planned, told = await _planned(call, owner, volume_id, asked)
        return stream(call, _warming(call, owner, volume_id, planned, told), 202)
    return await call.once(make, content=body, form=form, owner=owner)


async def _planned(
    call: Call, owner: str, volume_id: str, asked: EmbeddingsIn
) -> tuple[WarmUp, EmbeddingsOut]:
    warmer = call.workspace.warmer
    planned = await warmer.plan(owner, volume_id, asked.budget(warmer.budget_bytes))
    return planned, EmbeddingsOut.of(planned, await warmer.encode_seconds())


async def _warming(
    call: Call, owner: str, volume_id: str, planned: WarmUp, told: EmbeddingsOut
) -> Steps:
    """An event ``plan``, then one ``progress`` for each window, and ``warmed`` after the last."""
    yield Step("plan", told.model_dump(mode="json"))
    done = 0
    async for _ in call.workspace.warmer.warm_whole(owner, volume_id, planned):
        done += 1
        yield Step("progress", {"windows": done})
    yield Step("warmed", {"windows": done}, last=True)
