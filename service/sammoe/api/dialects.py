"""Protocols of other people's viewers, beside the API of our own."""

from importlib.util import find_spec

from fastapi import APIRouter


def dialects() -> list[APIRouter]:
    """Routers of the protocols whose libraries are installed: see the extra ``viewers``."""
    routers = []
    if find_spec("blosc2") is not None:
        from sammoe.api.nninteractive import router

        routers.append(router)
    return routers
