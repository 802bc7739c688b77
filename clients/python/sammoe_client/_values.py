"""What the service tells, as value objects named as in its OpenAPI document.

Places are (i, j, k): voxel index along the axes of the volume as it was stored. Lengths are in mm.
"""

from dataclasses import dataclass
from datetime import date, datetime

Triple = tuple[float, float, float]
Indices = tuple[int, int, int]
Row = tuple[float, float, float, float]


@dataclass(frozen=True)
class Doubt:
    """Something that makes an answer doubtful; ``code`` is stable, ``detail`` for people."""

    code: str
    detail: str


@dataclass(frozen=True)
class Source:
    """The DICOM series that a scan came from, by its UIDs."""

    study: str
    series: str
    frame_of_reference: str | None


@dataclass(frozen=True)
class VolumeInfo:
    """A scan.

    Attributes
    ----------
    shape, spacing
        Voxels, and mm, along i, j, k.
    orientation
        Where i, j, k point to, like ``LPS``.
    affine
        Rows of 4 x 4: voxel index (i, j, k, 1) to RAS+ mm.
    modality, modality_source
        ``CT``, ``MR`` or ``unknown``, and who said so: ``tag``, ``rule``, ``user``, ``unknown``.
    source
        None for a scan that is not from DICOM.
    project
        Whose members see it; None: its owner alone.
    """

    id: str
    created: datetime
    shape: Indices
    spacing: Triple
    orientation: str
    affine: tuple[Row, Row, Row, Row]
    modality: str
    modality_source: str
    source: Source | None
    warnings: tuple[Doubt, ...]
    project: str | None


@dataclass(frozen=True)
class VolumePage:
    """Some volumes; ``next`` leads to more."""

    items: tuple[VolumeInfo, ...]
    next: str | None


@dataclass(frozen=True)
class Point:
    """A click at a voxel index; ``label`` 1: inside of the structure, 0: outside."""

    position: Triple
    label: int


@dataclass(frozen=True)
class Route:
    """What the gate said and what came of it.

    Attributes
    ----------
    used, fused
        Whose mask it is, ``general`` or an expert's name; and whether the general one is mixed in.
    scores
        The gate's score for each expert.
    top, s_top, tau
        The best expert for the scan's modality, its score, and what that had to exceed.
    rival
        The one with the best score beside it, whose mask is the candidate of that name; None also
        from services that name none.
    check
        Whether the expert's mask fits the prompt: ``accepted``, ``rejected``, ``failed``; None
        where none was made.
    agreement
        Dice of the general mask and the expert's.
    distance
        From the prompts that the model was tested with, in standard deviations.
    """

    used: str
    fused: bool
    scores: dict[str, float]
    top: str | None
    s_top: float | None
    tau: float | None
    check: str | None
    agreement: float | None
    distance: float | None
    rival: str | None = None


@dataclass(frozen=True)
class Window:
    """A cube of the volume that the networks saw, on the model's grid of ``spacing`` mm."""

    spacing: float
    start: Indices
    side: int
    kept: bool


@dataclass(frozen=True)
class SegmentationInfo:
    """One immutable answer, without its mask.

    Attributes
    ----------
    volume, parent, refined
        Ids; of the segmentation that this one refines, if any, and which of its masks (``fused``:
        its answer); earlier services do not say which.
    points, box
        The whole prompt so far, in voxels.
    candidates
        Masks that can be fetched.
    windows, encodes
        What was looked at, and for how many of them the image encoder had to run.
    bundle
        SHA-256 of the weights that answered.
    timings_ms
        Phase to milliseconds.
    """

    id: str
    volume: str
    parent: str | None
    created: datetime
    points: tuple[Point, ...]
    box: tuple[Triple, Triple] | None
    expert: str
    route: Route
    candidates: tuple[str, ...]
    windows: tuple[Window, ...]
    encodes: int
    bundle: str
    timings_ms: dict[str, float]
    voxel_count: int
    volume_ml: float
    warnings: tuple[Doubt, ...]
    refined: str | None = None


@dataclass(frozen=True)
class SegmentationPage:
    """Some segmentations; ``next`` leads to more."""

    items: tuple[SegmentationInfo, ...]
    next: str | None


@dataclass(frozen=True)
class Diameters:
    """The longest diameter in any axial slice, and the longest across it in that slice."""

    longest_mm: float
    perpendicular_mm: float
    slice_axis: int
    slice_index: int


@dataclass(frozen=True)
class Measures:
    """Sizes of a mask; None where it is empty. The box: first and last voxel index."""

    diameters: Diameters | None
    bounding_box: tuple[Indices, Indices] | None


@dataclass(frozen=True)
class Code:
    """A coded concept, by default of SNOMED CT."""

    value: str
    meaning: str
    scheme: str = "SCT"


@dataclass(frozen=True)
class Structure:
    """A structure of a result; ``number`` is what the voxels of a label map say."""

    number: int
    segmentation: str
    candidate: str
    label: str
    code: Code
    category: Code
    colour: tuple[int, int, int]
    tracking_uid: str


@dataclass(frozen=True)
class ResultInfo:
    """Named structures of one volume."""

    id: str
    volume: str
    created: datetime
    changed: datetime
    revision: int
    merge: str
    entries: tuple[Structure, ...]


@dataclass(frozen=True)
class ResultPage:
    """Some results; ``next`` leads to more."""

    items: tuple[ResultInfo, ...]
    next: str | None


@dataclass(frozen=True)
class Stored:
    """A DICOM file of a result that is in the PACS, by its UIDs."""

    form: str
    study: str
    series: str
    instance: str
    warning: str | None


@dataclass(frozen=True)
class StoredPage:
    """What was sent."""

    items: tuple[Stored, ...]


@dataclass(frozen=True)
class Series:
    """A DICOM series that a PACS has."""

    study: str
    series: str
    modality: str
    study_date: date | None
    instances: int | None


@dataclass(frozen=True)
class SeriesPage:
    """Some series; ``next`` leads to more."""

    items: tuple[Series, ...]
    next: int | None


@dataclass(frozen=True)
class Embeddings:
    """What is being prepared.

    Attributes
    ----------
    windows
        At hand or being made.
    covered, mib, minutes
        Of a whole volume: share of clicks on the body that find one, size of all embeddings, and
        about how long it takes.
    """

    windows: int
    covered: float | None
    mib: float | None
    minutes: float | None


@dataclass(frozen=True)
class Study:
    """How many studies wait to be warmed."""

    waiting: int


@dataclass(frozen=True)
class Expert:
    """A decoder for one task."""

    name: str
    label: str
    codes: tuple[Code, ...]
    modalities: tuple[str, ...]
    training_data: str
    licence: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Bundle:
    """The weights that answer."""

    name: str
    digest: str
    source: str
    training_data: str
    licence: str


@dataclass(frozen=True)
class Spacing:
    """One scale at which the networks can look, and how wide what they see is then."""

    spacing_mm: float
    width_mm: float


@dataclass(frozen=True)
class Limits:
    """What the service takes at most."""

    upload_bytes: int
    json_bytes: int
    points: int
    requests_at_once: int
    windows: int


@dataclass(frozen=True)
class Capabilities:
    """What the service can do; ``dicomweb``: names of the PACS that it reads from."""

    version: str
    notice: str
    bundle: Bundle
    window_voxels: int
    spacings: tuple[Spacing, ...]
    experts: tuple[Expert, ...]
    dicomweb: tuple[str, ...]
    limits: Limits


@dataclass(frozen=True)
class Timings:
    """Where the time of an answer went, at the service.

    Attributes
    ----------
    phases_ms
        Phase to milliseconds; phases may overlap.
    total_ms
        Of the request that made it; None for one that was made earlier.
    cached
        Whether the embedding was at hand; None where that is not known.
    """

    phases_ms: dict[str, float]
    total_ms: float | None = None
    cached: bool | None = None

    @classmethod
    def parse(cls, header: str) -> "Timings":
        """From a ``Server-Timing`` header; what can not be understood is left out."""
        phases: dict[str, float] = {}
        cached = None
        for entry in header.split(","):
            name, _, rest = entry.strip().partition(";")
            key, _, value = rest.partition("=")
            if name == "cache" and key == "desc":
                cached = value.strip('"') == "hit"
            elif key == "dur":
                try:
                    phases[name] = float(value)
                except ValueError:
                    continue
        total = phases.pop("total", None)
        return cls(phases, total, cached)
