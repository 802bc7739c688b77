"""What can go wrong, as one tree.

::

    ClientError
    ├── Unavailable             no answer came
    │   ├── Unreachable             nobody was reached: nothing was sent
    │   ├── TimedOut                the answer did not come in time
    │   └── Disconnected            the connection broke
    ├── UnexpectedAnswer        what came is not of this API: a proxy's page, another service
    └── Refused                 a problem (RFC 9457), by its stable ``code``
        ├── InvalidInput                         invalid_input
        │   ├── VolumeInvalid                    volume_invalid
        │   │   ├── UnsupportedFormat            unsupported_format
        │   │   ├── FileTruncated                file_truncated
        │   │   ├── HeaderInvalid                header_invalid
        │   │   ├── AffineInvalid                affine_invalid
        │   │   ├── SegInvalid                   seg_invalid
        │   │   ├── NoForeground                 no_foreground
        │   │   ├── ArchiveInvalid               archive_invalid
        │   │   └── DicomInvalid                 dicom_invalid
        │   │       ├── DicomNoImages            dicom_no_images
        │   │       ├── DicomSeveralPatients     dicom_several_patients
        │   │       ├── DicomSeveralSeries       dicom_several_series
        │   │       ├── DicomFramesOfReference   dicom_several_frames_of_reference
        │   │       ├── DicomInstancesConflict   dicom_conflicting_instances
        │   │       ├── DicomPhasesMixed         dicom_phases_mixed
        │   │       ├── DicomSlicesDoubled       dicom_duplicate_slices
        │   │       ├── DicomSlicesMissing       dicom_missing_slices
        │   │       ├── DicomSpacingIrregular    dicom_irregular_spacing
        │   │       ├── DicomSlicesShifted       dicom_shifted_slices
        │   │       ├── DicomOrientationsDiffer  dicom_several_orientations
        │   │       ├── DicomSizesDiffer         dicom_several_sizes
        │   │       ├── DicomGeometryMissing     dicom_geometry_missing
        │   │       ├── DicomGeometryInvalid     dicom_geometry_invalid
        │   │       ├── DicomRescaleInvalid      dicom_rescale_invalid
        │   │       ├── DicomContrastUnclear     dicom_contrast_unclear
        │   │       ├── DicomPixelsUnsupported   dicom_pixels_unsupported
        │   │       └── DicomPixelsDamaged       dicom_pixels_damaged
        │   ├── PacsUnknown                      pacs_unknown
        │   └── PromptInvalid                    prompt_invalid
        │       ├── PromptEmpty                  prompt_empty
        │       ├── PointOutside                 point_outside
        │       ├── OutsideWindow                outside_window
        │       ├── OnlyNegative                 only_negative_points
        │       ├── PriorInvalid                 prior_invalid
        │       └── ExpertUnknown                expert_unknown
        ├── RequestRefused                       bad_request
        │   ├── MalformedBody                    malformed_body
        │   ├── NotAcceptable                    not_acceptable
        │   ├── RequestTimeout                   request_timeout
        │   ├── UnsupportedMediaType             unsupported_media_type
        │   ├── HostRefused                      host_refused
        │   └── MethodNotAllowed                 method_not_allowed
        ├── TooLarge                             too_large
        ├── Unauthorized                         unauthorized
        ├── IdentityUnavailable                  identity_unavailable
        ├── Forbidden                            forbidden
        │   └── OriginRefused                    origin_refused
        ├── NotFound                             not_found
        │   ├── CandidateMissing                 candidate_unavailable
        │   └── SeriesMissing                    series_not_found
        ├── Conflict                             conflict
        │   ├── ExpertGone                       expert_gone
        │   ├── CandidateGone                    candidate_gone
        │   ├── IdempotencyConflict              idempotency_conflict
        │   ├── NoDicomSource                    no_dicom_source
        │   ├── StructureEmpty                   structure_empty
        │   └── StructuresOverlap                structures_overlap
        ├── EngineError                          engine_unavailable
        │   ├── EngineBusy                       engine_busy
        │   ├── DeadlineExceeded                 deadline_exceeded
        │   └── EngineOutputInvalid              engine_output_invalid
        ├── PacsError                            pacs_failed
        │   ├── NotStored                        not_stored
        │   └── PacsUnavailable                  pacs_unavailable
        ├── StoreUnavailable                     store_unavailable
        ├── AuditUnavailable                     audit_unavailable
        ├── QuotaExceeded                        quota_exceeded
        ├── RateExceeded                         rate_exceeded
        ├── Overloaded                           overloaded
        └── InternalServerError              internal_server_error

A code that this version does not know becomes the nearest class above by its status, so ``except
NotFound`` goes on to work with newer services.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


class ClientError(Exception):
    """Root of the tree."""


class Unavailable(ClientError):
    """No answer came."""


class Unreachable(Unavailable):
    """Nobody was reached, and nothing was sent."""


class TimedOut(Unavailable):
    """The answer did not come in time; the service may have done what it was asked."""


class Disconnected(Unavailable):
    """The connection broke; the service may have done what it was asked."""


class UnexpectedAnswer(ClientError):
    """What came is not of this API."""


@dataclass(frozen=True)
class Fault:
    """One fault at one place of a request.

    Attributes
    ----------
    place
        JSON pointer (RFC 6901) into the body, or the name of a query parameter.
    code
        Stable.
    detail
        For people.
    """

    place: str
    code: str
    detail: str


class Refused(ClientError):
    """The service refused, and says why.

    Attributes
    ----------
    code
        Stable name of the problem; the class's own, unless this version does not know it.
    status
        HTTP status.
    title, detail
        For people.
    request_id
        To look for in the service's log.
    faults
        Places of the request that are at fault, where they can be told.
    retry_after
        Seconds to wait before trying again, where the service says it.
    """

    code: str = ""

    _kinds: ClassVar[dict[str, type["Refused"]]] = {}

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        code: str | None = None,
        title: str = "",
        request_id: str = "",
        faults: tuple[Fault, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code or type(self).code
        self.status = status
        self.title = title
        self.detail = detail
        self.request_id = request_id
        self.faults = faults
        self.retry_after = retry_after

    def __init_subclass__(cls) -> None:
        Refused._kinds[cls.code] = cls

    def __str__(self) -> str:
        return f"{self.detail} ({self.code}, request {self.request_id})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, detail={self.detail!r})"


class InvalidInput(Refused):
    """The request is understood and refused for what it says."""

    code = "invalid_input"


class VolumeInvalid(InvalidInput):
    """The scan can not be used."""

    code = "volume_invalid"


class UnsupportedFormat(VolumeInvalid):
    """The bytes are of no format that the service reads."""

    code = "unsupported_format"


class FileTruncated(VolumeInvalid):
    """The file ends before its header says, or its compression is broken."""

    code = "file_truncated"


class HeaderInvalid(VolumeInvalid):
    """The header contradicts itself, the format, or the file's size."""

    code = "header_invalid"


class AffineInvalid(VolumeInvalid):
    """The affine is not finite, or is singular."""

    code = "affine_invalid"


class SegInvalid(VolumeInvalid):
    """A DICOM SEG can not be used as a mask on this volume."""

    code = "seg_invalid"


class NoForeground(VolumeInvalid):
    """Nothing to see: the voxels are constant, empty or not finite."""

    code = "no_foreground"


class ArchiveInvalid(VolumeInvalid):
    """The zip archive is damaged, or holds what an archive of a scan does not."""

    code = "archive_invalid"


class DicomInvalid(VolumeInvalid):
    """A DICOM file can not be parsed, or lacks what every image has."""

    code = "dicom_invalid"


class DicomNoImages(DicomInvalid):
    """There is no DICOM image that belongs to a scan."""

    code = "dicom_no_images"


class DicomSeveralPatients(DicomInvalid):
    """The images belong to more than one patient."""

    code = "dicom_several_patients"


class DicomSeveralSeries(DicomInvalid):
    """The images belong to more than one series."""

    code = "dicom_several_series"


class DicomFramesOfReference(DicomInvalid):
    """The images' coordinates have more than one frame of reference."""

    code = "dicom_several_frames_of_reference"


class DicomInstancesConflict(DicomInvalid):
    """Two different files claim to be the same image."""

    code = "dicom_conflicting_instances"


class DicomPhasesMixed(DicomInvalid):
    """The series holds several volumes: phases, echoes or reconstructions."""

    code = "dicom_phases_mixed"


class DicomSlicesDoubled(DicomInvalid):
    """Some places of the series have more than one slice."""

    code = "dicom_duplicate_slices"


class DicomSlicesMissing(DicomInvalid):
    """Slices are missing within the series."""

    code = "dicom_missing_slices"


class DicomSpacingIrregular(DicomInvalid):
    """The distance between slices changes within the series."""

    code = "dicom_irregular_spacing"


class DicomSlicesShifted(DicomInvalid):
    """The slices do not lie on one straight line."""

    code = "dicom_shifted_slices"


class DicomOrientationsDiffer(DicomInvalid):
    """The slices of the series are not parallel."""

    code = "dicom_several_orientations"


class DicomSizesDiffer(DicomInvalid):
    """The slices have different numbers or sizes of pixels."""

    code = "dicom_several_sizes"


class DicomGeometryMissing(DicomInvalid):
    """An image does not say where it lies."""

    code = "dicom_geometry_missing"


class DicomGeometryInvalid(DicomInvalid):
    """An image says that it lies where nothing can lie."""

    code = "dicom_geometry_invalid"


class DicomRescaleInvalid(DicomInvalid):
    """The rule from stored pixels to values can not be used."""

    code = "dicom_rescale_invalid"


class DicomContrastUnclear(DicomInvalid):
    """The images are inverted (MONOCHROME1), and what that means for their values is not clear."""

    code = "dicom_contrast_unclear"


class DicomPixelsUnsupported(DicomInvalid):
    """The pixels are of a kind or compression that is not read."""

    code = "dicom_pixels_unsupported"


class DicomPixelsDamaged(DicomInvalid):
    """The pixels can not be decoded, or there are fewer than declared."""

    code = "dicom_pixels_damaged"


class PacsUnknown(InvalidInput):
    """No DICOMweb server of that name is set."""

    code = "pacs_unknown"


class PromptInvalid(InvalidInput):
    """The prompt can not be used."""

    code = "prompt_invalid"


class PromptEmpty(PromptInvalid):
    """No point, no box and no prior."""

    code = "prompt_empty"


class PointOutside(PromptInvalid):
    """A point lies outside of the volume."""

    code = "point_outside"


class OutsideWindow(PromptInvalid):
    """A prompt lies in the volume, but outside of the window that its segmentation covers."""

    code = "outside_window"


class OnlyNegative(PromptInvalid):
    """Only negative points, and nothing that they could take away from."""

    code = "only_negative_points"


class PriorInvalid(PromptInvalid):
    """A mask that can not be refined on this volume."""

    code = "prior_invalid"


class ExpertUnknown(PromptInvalid):
    """The bundle has no expert of that name."""

    code = "expert_unknown"


class RequestRefused(Refused):
    """The request breaks a rule of the protocol."""

    code = "bad_request"


class MalformedBody(RequestRefused):
    """The body is not what its Content-Type says."""

    code = "malformed_body"


class NotAcceptable(RequestRefused):
    """The route has no form that the Accept header allows."""

    code = "not_acceptable"


class RequestTimeout(RequestRefused):
    """The body came too slowly."""

    code = "request_timeout"


class UnsupportedMediaType(RequestRefused):
    """The route does not take bodies of this Content-Type or Content-Encoding."""

    code = "unsupported_media_type"


class HostRefused(RequestRefused):
    """The Host header names another server."""

    code = "host_refused"


class TooLarge(Refused):
    """More bytes, voxels or points than the service accepts."""

    code = "too_large"


class Unauthorized(Refused):
    """No valid API key."""

    code = "unauthorized"


class IdentityUnavailable(Refused):
    """Who calls can not be checked now: the issuer of tokens can not be reached."""

    code = "identity_unavailable"


class Forbidden(Refused):
    """Known, but not allowed."""

    code = "forbidden"


class OriginRefused(Forbidden):
    """A web page of another origin sent the request."""

    code = "origin_refused"


class NotFound(Refused):
    """No such record, or it belongs to another principal: the answer is the same."""

    code = "not_found"


class CandidateMissing(NotFound):
    """The segmentation has no such candidate mask."""

    code = "candidate_unavailable"


class SeriesMissing(NotFound):
    """The DICOMweb server has no such study or series."""

    code = "series_not_found"


class Conflict(Refused):
    """The request contradicts the state of a record."""

    code = "conflict"


class ExpertGone(Conflict):
    """An expert that the refined segmentation had is not in the bundle that answers now."""

    code = "expert_gone"


class CandidateGone(Conflict):
    """A candidate that was not computed with its click, and can not be computed any more."""

    code = "candidate_gone"


class IdempotencyConflict(Conflict):
    """The Idempotency-Key was used before with another request."""

    code = "idempotency_conflict"


class NoDicomSource(Conflict):
    """The volume did not come from a DICOM series that others can refer to."""

    code = "no_dicom_source"


class StructureEmpty(Conflict):
    """A structure of a result has no voxel, and the form has no room for nothing."""

    code = "structure_empty"


class StructuresOverlap(Conflict):
    """Structures of a result share voxels, and the form has room for one of them."""

    code = "structures_overlap"


class EngineError(Refused):
    """The engine can not answer now."""

    code = "engine_unavailable"


class EngineBusy(EngineError):
    """The engine's queue is full."""

    code = "engine_busy"


class DeadlineExceeded(EngineError):
    """There was no answer in time; the work has been stopped."""

    code = "deadline_exceeded"


class EngineOutputInvalid(EngineError):
    """The engine answered with the wrong shape, or with NaN or Inf."""

    code = "engine_output_invalid"


class PacsError(Refused):
    """The DICOMweb server refused, or answered what can not be used."""

    code = "pacs_failed"


class NotStored(PacsError):
    """The DICOMweb server did not take every file."""

    code = "not_stored"


class PacsUnavailable(PacsError):
    """The DICOMweb server can not be reached, or answers too slowly."""

    code = "pacs_unavailable"


class StoreUnavailable(Refused):
    """The store refused or failed; nothing was answered without its durable record."""

    code = "store_unavailable"


class AuditUnavailable(Refused):
    """The audit log can not be written, and nothing is changed without it."""

    code = "audit_unavailable"


class QuotaExceeded(Refused):
    """The principal has no room left in the store."""

    code = "quota_exceeded"


class RateExceeded(Refused):
    """The principal asks for more in a minute than it may."""

    code = "rate_exceeded"


class Overloaded(Refused):
    """More requests at once than the service takes."""

    code = "overloaded"


class InternalServerError(Refused):
    """A fault of the service; its log has the request's id."""

    code = "internal_server_error"


class MethodNotAllowed(RequestRefused):
    """The address does not take this method."""

    code = "method_not_allowed"


_BY_STATUS: Mapping[int, type[Refused]] = {
    400: RequestRefused,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    406: NotAcceptable,
    408: RequestTimeout,
    409: Conflict,
    413: TooLarge,
    415: UnsupportedMediaType,
    421: HostRefused,
    422: InvalidInput,
    429: EngineBusy,
    503: EngineError,
    507: QuotaExceeded,
}


def refusal(status: int, content: bytes, retry_after: float | None = None) -> ClientError:
    """The exception for an answer of status 400 and above.

    Parameters
    ----------
    content
        Its body: a problem, unless somebody else answered.
    """
    try:
        problem: Any = json.loads(content)
        code, detail = str(problem["code"]), str(problem["detail"])
        faults = tuple(_faults(problem.get("errors", ())))
        title, request_id = str(problem.get("title", "")), str(problem.get("request_id", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return UnexpectedAnswer(
            f"Status {status}, and no problem of the service: is the address right, and what"
            " stands between?"
        )
    kind = Refused._kinds.get(code) or _BY_STATUS.get(status, Refused)
    return kind(
        detail,
        status=status,
        code=code,
        title=title,
        request_id=request_id,
        faults=faults,
        retry_after=retry_after,
    )


def _faults(errors: Any) -> Iterator[Fault]:
    for error in errors:
        place = error.get("pointer", error.get("parameter", ""))
        yield Fault(str(place), str(error["code"]), str(error["detail"]))
