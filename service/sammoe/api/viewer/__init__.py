"""The service's own page, at ``/viewer/``: files that ``make viewer`` builds into ``dist/`` here.

The package installs without them; the routes then say how to get them.
"""

from sammoe.api.viewer.page import Page
from sammoe.api.viewer.routes import page_router

__all__ = ["Page", "page_router"]
