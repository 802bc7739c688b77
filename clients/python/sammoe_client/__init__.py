"""Click on a structure in a CT or MR scan, get its 3D mask: a client of SAM-Med3D-MoE.

::

    with Client("http://127.0.0.1:8000") as client:
        liver = client.open("scan.nii.gz").segment(points=[(98, 110, 90)])
        liver = liver.refine(points=[(120, 96, 90)], label=0)
        liver.to_nifti("liver.nii.gz")

`AsyncClient` has the same methods, awaited. What can go wrong is in `sammoe_client.errors`.
"""

from sammoe_client import errors
from sammoe_client._clicks import CandidateName, Click, Place, Space
from sammoe_client._client import API_KEY, DEFAULT_URL, AsyncClient, Client, Service
from sammoe_client._modes import Async, Sync
from sammoe_client._results import DicomForm, Entry, Merge, Result
from sammoe_client._segmentations import OnProgress, Progress, Segmentation
from sammoe_client._settings import Retries, Timeouts
from sammoe_client._values import (
    Bundle,
    Capabilities,
    Code,
    Diameters,
    Doubt,
    Embeddings,
    Expert,
    Limits,
    Measures,
    Point,
    ResultInfo,
    Route,
    SegmentationInfo,
    Series,
    Source,
    Spacing,
    Stored,
    Structure,
    Timings,
    VolumeInfo,
    Window,
)
from sammoe_client._version import __version__
from sammoe_client._volumes import Volume

__all__ = [
    "API_KEY",
    "DEFAULT_URL",
    "Async",
    "AsyncClient",
    "Bundle",
    "CandidateName",
    "Capabilities",
    "Click",
    "Client",
    "Code",
    "Diameters",
    "DicomForm",
    "Doubt",
    "Embeddings",
    "Entry",
    "Expert",
    "Limits",
    "Measures",
    "Merge",
    "OnProgress",
    "Place",
    "Point",
    "Progress",
    "Result",
    "ResultInfo",
    "Retries",
    "Route",
    "Segmentation",
    "SegmentationInfo",
    "Series",
    "Service",
    "Source",
    "Space",
    "Spacing",
    "Stored",
    "Structure",
    "Sync",
    "Timeouts",
    "Timings",
    "Volume",
    "VolumeInfo",
    "Window",
    "__version__",
    "errors",
]
