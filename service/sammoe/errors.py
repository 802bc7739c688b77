"""Every refusal of the product, as one tree.

``code`` is stable and part of the API (RFC 9457 problem+json carries it); ``status`` is the HTTP
status that goes with it; ``detail`` is for people, says what to do, and never holds patient data.

::

    SammoeError
    ├── InvalidInput            422 invalid_input
    │   ├── VolumeInvalid       422 volume_invalid
    │   │   ├── UnsupportedFormat   415 unsupported_format
    │   │   ├── FileTruncated       422 file_truncated
    │   │   ├── HeaderInvalid       422 header_invalid
    │   │   ├── AffineInvalid       422 affine_invalid
    │   │   ├── SegInvalid          422 seg_invalid
    │   │   ├── NoForeground        422 no_foreground
    │   │   ├── ArchiveInvalid      422 archive_invalid
    │   │   └── DicomInvalid        422 dicom_invalid
    │   │       ├── DicomNoImages           422 dicom_no_images
    │   │       ├── DicomSeveralPatients    422 dicom_several_patients
    │   │       ├── DicomSeveralSeries      422 dicom_several_series
    │   │       ├── DicomFramesOfReference  422 dicom_several_frames_of_reference
    │   │       ├── DicomInstancesConflict  422 dicom_conflicting_instances
    │   │       ├── DicomPhasesMixed        422 dicom_phases_mixed
    │   │       ├── DicomSlicesDoubled      422 dicom_duplicate_slices
    │   │       ├── DicomSlicesMissing      422 dicom_missing_slices
    │   │       ├── DicomSpacingIrregular   422 dicom_irregular_spacing
    │   │       ├── DicomSlicesShifted      422 dicom_shifted_slices
    │   │       ├── DicomOrientationsDiffer 422 dicom_several_orientations
    │   │       ├── DicomSizesDiffer        422 dicom_several_sizes
    │   │       ├── DicomGeometryMissing    422 dicom_geometry_missing
    │   │       ├── DicomGeometryInvalid    422 dicom_geometry_invalid
    │   │       ├── DicomRescaleInvalid     422 dicom_rescale_invalid
    │   │       ├── DicomContrastUnclear    422 dicom_contrast_unclear
    │   │       ├── DicomPixelsUnsupported  422 dicom_pixels_unsupported
    │   │       └── DicomPixelsDamaged      422 dicom_pixels_damaged
    │   ├── PacsUnknown         422 pacs_unknown
    │   └── PromptInvalid       422 prompt_invalid
    │       ├── PromptEmpty         422 prompt_empty
    │       ├── PointOutside        422 point_outside
    │       ├── OutsideWindow       422 outside_window
    │       ├── OnlyNegative        422 only_negative_points
    │       ├── PriorInvalid        422 prior_invalid
    │       └── ExpertUnknown       422 expert_unknown
    ├── RequestRefused          400 bad_request
    │   ├── MalformedBody       400 malformed_body
    │   ├── NotAcceptable       406 not_acceptable
    │   ├── RequestTimeout      408 request_timeout
    │   ├── NotSupported        501 not_supported
    │   ├── UnsupportedMediaType    415 unsupported_media_type
    │   └── HostRefused         421 host_refused
    ├── TooLarge                413 too_large
    ├── Unauthorized            401 unauthorized
    ├── IdentityUnavailable     503 identity_unavailable
    ├── Forbidden               403 forbidden
    │   └── OriginRefused       403 origin_refused
    ├── LeaseGone               410 lease_gone
    ├── NotFound                404 not_found
    │   ├── CandidateMissing        404 candidate_unavailable
    │   └── SeriesMissing           404 series_not_found
    ├── Conflict                409 conflict
    │   ├── ExpertGone              409 expert_gone
    │   ├── IdempotencyConflict     409 idempotency_conflict
    │   ├── NoDicomSource           409 no_dicom_source
    │   ├── StructureEmpty          409 structure_empty
    │   ├── StructuresOverlap       409 structures_overlap
    │   └── CandidateGone           409 candidate_gone
    ├── BundleInvalid           422 bundle_invalid
    │   ├── CheckpointInvalid       422 checkpoint_invalid
    │   └── ExportMismatch          422 export_mismatch
    ├── DataSetInvalid          422 data_set_invalid
    ├── EngineError             503 engine_unavailable
    │   ├── EngineBusy              429 engine_busy
    │   ├── DeadlineExceeded        504 deadline_exceeded
    │   └── EngineOutputInvalid     502 engine_output_invalid
    ├── PacsError               502 pacs_failed
    │   ├── NotStored               502 not_stored
    │   └── PacsUnavailable         504 pacs_unavailable
    ├── StoreUnavailable        503 store_unavailable
    ├── AuditUnavailable        503 audit_unavailable
    ├── QuotaExceeded           507 quota_exceeded
    ├── RateExceeded            429 rate_exceeded
    ├── Overloaded              503 overloaded
    │   └── NoLeaseFree             503 no_lease_free
    └── SettingsInvalid         500 settings_invalid
"""

from typing import ClassVar


class SammoeError(Exception):
    """Root of the tree.

    Parameters
    ----------
    detail
        One sentence for people: what is wrong and what to do.
    pointer
        JSON pointer (RFC 6901) to the offending part of a request, where there is one.

    Attributes
    ----------
    retry_seconds
        When to try again, where the status says that it may help.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retry_seconds: float = 1.0

    def __init__(self, detail: str, *, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer

    def __str__(self) -> str:
        return self.detail

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, detail={self.detail!r})"


class InvalidInput(SammoeError):
    """The request is understood and refused for what it says."""

    code = "invalid_input"
    status = 422


class VolumeInvalid(InvalidInput):
    """The scan can not be used."""

    code = "volume_invalid"


class UnsupportedFormat(VolumeInvalid):
    """The bytes are of no format that the service reads."""

    code = "unsupported_format"
    status = 415


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


class RequestRefused(SammoeError):
    """The request breaks a rule of the protocol."""

    code = "bad_request"
    status = 400


class MalformedBody(RequestRefused):
    """The body is not what its Content-Type says."""

    code = "malformed_body"


class NotAcceptable(RequestRefused):
    """The route has no form that the Accept header allows."""

    code = "not_acceptable"
    status = 406


class RequestTimeout(RequestRefused):
    """The body came too slowly."""

    code = "request_timeout"
    status = 408


class NotSupported(RequestRefused):
    """A part of another protocol that the service does not have."""

    code = "not_supported"
    status = 501


class UnsupportedMediaType(RequestRefused):
    """The route does not take bodies of this Content-Type or Content-Encoding."""

    code = "unsupported_media_type"
    status = 415


class HostRefused(RequestRefused):
    """The Host header names another server."""

    code = "host_refused"
    status = 421


class TooLarge(SammoeError):
    """More bytes, voxels or points than the service accepts."""

    code = "too_large"
    status = 413


class Unauthorized(SammoeError):
    """No valid API key or token."""

    code = "unauthorized"
    status = 401


class IdentityUnavailable(SammoeError):
    """Who calls can not be checked now: the issuer of tokens can not be reached."""

    code = "identity_unavailable"
    status = 503


class Forbidden(SammoeError):
    """Known, but not allowed."""

    code = "forbidden"
    status = 403


class OriginRefused(Forbidden):
    """A web page of another origin sent the request."""

    code = "origin_refused"


class LeaseGone(SammoeError):
    """A viewer's lease has expired, was released, or never was."""

    code = "lease_gone"
    status = 410


class NotFound(SammoeError):
    """No such record, or it belongs to another principal: the answer is the same."""

    code = "not_found"
    status = 404


class CandidateMissing(NotFound):
    """The segmentation has no such candidate mask."""

    code = "candidate_unavailable"


class SeriesMissing(NotFound):
    """The DICOMweb server has no such study or series."""

    code = "series_not_found"


class Conflict(SammoeError):
    """The request contradicts the state of a record."""

    code = "conflict"
    status = 409


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


class BundleInvalid(SammoeError):
    """A bundle can not be loaded; the detail names the file."""

    code = "bundle_invalid"
    status = 422


class CheckpointInvalid(BundleInvalid):
    """A checkpoint can not be read or does not fit; the detail names the key."""

    code = "checkpoint_invalid"


class ExportMismatch(BundleInvalid):
    """An exported graph does not compute what its network computes."""

    code = "export_mismatch"


class DataSetInvalid(SammoeError):
    """A folder of labelled scans can not be used as it is."""

    code = "data_set_invalid"
    status = 422


class EngineError(SammoeError):
    """The engine can not answer now."""

    code = "engine_unavailable"
    status = 503


class EngineBusy(EngineError):
    """The engine's queue is full."""

    code = "engine_busy"
    status = 429


class DeadlineExceeded(EngineError):
    """There was no answer in time; the work has been stopped."""

    code = "deadline_exceeded"
    status = 504


class EngineOutputInvalid(EngineError):
    """The engine answered with the wrong shape, or with NaN or Inf."""

    code = "engine_output_invalid"
    status = 502


class PacsError(SammoeError):
    """The DICOMweb server refused, or answered what can not be used."""

    code = "pacs_failed"
    status = 502


class NotStored(PacsError):
    """The DICOMweb server did not take every file."""

    code = "not_stored"


class PacsUnavailable(PacsError):
    """The DICOMweb server can not be reached, or answers too slowly."""

    code = "pacs_unavailable"
    status = 504


class StoreUnavailable(SammoeError):
    """The store refused or failed; nothing was answered without its durable record.

    Attributes
    ----------
    record
        Whether it is one record that can not be read: others may be well.
    """

    code = "store_unavailable"
    status = 503

    def __init__(self, detail: str, *, pointer: str | None = None, record: bool = False) -> None:
        super().__init__(detail, pointer=pointer)
        self.record = record


class AuditUnavailable(SammoeError):
    """The audit log can not be written, and nothing is changed without it."""

    code = "audit_unavailable"
    status = 503


class QuotaExceeded(SammoeError):
    """The principal has no room left in the store."""

    code = "quota_exceeded"
    status = 507


class RateExceeded(SammoeError):
    """The principal asks for more in a minute than it may."""

    code = "rate_exceeded"
    status = 429

    def __init__(
        self, detail: str, *, pointer: str | None = None, retry_seconds: float = 1.0
    ) -> None:
        super().__init__(detail, pointer=pointer)
        self.retry_seconds = retry_seconds


class Overloaded(SammoeError):
    """More requests at once than the service takes."""

    code = "overloaded"
    status = 503


class NoLeaseFree(Overloaded):
    """As many viewers are connected as the service takes."""

    code = "no_lease_free"


class SettingsInvalid(SammoeError):
    """The service was told something that it can not or will not do."""

    code = "settings_invalid"
