"""Who may call which route, and what the audit log calls it: one table for all routes.

A route is known by the function that answers it, so one rule holds for every path that leads there.
A route that is missing here can be called by nobody but an admin, and is audited under the name of
its function; a test holds the table to the routes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sammoe.access import Role

_PACKAGE: Final = "sammoe.api."


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route demands.

    Attributes
    ----------
    role
        At least.
    action
        What it does, as the audit log says it; None: nothing that is worth a line.
    changes
        Whether it makes, changes, deletes or sends anything.
    owner
        Whether it is for the record's owner alone, and not for members of its project.
    """

    role: Role
    action: str | None
    changes: bool = False
    owner: bool = False


def _reads(action: str | None) -> Rule:
    return Rule(Role.READER, action)


def _makes(action: str) -> Rule:
    return Rule(Role.SEGMENTER, action, changes=True)


def _deletes(action: str) -> Rule:
    return Rule(Role.SEGMENTER, action, changes=True, owner=True)


RULES: Final[dict[str, Rule]] = {
    "volumes.add_volume": _makes("volume.add"),
    "volumes.list_volumes": _reads("volume.list"),
    "volumes.get_volume": _reads("volume.read"),
    "volumes.get_voxels": _reads("volume.voxels"),
    "volumes.delete_volume": _deletes("volume.delete"),
    "volumes.warm_volume": _makes("volume.warm"),
    "segmentations.segment": _makes("segmentation.add"),
    "segmentations.add_mask": _makes("segmentation.bring"),
    "segmentations.list_segmentations": _reads("segmentation.list"),
    "segmentations.get_segmentation": _reads("segmentation.read"),
    "segmentations.delete_segmentation": _deletes("segmentation.delete"),
    "segmentations.undo": _reads("segmentation.undo"),
    "segmentations.get_mask": _reads("segmentation.mask"),
    "results.add_result": _makes("result.add"),
    "results.list_results": _reads("result.list"),
    "results.get_result": _reads("result.read"),
    "results.replace_result": _makes("result.change"),
    "results.delete_result": _deletes("result.delete"),
    "results.get_result_mask": _reads("result.mask"),
    "results.get_result_seg": _reads("result.seg"),
    "results.get_result_rtstruct": _reads("result.rtstruct"),
    "results.store_result": _makes("result.store"),
    "dicomweb.search_series": _reads("pacs.search"),
    "dicomweb.warm_study": _makes("study.warm"),
    "proxy.read": _reads("pacs.read"),
    "proxy.store": _makes("pacs.store"),
    "system.get_capabilities": _reads("service.capabilities"),
    "system.get_metrics": Rule(Role.ADMIN, None),
    "nninteractive.routes.get_capabilities": _reads("service.capabilities"),
    "nninteractive.routes.claim": _makes("viewer.claim"),
    "nninteractive.routes.release": _makes("viewer.release"),
    "nninteractive.routes.heartbeat": Rule(Role.SEGMENTER, None),
    "nninteractive.routes.get_lease_status": Rule(Role.SEGMENTER, None),
    "nninteractive.routes.set_image": _makes("volume.add"),
    "nninteractive.routes.set_target_buffer": _makes("viewer.reset"),
    "nninteractive.routes.set_do_autozoom": Rule(Role.SEGMENTER, None),
    "nninteractive.routes.reset_interactions": _makes("viewer.reset"),
    "nninteractive.routes.add_point": _makes("segmentation.add"),
    "nninteractive.routes.add_box": _makes("segmentation.add"),
    "nninteractive.routes.add_drawing": _makes("segmentation.add"),
    "nninteractive.routes.add_initial_mask": _makes("segmentation.bring"),
    "nninteractive.routes.predict": _makes("segmentation.add"),
    "nninteractive.routes.undo": _makes("segmentation.undo"),
    "monailabel.routes.get_info": _reads("service.capabilities"),
    "monailabel.routes.check_token": _reads("sign-in"),
    "monailabel.routes.create_session": _makes("volume.add"),
    "monailabel.routes.get_session": _reads("volume.read"),
    "monailabel.routes.remove_session": _deletes("volume.delete"),
    "monailabel.routes.put_image": _makes("volume.add"),
    "monailabel.routes.get_datastore": _reads("volume.list"),
    "monailabel.routes.has_image": _reads("volume.read"),
    "monailabel.routes.no_files": _reads("volume.files"),
    "monailabel.routes.infer": _makes("segmentation.add"),
    "monailabel.routes.get_training": _reads("training"),
    "monailabel.routes.no_training": _reads("training"),
    "monailabel.routes.get_logs": _reads("service.logs"),
}

OPEN: Final[dict[str, Rule | None]] = {
    "monailabel.routes.get_auth": None,
    "monailabel.routes.get_token": _reads("sign-in"),
    "nninteractive.routes.get_health": None,
    "system.get_docs": None,
    "system.get_liveness": None,
    "system.get_readiness": None,
    "viewer.routes.get_file": None,
    "viewer.routes.lead_there": None,
}
"""Routes that nobody needs a key for, with what the audit log says of them."""


def name_of(endpoint: Callable[..., Any]) -> str:
    """The name in the table of the function that answers a route."""
    return f"{endpoint.__module__.removeprefix(_PACKAGE)}.{endpoint.__name__}"


def rule_of(endpoint: Callable[..., Any]) -> Rule:
    """The rule of a route that needs a caller."""
    name = name_of(endpoint)
    return RULES.get(name) or Rule(Role.ADMIN, name, changes=True)
