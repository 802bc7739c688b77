"""Looking for series on DICOMweb servers, and hearing of studies from them."""

from fastapi import APIRouter
from starlette.responses import Response

from sammoe.api import examples
from sammoe.api.answers import SeriesOut, SeriesPage, StudyOut
from sammoe.api.bodies import read_json
from sammoe.api.documentation import answer, json_body, refusals
from sammoe.api.idempotency import REPLAYED, Made
from sammoe.api.schemas import SeriesQueryIn, StudyIn
from sammoe.api.services import Caller, json_answer
from sammoe.pacs import SeriesQuery

router = APIRouter(tags=["dicomweb"])


@router.post(
    "/v1/dicomweb/search",
    operation_id="searchSeries",
    responses=answer(200, "what was found", SeriesPage, examples.SERIES)
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 502, 504),
    openapi_extra=json_body(SeriesQueryIn, examples.SEARCHES, required=True),
)
async def search_series(call: Caller) -> Response:
    """The series of a study, or of the studies of some days: a work list for programs.

    What is looked for is in the body, since addresses end up in logs; and no answer has a name. It
    changes nothing, so an Idempotency-Key does nothing either: no answer is kept.
    """
    call.form()
    asked, _ = await read_json(call.request, SeriesQueryIn, call.services.settings.json_limit)
    call.note(study=asked.study)
    query = SeriesQuery(
        study=asked.study,
        modality=asked.modality,
        since=asked.since,
        until=asked.until,
        offset=asked.offset,
        limit=asked.limit,
    )
    page = await call.workspace.pacs.find_series(query, asked.server)
    items = tuple(map(SeriesOut.model_validate, page.items))
    return json_answer(
        SeriesPage(items=items, next=asked.offset + asked.limit if page.more else None)
    )


@router.post(
    "/v1/dicomweb/warm",
    operation_id="warmStudy",
    status_code=202,
    responses=answer(202, "begun", StudyOut, examples.STUDY, REPLAYED)
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 504, 507),
    openapi_extra=json_body(StudyIn, examples.STUDY_REQUESTS, required=True),
)
async def warm_study(call: Caller) -> Response:
    """Get the CT and MR series of a study that is complete, and prepare each: what a PACS calls.

    Answers at once; the work goes on behind, one study after the other.
    """
    form = call.form()
    settings = call.services.settings
    asked, body = await read_json(call.request, StudyIn, settings.json_limit)
    call.note(study=asked.study)

    async def make() -> Made:
        waiting = await call.workspace.warmer.warm_study(
            call.principal, asked.study, settings.upload_limit, asked.server
        )
        return json_answer(StudyOut(waiting=waiting), 202), None

    return await call.once(make, content=body, form=form)
