"""Routes of MONAI Label, below ``/monailabel`` and at the root of a port of their own.

3D Slicer, OHIF and MITK connect by it, unmodified. A session is a volume of ours, and so is an
image of the datastore, under the name that its client gave it. Training is not served: the routes
for it say so.
"""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sammoe import __version__
from sammoe.api.auditing import CALLER
from sammoe.api.bodies import JSON_SECONDS, read_pieces
from sammoe.api.monailabel.models import Params, expert_of, info, labels_of
from sammoe.api.negotiation import DICOM
from sammoe.api.services import Call, QueryCaller, Services, file_answer
from sammoe.api.uploads import received_form
from sammoe.errors import MalformedBody, NotFound, NotSupported, Unauthorized
from sammoe.segmentation import Pull
from sammoe.segmentation.retelling import segment_told
from sammoe.store import VolumeRecord
from sammoe.store.arriving import Arrived
from sammoe.volume.geometry import Geometry
from sammoe.volume.nifti import write_nifti
from sammoe.volume.nrrd import write_nrrd
from sammoe.volume.paste import Pasted

_TRAINING: Final = "Training is not served here; see docs/training.md for how experts are added."
_PARAMS: Final = "params"
_FIELDS_BYTES: Final = 1 << 18
_SIGN_IN_BYTES: Final = 1 << 12


class InferQuery(BaseModel):
    """Which image, and what is wanted back."""

    model_config = ConfigDict(extra="forbid")

    image: str = ""
    session_id: str = ""
    output: Literal["", "all", "image", "json", "dicom_seg"] = ""


router = APIRouter(include_in_schema=False)


def slashed(
    path: str, *methods: str
) -> Callable[[Callable[..., Awaitable[Response]]], Callable[..., Awaitable[Response]]]:
    """A route with and without a slash at its end: clients use both."""

    def add(handle: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        for form in (path, f"{path}/"):
            router.add_api_route(form, handle, methods=list(methods))
        return handle

    return add


@slashed("/info", "GET")
async def get_info(call: QueryCaller) -> Response:
    """Models and labels."""
    return JSONResponse(info(call.workspace.bundle))


@slashed("/auth", "GET")
async def get_auth(request: Request) -> Response:
    """Whether a key is needed."""
    services: Services = request.app.state.services
    return JSONResponse({"enabled": services.access.is_needed})


@slashed("/auth/token", "POST")
async def get_token(request: Request) -> Response:
    """The password is an API key; the user is whose key it is."""
    services: Services = request.app.state.services
    body = b"".join([piece async for piece in read_pieces(request, _SIGN_IN_BYTES, JSON_SECONDS)])
    form = parse_qs(body.decode("latin-1"))
    key, user = form.get("password", [""])[0], form.get("username", [""])[0]
    refused = Unauthorized("Sign in with a principal's name and, as the password, its API key.")
    try:
        caller = await services.access.identify_credential(key)
    except Unauthorized:
        raise refused from None
    if caller.principal != user:
        raise refused
    request.scope["state"][CALLER] = caller
    return JSONResponse({"access_token": key, "token_type": "bearer"})


@slashed("/auth/token/valid", "GET")
async def check_token(call: QueryCaller) -> Response:
    """The key is good."""
    return JSONResponse({"username": call.principal})


@slashed("/session", "PUT")
async def create_session(call: QueryCaller) -> Response:
    """Take a scan, as one file or as the files of a DICOM series."""
    # A volume of its own for each session: what ends one must not take it from another.
    return JSONResponse(_session(await _add(call, secrets.token_hex(16))))


@slashed("/session/{session_id}", "GET")
async def get_session(call: QueryCaller, session_id: str) -> Response:
    """A scan that was taken."""
    owner = await call.owner(session_id)
    return JSONResponse(_session(await call.workspace.volumes.get(owner, session_id)))


@slashed("/session/{session_id}", "DELETE")
async def remove_session(call: QueryCaller, session_id: str) -> Response:
    """Delete a scan."""
    await call.workspace.volumes.delete(await call.owner(session_id), session_id)
    return JSONResponse({})


@slashed("/datastore", "PUT")
@slashed("/datastore/image", "PUT")
async def put_image(call: QueryCaller) -> Response:
    """Take a scan under a name of the client's, in place of an earlier one of that name."""
    name = call.request.query_params.get("image", "")
    record = await _add(call)
    if name:
        await call.workspace.volumes.name(call.principal, _named(name), record.id)
    return JSONResponse({"image": name or record.id})


@slashed("/datastore", "GET")
async def get_datastore(call: QueryCaller) -> Response:
    """Scans of this user, by id."""
    page = await call.workspace.volumes.list(call.principal)
    if call.request.query_params.get("output") == "stats":
        return JSONResponse({"total": len(page.items), "completed": 0})
    objects = {record.id: {"image": {"ext": "", "info": {}}, "labels": {}} for record in page.items}
    return JSONResponse({"name": "sammoe", "description": "", "objects": objects})


@slashed("/datastore/image", "HEAD")
async def has_image(call: QueryCaller) -> Response:
    """Whether there is such a scan."""
    await _find(call, call.request.query_params.get("image", ""))
    return Response()


@slashed("/datastore/label", "PUT", "GET")
@slashed("/datastore/image", "GET")
async def no_files(call: QueryCaller) -> Response:
    """Files of others' making are not kept."""
    raise NotSupported("Scans and labels can not be fetched or submitted here: save masks.")


@slashed("/infer/{model}", "POST")
async def infer(call: QueryCaller, model: str, query: Annotated[InferQuery, Query()]) -> Response:
    """Segment what all the clicks show."""
    began = time.perf_counter()
    bundle = call.workspace.bundle
    expert, labels = expert_of(bundle, model), labels_of(bundle, model)

    async def work(upload: Arrived, params: Params) -> Response:
        if upload.size:
            record, _ = await call.workspace.volumes.add(
                call.principal, upload.path, file_digest=upload.digest
            )
            _note(call, record)
        else:
            record = await _find_or_pull(call, query.session_id or query.image)
        name, pasted = await segment_told(
            call.workspace, record.owner, record.id, params.told(record.geometry), expert
        )
        call.note(segmentation=name)
        told = {
            "label_names": {params.label or labels[0]: 1},
            "model": model,
            "segmentation": name,
            "latencies": {"total": round(time.perf_counter() - began, 3)},
        }
        if query.output == "json":
            return JSONResponse({_PARAMS: told})
        if query.output == "dicom_seg":
            entry = params.entry(name, labels)
            seg = await call.workspace.results.seg(record.owner, entry)
            return file_answer(seg.content, DICOM, "seg.dcm")
        content = await asyncio.to_thread(_render, pasted, record.geometry, params)
        if query.output == "image":
            return Response(content, media_type="application/octet-stream")
        return _two_parts(told, f"mask{params.result_extension}", content)

    async with _form(call) as (upload, fields):
        params = Params.parse(fields.get(_PARAMS, ""), labels)
        return await call.while_wanted(work(upload, params))


@slashed("/train", "GET")
async def get_training(call: QueryCaller) -> Response:
    """Nothing is being trained."""
    if call.request.query_params.get("check_if_running"):
        raise NotFound("No training is running.")
    return JSONResponse({})


@slashed("/train", "POST", "DELETE")
@slashed("/train/{model}", "POST")
@slashed("/activelearning/{strategy}", "POST")
async def no_training(call: QueryCaller) -> Response:
    """Training is not served."""
    raise NotSupported(_TRAINING)


@slashed("/logs", "GET")
async def get_logs(call: QueryCaller) -> Response:
    """Logs are the operator's."""
    return PlainTextResponse("")


def _form(call: Call) -> AbstractAsyncContextManager[tuple[Arrived, Mapping[str, str]]]:
    settings = call.services.settings
    limits = settings.upload_limit, settings.upload_seconds, _FIELDS_BYTES
    return received_form(call.request, call.workspace.temporary_folder, *limits)


async def _add(call: Call, session: str = "") -> VolumeRecord:
    """Add the scan of a form; the same scan is the same volume, but for each session another."""
    async with _form(call) as (upload, _):
        if not upload.size:
            raise MalformedBody("The form has no file: send the scan.")
        digest = upload.digest
        if session:
            digest = hashlib.sha256(f"session {session} {digest}".encode()).hexdigest()
        adding = call.workspace.volumes.add(call.principal, upload.path, file_digest=digest)
        record, _ = await call.while_wanted(adding)
    _note(call, record)
    return record


async def _find(call: Call, name: str) -> VolumeRecord:
    """A volume by its id, by the name that a client gave it, or by its DICOM series."""
    try:
        return await call.workspace.volumes.get(await call.owner(name), name)
    except NotFound:
        found = await call.workspace.volumes.find(call.principal, _named(name), series=name)
        if found is None:
            raise
        _note(call, found)
        return found


async def _find_or_pull(call: Call, name: str) -> VolumeRecord:
    """The same; a series that is not here, or not whole, is fetched from the default PACS.

    Its UID is all that OHIF tells of it.
    """
    volumes, limit = call.workspace.volumes, call.services.settings.upload_limit
    try:
        found = await _find(call, name)
    except NotFound:
        study = await call.workspace.pacs.study_of(name)
        if study is None:
            raise
        record, _ = await volumes.pull(call.principal, Pull(study, name), limit)
        _note(call, record)
        return record
    if found.source is None or found.source.series != name:
        return found
    record = await call.workspace.series.of(found, limit)
    if record.id != found.id:
        # It may be older than the part of it that was found.
        await volumes.name(call.principal, _named(name), record.id)
        _note(call, record)
    return record


def _note(call: Call, record: VolumeRecord) -> None:
    source = record.source
    call.note(volume=record.id)
    if source is not None:
        call.note(study=source.study, series=source.series)


def _named(name: str) -> str:
    return hashlib.sha256(f"monailabel {name}".encode()).hexdigest()


def _session(record: VolumeRecord) -> dict[str, Any]:
    return {
        "session_id": record.id,
        "session_info": {
            "id": record.id,
            "creation_ts": int(record.created.timestamp()),
            "meta": {"shape": record.shape, "modality": record.modality.value},
            "version": __version__,
        },
    }


def _render(pasted: Pasted, geometry: Geometry, params: Params) -> bytes:
    mask = pasted.full(geometry.shape)
    if params.result_extension == ".nrrd":
        return write_nrrd(mask, geometry, compress=params.result_compress)
    return write_nifti(mask, geometry, compress=params.result_extension == ".nii.gz")


def _two_parts(told: dict[str, Any], filename: str, content: bytes) -> Response:
    """A form as MITK's own parser wants it: plain header lines, and a boundary without quotes."""
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_PARAMS}"\r\n'
        f"Content-Type: application/json\r\n\r\n{json.dumps(told)}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return Response(body, media_type=f"multipart/form-data; boundary={boundary}")
