"""``Server-Timing`` (W3C): where the time of a click went."""

from collections.abc import Mapping
from typing import Final

HEADER: Final = "Server-Timing"


def server_timing(phases_ms: Mapping[str, float], cache: str | None, total_ms: float) -> str:
    """The header's value.

    Parameters
    ----------
    phases_ms
        Phase (``queue``, ``read``, ``crop``, ``encode``, ``decode``, ``paste``, ``store``, ...) ->
        milliseconds, in the order in which they happened.
    cache
        ``hit`` or ``miss`` of the embedding, if one was needed.
    total_ms
        From the request's arrival at the route to its answer; phases can overlap.
    """
    entries = [f"{name};dur={milliseconds:.2f}" for name, milliseconds in phases_ms.items()]
    if cache is not None:
        entries.append(f'cache;desc="{cache}"')
    entries.append(f"total;dur={total_ms:.2f}")
    return ", ".join(entries)
