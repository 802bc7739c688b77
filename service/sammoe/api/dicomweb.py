"""Looking for series on DICOMweb servers."""

from fastapi import APIRouter
from starlette.responses import Response

from sammoe.api import examples
from sammoe.api.answers import SeriesOut, SeriesPage
from sammoe.api.bodies import read_json
from sammoe.api.documentation import answer, json_body, refusals
from sammoe.api.idempotency import REPLAYED, Made
from sammoe.api.schemas import SeriesQueryIn
from sammoe.api.services import Caller, json_answer
from sammoe.pacs import SeriesQuery

router = APIRouter(tags=["dicomweb"])


@router.post(
    "/v1/dicomweb/search",
    operation_id="searchSeries",
    responses=answer(200, "what was found", SeriesPage, examples.SERIES, REPLAYED)
    | refusals(400, 404, 406, 408, 409, 413, 415, 429, 502, 504),
    openapi_extra=json_body(SeriesQueryIn, examples.SEARCHES, required=True),
)
async def search_series(call: Caller) -> Response:
    """The series of a study, or of the studies of some days: a work list for programs.

    What is looked for is in the body, since addresses end up in logs; and no answer has a name.
    """
    form = call.form()
    asked, body = await read_json(call.request, SeriesQueryIn, call.services.settings.json_limit)

    async def make() -> Made:
        query = SeriesQuery(
            study=asked.study,
            modality=asked.modality,
            since=asked.since,
            until=asked.until,
            offset=asked.offset,
            limit=asked.limit,
        )
        found = await call.workspace.pacs.find_series(query, asked.server)
        return json_answer(SeriesPage(items=tuple(map(SeriesOut.model_validate, found)))), None

    return await call.once(make, content=body, form=form)
