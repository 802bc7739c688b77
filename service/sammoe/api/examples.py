"""Worked examples of the OpenAPI document: one story, from upload to a refined mask."""

from typing import Any, Final

SEGMENTATION_ID: Final = "X-Segmentation-Id"
"""Header with the id of the segmentation that a click made."""

_VOLUME_ID: Final = "06dt2k9m3g1v8s5b0hf4q7n2ac"
_FIRST_ID: Final = "06dt2kb71h5r9o2c4e6g8i0kmq"
_DIGEST: Final = "9f2c" * 16
_POINT: Final = {"position": [98.0, 120.0, 77.0], "label": 1}
_NOT_HERE: Final = {"position": [98.0, 131.0, 77.0], "label": 0}

_STUDY_UID: Final = "1.2.826.0.1.3680043.8.498.1"
_SERIES_UID: Final = "1.2.826.0.1.3680043.8.498.2"

VOLUME_REQUESTS: Final[dict[str, Any]] = {
    "a series of the PACS": {"dicomweb": {"study": _STUDY_UID, "series": _SERIES_UID}},
}

SEARCHES: Final[dict[str, Any]] = {
    "CT since a day": {"modality": "CT", "since": "2027-01-15"},
    "a study": {"study": _STUDY_UID},
}

STUDY_REQUESTS: Final[dict[str, Any]] = {"a study": {"study": _STUDY_UID}}

STUDY: Final = {"waiting": 1}

SERIES: Final[dict[str, Any]] = {
    "items": [
        {
            "study": _STUDY_UID,
            "series": _SERIES_UID,
            "modality": "CT",
            "study_date": "2027-01-15",
            "instances": 300,
        }
    ],
    "next": None,
}

VOLUME: Final[dict[str, Any]] = {
    "id": _VOLUME_ID,
    "created": "2027-01-15T09:30:00Z",
    "shape": [197, 233, 189],
    "spacing": [1.0, 1.0, 1.0],
    "orientation": "RAS",
    "affine": [
        [1.0, 0.0, 0.0, -98.0],
        [0.0, 1.0, 0.0, -134.0],
        [0.0, 0.0, 1.0, -72.0],
        [0.0, 0.0, 0.0, 1.0],
    ],
    "modality": "MR",
    "modality_source": "user",
    "source": None,
    "project": None,
    "warnings": [],
}

VOLUMES: Final = {"items": [VOLUME], "next": None}

EMBEDDINGS_REQUESTS: Final[dict[str, Any]] = {
    "middle": {},
    "around a point": {"space": "voxel", "points": [_POINT]},
    "all of it": {"extent": "whole", "budget_mib": 64},
}

EMBEDDINGS: Final = {"windows": 12, "covered": 0.97, "mib": 4.5, "minutes": 0.3}

WARMING: Final = (
    'event: plan\ndata: {"windows": 12, "covered": 0.97, "mib": 4.5, "minutes": 0.3}\n\n'
    'event: progress\ndata: {"windows": 1}\n\n'
    'event: warmed\ndata: {"windows": 12}\n\n'
)

SEGMENTATION_REQUESTS: Final[dict[str, Any]] = {
    "first click": {"space": "voxel", "points": [_POINT]},
    "refinement": {"space": "voxel", "points": [_NOT_HERE], "parent": _FIRST_ID},
    "box in mm": {"space": "ras", "box": [[-20.0, -30.0, -10.0], [15.0, 12.0, 20.0]]},
    "large organ, at a coarse spacing": {
        "space": "voxel",
        "points": [_POINT],
        "spacing": 1.5,
        "max_windows": 24,
    },
    "one decoder, mm as in DICOM": {
        "space": "lps",
        "points": [{"position": [0.0, 14.0, 5.0], "label": 1}],
        "expert": "general",
    },
}

PROGRESS: Final = (
    'event: progress\ndata: {"windows": 1, "encodes": 1, "mask": "U01TSwEAAAD..."}\n\n'
    'event: segmentation\ndata: {"segmentation": {...}, "mask": "U01TSwEAAAD..."}\n\n'
)

SEGMENTATION: Final[dict[str, Any]] = {
    "id": _FIRST_ID,
    "volume": _VOLUME_ID,
    "parent": None,
    "refined": None,
    "created": "2027-01-15T09:30:07Z",
    "space": "voxel",
    "points": [_POINT],
    "box": None,
    "expert": "auto",
    "route": {
        "used": "general",
        "fused": False,
        "scores": {"spleen": 0.71},
        "top": "spleen",
        "s_top": 0.71,
        "rival": None,
        "tau": 0.5,
        "check": "rejected",
        "agreement": 0.34,
        "distance": 0.42,
    },
    "candidates": ["general", "expert"],
    "windows": [{"spacing": 1.5, "start": [12, 36, 0], "side": 128, "kept": True}],
    "encodes": 1,
    "bundle": _DIGEST,
    "timings_ms": {"queue": 0.1, "read": 1.2, "decode": 21.5, "paste": 4.8},
    "voxel_count": 4210,
    "volume_ml": 4.21,
    "warnings": [
        {
            "code": "candidates_disagree",
            "detail": "The general mask and that of the expert spleen differ (Dice 0.34): look at"
            " both.",
        }
    ],
}

GIVEN: Final[dict[str, Any]] = SEGMENTATION | {
    "points": [],
    "route": SEGMENTATION["route"]
    | {"used": "given-mask", "scores": {}}
    | dict.fromkeys(("top", "s_top", "rival", "tau", "check", "agreement", "distance")),
    "candidates": ["given-mask"],
    "encodes": 0,
    "timings_ms": {},
    "warnings": [],
}

SEGMENTATIONS: Final = {"items": [SEGMENTATION], "next": _FIRST_ID}

MEASURED: Final[dict[str, Any]] = SEGMENTATION | {
    "diameters": {
        "longest_mm": 31.4,
        "perpendicular_mm": 17.0,
        "slice_axis": 2,
        "slice_index": 77,
    },
    "bounding_box": [[90, 104, 70], [106, 135, 88]],
}

_SPLEEN: Final = {"scheme": "SCT", "value": "78961009", "meaning": "Spleen"}

RESULT_REQUESTS: Final[dict[str, Any]] = {
    "one structure": {"entries": [{"segmentation": _FIRST_ID, "label": "Spleen"}]},
    "everything said": {
        "entries": [
            {
                "segmentation": _FIRST_ID,
                "label": "Spleen",
                "code": _SPLEEN,
                "category": {"value": "123037004", "meaning": "Anatomical structure"},
                "colour": [157, 108, 162],
            }
        ],
        "merge": "keep_existing",
    },
}

RESULT: Final[dict[str, Any]] = {
    "id": "06dt2kd4p8s2u6w0y4a8c2e6gg",
    "volume": _VOLUME_ID,
    "created": "2027-01-15T09:32:11Z",
    "changed": "2027-01-15T09:32:11Z",
    "revision": 1,
    "merge": "keep_existing",
    "entries": [
        {
            "number": 1,
            "segmentation": _FIRST_ID,
            "candidate": "fused",
            "label": "Spleen",
            "code": _SPLEEN,
            "category": {
                "scheme": "SCT",
                "value": "123037004",
                "meaning": "Anatomical structure",
            },
            "colour": [157, 108, 162],
            "tracking_uid": "2.25.329800735698586629295641978511506172918",
        }
    ],
}

RESULTS: Final = {"items": [RESULT], "next": None}

STORE_REQUESTS: Final[dict[str, Any]] = {
    "the DICOM SEG, to the default server": {},
    "for treatment planning too": {"forms": ["seg", "rtstruct"], "server": "default"},
}

STORED: Final[dict[str, Any]] = {
    "items": [
        {
            "form": "seg",
            "study": "1.2.826.0.1.3680043.8.498.1",
            "series": "2.25.203810214361741592317318640123415926532",
            "instance": "2.25.117932174510293810548213741253718213749",
            "warning": None,
        }
    ]
}

CAPABILITIES: Final[dict[str, Any]] = {
    "version": "0.1.0",
    "notice": "Research use only. Not a medical device.",
    "bundle": {
        "name": "demo",
        "digest": _DIGEST,
        "source": "sammoe train general",
        "training_data": "synthetic torsos and brains",
        "licence": "Apache-2.0",
    },
    "routing": {
        "gate": "heads",
        "fusion": "probability",
        "tau": {"box": 0.5, "click": 0.5, "clicks": 0.5},
        "slack": {"box": 0.05, "click": 4.5, "clicks": 0.5},
        "own_slack": {"spleen": {"clicks": 0.3}},
        "agreement": 0.5,
        "distance": 0.9,
    },
    "window_voxels": 128,
    "spacings": [{"spacing_mm": 1.5, "width_mm": 192.0}],
    "experts": [
        {
            "name": "spleen",
            "label": "Spleen",
            "codes": [{"scheme": "SCT", "value": "78961009", "meaning": "Spleen"}],
            "modalities": ["CT", "MR"],
            "training_data": "labelled scans of one hospital",
            "licence": "Apache-2.0",
            "classes": ["spleen"],
        }
    ],
    "prompts": {"points": True, "boxes": "native", "spaces": ["voxel", "ras", "lps"]},
    "formats": {
        "upload": ["application/octet-stream", "multipart/form-data"],
        "scans": ["NIfTI-1", "NIfTI-2", "NRRD", "DICOM"],
        "mask": ["application/x-nifti+gzip", "application/x-nrrd", "application/vnd.sammoe.mask"],
    },
    "dicomweb": ["default"],
    "limits": {
        "upload_bytes": 1073741824,
        "json_bytes": 262144,
        "points": 1024,
        "requests_at_once": 64,
        "windows": 64,
    },
}
