"""What a browser may do with a page of ours: load from its own origin, and nothing else."""

from collections.abc import Iterable
from typing import Final

_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    # The font and the shading of the 3D view are pictures within the script.
    "img-src 'self' data: blob:",
    "font-src 'self'",
    "connect-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
)


def page_headers(embedders: Iterable[str] = ()) -> dict[str, str]:
    """Headers that go with every file of a page.

    Parameters
    ----------
    embedders
        Origins whose pages may show this one in a frame; nobody else may.
    """
    ancestors = " ".join(embedders) or "'none'"
    return {
        "Content-Security-Policy": "; ".join((*_POLICY, f"frame-ancestors {ancestors}")),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
