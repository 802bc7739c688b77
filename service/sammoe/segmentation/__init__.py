"""Use cases on scans: what every way in (HTTP, command line) shares."""

from sammoe.segmentation.answers import Segmented, Timings
from sammoe.segmentation.bundle_watch import BundleWatch, WatchTimes
from sammoe.segmentation.clicking import Render
from sammoe.segmentation.growing import MOST_WINDOWS, Extent, Grown, Progress
from sammoe.segmentation.leases import Leases, LeaseTerms
from sammoe.segmentation.parents import Candidate
from sammoe.segmentation.prompt import MAX_POINTS, Point, Prompt, Space
from sammoe.segmentation.workspace import Workspace, WorkspaceLimits

__all__ = [
    "MAX_POINTS",
    "MOST_WINDOWS",
    "BundleWatch",
    "Candidate",
    "Extent",
    "Grown",
    "LeaseTerms",
    "Leases",
    "Point",
    "Progress",
    "Prompt",
    "Render",
    "Segmented",
    "Space",
    "Timings",
    "WatchTimes",
    "Workspace",
    "WorkspaceLimits",
]
