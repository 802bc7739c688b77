"""The HTTP API: FastAPI over :class:`sammoe.segmentation.Workspace`, nothing else."""

from sammoe.api.application import create_app, create_monailabel_app
from sammoe.api.site import INDEX, Site

__all__ = ["INDEX", "Site", "create_app", "create_monailabel_app"]
