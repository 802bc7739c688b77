"""Worked examples of refusals by status: made by the code that makes the real ones."""

import json
from typing import Any, Final

from sammoe import errors
from sammoe.api.problems import (
    FieldProblem,
    InvalidFields,
    internal_problem,
    problem_response,
)

_REQUEST_ID: Final = "4be2b6ccf9b34e0c8a5d3f1f7c2a9d10"

_FAULTS: Final = [
    FieldProblem(
        pointer="/points/0/position/2",
        code="finite_number",
        detail="Input should be a finite number",
    ),
    FieldProblem(pointer="/tau", code="float_type", detail="Input should be a valid number"),
]

_REFUSALS: Final[tuple[errors.SammoeError, ...]] = (
    errors.RequestRefused("Idempotency-Key must be 1 to 255 visible ASCII characters."),
    errors.MalformedBody("The body is no valid JSON, or is nested too deeply."),
    errors.Unauthorized("Send an API key: Authorization: Bearer KEY, or X-API-Key: KEY."),
    errors.OriginRefused("A web page of another origin may not call this service."),
    errors.NotFound("There is no such volume."),
    errors.CandidateMissing("This segmentation did not compute that mask, but: general."),
    errors.NotAcceptable("This route answers application/json: name one in Accept."),
    errors.RequestTimeout("The body was silent for 30 s."),
    errors.Conflict("There is nothing to undo: this is a first click."),
    errors.CandidateGone("The bundle that answered is served no more: click again."),
    errors.IdempotencyConflict(
        "This Idempotency-Key was used with another request: take a new key."
    ),
    errors.NoDicomSource("This volume did not come from a DICOM series."),
    errors.StructureEmpty("Structure 2 has no voxel.", pointer="/entries/1"),
    errors.StructuresOverlap("Structures 1 and 2 share 310 voxels."),
    errors.TooLarge("A file may have at most 1073741824 bytes."),
    errors.UnsupportedMediaType("Send the body as Content-Type application/json."),
    errors.UnsupportedFormat("The file is neither NIfTI nor NRRD."),
    errors.HostRefused("The Host header names another server: use a loopback name."),
    InvalidFields(_FAULTS),
    errors.PromptEmpty("Give at least one point or a box.", pointer="/points"),
    errors.PointOutside("This place is outside of the volume.", pointer="/points/0"),
    errors.OnlyNegative("Negative points take away from a mask.", pointer="/points"),
    errors.PriorInvalid("The mask is empty: there is nothing to refine."),
    errors.FileTruncated("The file ends before its header says."),
    errors.HeaderInvalid("The header promises more voxels than the file holds."),
    errors.AffineInvalid("The affine is singular."),
    errors.SegInvalid("The DICOM SEG has no segment of that number."),
    errors.NoForeground("The scan is constant: there is nothing to see."),
    errors.EngineBusy("Too many requests wait for the encoder workers; try again."),
    errors.EngineOutputInvalid("The model answered with NaN or Inf."),
    errors.DeadlineExceeded("There was no answer within 300 s: ask for fewer windows."),
    errors.RateExceeded("Wait for 2 s: 1200 windows a minute may be embedded.", retry_seconds=2),
    errors.DicomInvalid("A DICOM file is damaged: its header can not be parsed."),
    errors.DicomSlicesMissing("1 slice(s) are missing: slices 40 and 41 of 119 are 5 mm apart."),
    errors.SeriesMissing("The DICOMweb server has no such study or series."),
    errors.PacsError("The DICOMweb server answered 500."),
    errors.NotStored(
        "Not stored: rtstruct. The DICOMweb server refuses the file (failure reason A700H). seg is"
        " stored. Sending again is harmless.",
        pointer="/forms/1",
    ),
    errors.PacsUnavailable("The DICOMweb server can not be reached; try again."),
    errors.Forbidden("This needs the role segmenter; yours is reader."),
    errors.IdentityUnavailable("The issuer of tokens can not be reached: try again."),
    errors.AuditUnavailable("The audit log can not be written, so nothing may be changed."),
    errors.StoreUnavailable("The store's disk is full: nothing was kept."),
    errors.QuotaExceeded(
        "Your volumes may take 1073741824 bytes together, and have 1073700000: delete what is not"
        " needed."
    ),
    errors.Overloaded("64 requests are under way: try again in a moment."),
)


def _collect() -> dict[int, dict[str, Any]]:
    responses = [problem_response(error, _REQUEST_ID) for error in _REFUSALS]
    responses.append(internal_problem(_REQUEST_ID))
    collected: dict[int, dict[str, Any]] = {}
    for response in responses:
        problem = json.loads(bytes(response.body))
        collected.setdefault(response.status_code, {})[problem["code"]] = problem
    return collected


PROBLEMS: Final = _collect()
"""HTTP status -> code -> a whole problem."""
