"""Whose mask is there to look at beside the best expert's."""

from sammoe.bundle import Manifest
from sammoe.engine import Route
from sammoe.volume.volume import Modality


def rival_of(route: Route, manifest: Manifest, modality: Modality) -> str | None:
    """Name the expert with the best score beside the route's ``top``.

    Neighbours (two parts of one organ) are hard to tell apart by one click: where the gate picks
    the wrong one, the right one is the next.

    Parameters
    ----------
    route
        Of the window in which the gate was asked.
    modality
        Of the scan: experts that exclude it can not be meant.

    Returns
    -------
    None where no gate was asked, or no other expert is for the scan.
    """
    if route.top is None:
        return None
    names = [
        expert.name
        for expert in manifest.experts
        if expert.name != route.top and expert.takes(modality)
    ]
    return max(names, key=route.scores.__getitem__, default=None)
