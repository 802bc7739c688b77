"""Routes of results: put segmentations together, name them, change, list, fetch files, delete."""

from collections.abc import Callable, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from sammoe.api import examples
from sammoe.api.answers import ResultOut, ResultPage, StoredOut, StoredPage
from sammoe.api.bodies import read_json
from sammoe.api.documentation import answer, file, json_body, nothing, refusals
from sammoe.api.idempotency import REPLAYED, Made
from sammoe.api.negotiation import DICOM, NIFTI, NRRD
from sammoe.api.schemas import PageQuery, ResultIn, SegQuery, StoreIn, StructureQuery
from sammoe.api.services import Caller, QueryCaller, file_answer, json_answer
from sammoe.errors import NotFound
from sammoe.segmentation import Composed, DicomForm, send_result
from sammoe.volume.geometry import Geometry
from sammoe.volume.segments import structures_nifti, structures_nrrd
from sammoe.volume.structures import Structure

router = APIRouter(tags=["results"])

_RENDER: Final[dict[str, Callable[[Sequence[Structure], Geometry], bytes]]] = {
    NIFTI: structures_nifti,
    NRRD: structures_nrrd,
}

_FILE_NAMES: Final = {NIFTI: "result.nii.gz", NRRD: "result.seg.nrrd"}


@router.post(
    "/v1/volumes/{volume_id}/results",
    operation_id="addResult",
    status_code=201,
    responses=answer(201, "kept", ResultOut, examples.RESULT, "Location", REPLAYED)
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 504, 507),
    openapi_extra=json_body(ResultIn, examples.RESULT_REQUESTS, required=True),
)
async def add_result(call: Caller, volume_id: str) -> Response:
    """Put segmentations of one volume together, each with a name, a code and a colour.

    Their order counts: it numbers them, and with `keep_existing` the earlier and with `overwrite`
    the later one has the voxels that both claim. The segmentations themselves never change.
    """
    form = call.form()
    owner = await call.owner(volume_id)
    asked, body = await read_json(call.request, ResultIn, call.services.settings.json_limit)

    async def make(name: str | None) -> Made:
        record = await call.workspace.results.create(
            owner, volume_id, asked.drafts(), asked.merge, name
        )
        answer = json_answer(ResultOut.of(record), 201, f"/v1/results/{record.id}")
        return answer, record.volume_id

    return await call.create(volume_id, make, content=body, form=form, owner=owner)


@router.get(
    "/v1/volumes/{volume_id}/results",
    operation_id="listResults",
    responses=answer(200, "a page of the list", ResultPage, examples.RESULTS)
    | refusals(404, 406, 429),
)
async def list_results(
    call: QueryCaller, volume_id: str, query: Annotated[PageQuery, Query()]
) -> Response:
    """The results of one volume, newest first."""
    call.form()
    owner = await call.owner(volume_id)
    page = await call.workspace.results.list(owner, volume_id, query.cursor, query.limit)
    items = tuple(ResultOut.of(record) for record in page.items)
    return json_answer(ResultPage(items=items, next=page.cursor))


@router.get(
    "/v1/results/{result_id}",
    operation_id="getResult",
    responses=answer(200, "the result", ResultOut, examples.RESULT) | refusals(404, 406, 429),
)
async def get_result(call: Caller, result_id: str) -> Response:
    """One result: its structures in order."""
    call.form()
    owner = await call.owner_of_result(result_id)
    return json_answer(ResultOut.of(await call.workspace.results.get(owner, result_id)))


@router.put(
    "/v1/results/{result_id}",
    operation_id="replaceResult",
    responses=answer(200, "changed, or the same already", ResultOut, examples.RESULT, REPLAYED)
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 504, 507),
    openapi_extra=json_body(ResultIn, examples.RESULT_REQUESTS, required=True),
)
async def replace_result(call: Caller, result_id: str) -> Response:
    """Give a result other entries, all of them; a new revision unless nothing changes.

    An entry with the label of an earlier one keeps its tracking UID.
    """
    form = call.form()
    owner = await call.owner_of_result(result_id)
    asked, body = await read_json(call.request, ResultIn, call.services.settings.json_limit)

    async def make() -> Made:
        record = await call.workspace.results.replace(owner, result_id, asked.drafts(), asked.merge)
        return json_answer(ResultOut.of(record)), record.volume_id

    return await call.once(make, content=body, form=form, owner=owner)


@router.delete(
    "/v1/results/{result_id}",
    operation_id="deleteResult",
    status_code=204,
    responses=nothing("deleted") | refusals(404, 429),
)
async def delete_result(call: Caller, result_id: str) -> Response:
    """Delete one result; for the volume's owner alone. Its segmentations stay."""
    await call.workspace.results.delete(await call.owner_of_result(result_id), result_id)
    return Response(status_code=204)


@router.get(
    "/v1/results/{result_id}/mask",
    operation_id="getResultMask",
    responses=file(200, "the label map on the volume's own grid, as Accept says", NIFTI, NRRD)
    | refusals(404, 406, 409, 413, 429, 504),
)
async def get_result_mask(
    call: QueryCaller, result_id: str, query: Annotated[StructureQuery, Query()]
) -> Response:
    """All structures in one file, each voxel with its structure's number, or one alone.

    NRRD has names, codes and colours in the header, as 3D Slicer's `.seg.nrrd`, and layers where
    structures overlap; NIfTI refuses those (409 `structures_overlap`).
    """
    form = call.form(NIFTI, NRRD)

    def render(composed: Composed) -> bytes:
        chosen = _chosen(composed, query.structure)
        return _RENDER[form](chosen, composed.volume.geometry)

    owner = await call.owner_of_result(result_id)
    rendering = call.workspace.results.render(owner, result_id, render)
    content = await call.while_wanted(rendering)
    return file_answer(content, form, _FILE_NAMES[form])


@router.get(
    "/v1/results/{result_id}/seg",
    operation_id="getResultSeg",
    responses=file(200, "the DICOM SEG", DICOM) | refusals(404, 406, 409, 413, 429, 504),
)
async def get_result_seg(
    call: QueryCaller, result_id: str, query: Annotated[SegQuery, Query()]
) -> Response:
    """DICOM Segmentation on the frames of the series that the volume was read from.

    It has the patient and study of that series. Its UIDs stay the same until the result changes.
    """
    form = call.form(DICOM)
    kind: DicomForm = "seg" if query.form == "BINARY" else "labelmap"
    owner = await call.owner_of_result(result_id)
    made = await call.while_wanted(call.workspace.results.dicom(owner, result_id, kind))
    return file_answer(made.content, form, "seg.dcm")


@router.get(
    "/v1/results/{result_id}/rtstruct",
    operation_id="getResultRtstruct",
    responses=file(200, "the DICOM RTSTRUCT", DICOM) | refusals(404, 406, 409, 413, 429, 504),
)
async def get_result_rtstruct(call: Caller, result_id: str) -> Response:
    """DICOM RT Structure Set: outlines on each slice, as treatment planning takes them.

    It has the patient, study and frame of reference of the series that the volume was read from.
    """
    form = call.form(DICOM)
    owner = await call.owner_of_result(result_id)
    made = await call.while_wanted(call.workspace.results.dicom(owner, result_id, "rtstruct"))
    return file_answer(made.content, form, "rtstruct.dcm")


@router.post(
    "/v1/results/{result_id}/store",
    operation_id="storeResult",
    responses=answer(200, "all of them are stored", StoredPage, examples.STORED, REPLAYED)
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 502, 504, 507),
    openapi_extra=json_body(StoreIn, examples.STORE_REQUESTS, required=False),
)
async def store_result(call: Caller, result_id: str) -> Response:
    """Send a result's DICOM files to a DICOMweb server that the settings name.

    Nothing is deleted or replaced there. An unchanged result is stored under the same UIDs, so
    sending it again is harmless. 502 `not_stored`: the server did not take every file.
    """
    form = call.form()
    owner = await call.owner_of_result(result_id)
    limit = call.services.settings.json_limit
    asked, body = await read_json(call.request, StoreIn, limit, optional=True)

    async def make() -> Made:
        workspace = call.workspace
        record = await workspace.results.get(owner, result_id)
        stored = await send_result(
            workspace.results,
            workspace.pacs.connection(asked.server),
            owner,
            result_id,
            asked.forms,
        )
        return json_answer(StoredPage(items=tuple(map(StoredOut.of, stored)))), record.volume_id

    return await call.once(make, content=body, form=form, owner=owner)


def _chosen(composed: Composed, number: int | None) -> tuple[Structure, ...]:
    if number is None:
        return composed.structures
    if number > len(composed.structures):
        raise NotFound("The result has no structure of that number.")
    return composed.structures[number - 1 : number]
