"""Protocols of other people's viewers, beside the API of our own."""

from importlib.util import find_spec

from fastapi import APIRouter

from sammoe.api import monailabel


def dialects() -> list[APIRouter]:
    """Routers; of nnInteractive where its library is installed: see the extra ``viewers``."""
    routers = [APIRouter(prefix="/monailabel")]
    routers[0].include_router(monailabel.router)
    if find_spec("blosc2") is not None:
        from sammoe.api.nninteractive import router

        routers.append(router)
    return routers
