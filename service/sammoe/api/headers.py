"""What a browser may do with our answers: the one place for policies of content and of frames.

``deploy/ohif/nginx.conf`` says those of `viewer_headers` again: OHIF's files are in its own image.
"""

from collections.abc import Iterable
from typing import Final

_EVERYWHERE: Final = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OWN: Final = {"Cross-Origin-Resource-Policy": "same-origin"}
_NOBODY: Final = "frame-ancestors 'none'"

_PAGE: Final = (
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

ANSWER_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; {_NOBODY}",
    **_EVERYWHERE,
    **_OWN,
}
"""Of every answer that does not say otherwise: it may show a patient's anatomy, so no cache keeps
it, nobody guesses what it is, and no page shows it but by a request of its own (CORS)."""

DOCS_POLICY: Final = f"default-src 'none'; style-src 'unsafe-inline'; {_NOBODY}"
"""Content policy of ``/docs``, a page without any script."""


def page_headers(embedders: Iterable[str] = ()) -> dict[str, str]:
    """Headers of every file of our page: it loads from its own origin, and nothing else.

    Parameters
    ----------
    embedders
        Origins whose pages may show this one in a frame; nobody else may.
    """
    ancestors = " ".join(embedders) or "'none'"
    return {
        "Content-Security-Policy": "; ".join((*_PAGE, f"frame-ancestors {ancestors}")),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        **_EVERYWHERE,
        **_OWN,
    }


def viewer_headers(embedders: Iterable[str] = ()) -> dict[str, str]:
    """Headers of every file of a viewer that is not ours, whose scripts do what they do.

    Parameters
    ----------
    embedders
        Origins whose pages may show it in a frame, beside its own: OpenID Connect renews a sign-in
        in a frame of the viewer's.
    """
    ancestors = " ".join(("'self'", *embedders))
    return {"Content-Security-Policy": f"frame-ancestors {ancestors}", **_EVERYWHERE}
