"""Use cases on scans: what every way in (HTTP, command line) shares."""

from sammoe.segmentation.answers import Segmented, Timings
from sammoe.segmentation.bundle_watch import BundleWatch, WatchTimes
from sammoe.segmentation.clicking import Render
from sammoe.segmentation.composing import Composed, DicomForm
from sammoe.segmentation.entries import Entry
from sammoe.segmentation.grown import MOST_WINDOWS, Extent, Grown, Progress
from sammoe.segmentation.leases import Leases, LeaseTerms
from sammoe.segmentation.parents import Candidate
from sammoe.segmentation.prompt import MAX_POINTS, Point, Prompt, Space
from sammoe.segmentation.pulling import Pull
from sammoe.segmentation.results import MAX_ENTRIES, Results
from sammoe.segmentation.sharing import Reached, Sharing
from sammoe.segmentation.storing import StoredFile, send_result
from sammoe.segmentation.upkeep import Upkeep, UpkeepTimes
from sammoe.segmentation.warming import WarmUp
from sammoe.segmentation.workspace import Workspace, WorkspaceLimits

__all__ = [
    "MAX_ENTRIES",
    "MAX_POINTS",
    "MOST_WINDOWS",
    "BundleWatch",
    "Candidate",
    "Composed",
    "DicomForm",
    "Entry",
    "Extent",
    "Grown",
    "LeaseTerms",
    "Leases",
    "Point",
    "Progress",
    "Prompt",
    "Pull",
    "Reached",
    "Render",
    "Results",
    "Segmented",
    "Sharing",
    "Space",
    "StoredFile",
    "Timings",
    "Upkeep",
    "UpkeepTimes",
    "WarmUp",
    "WatchTimes",
    "Workspace",
    "WorkspaceLimits",
    "send_result",
]
