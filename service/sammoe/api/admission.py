"""How many requests may be under way, and how many of them may be uploads that still come."""

from typing import Final

from starlette.types import Scope

from sammoe.errors import Overloaded

UNLIMITED: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths that are answered however many requests are under way: who watches must see that."""

_UPLOAD_BYTES: Final = 1 << 20
"""Larger bodies, and those that do not say how large they are, are uploads."""


class Admission:
    """Counts requests. For one event loop.

    Parameters
    ----------
    limit
        Requests at once. Half of them may be uploads, so that slow ones leave room for clicks.

    Attributes
    ----------
    requests, uploads
        How many are under way; an upload counts as one until all of it has come.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.requests = 0
        self.uploads = 0


class Place:
    """What one request takes of the room there is."""

    def __init__(self, admission: Admission, scope: Scope) -> None:
        self._admission = admission
        self._counts = scope["path"] not in UNLIMITED
        self._is_upload = _is_upload(scope)
        self._request = self._upload = False

    def take(self) -> None:
        """Take it.

        Raises
        ------
        Overloaded
            There is none.
        """
        admission = self._admission
        if not self._counts:
            return
        if admission.requests >= admission.limit:
            raise Overloaded(f"{admission.limit} requests are under way: try again in a moment.")
        if self._is_upload:
            if admission.uploads >= max(1, admission.limit // 2):
                raise Overloaded(
                    f"{admission.uploads} uploads are under way: try again in a moment."
                )
            self._upload = True
            admission.uploads += 1
        self._request = True
        admission.requests += 1

    def body_came(self) -> None:
        """It is no upload any more."""
        self._admission.uploads -= self._upload
        self._upload = False

    def leave(self) -> None:
        """Give all of it back."""
        self.body_came()
        self._admission.requests -= self._request
        self._request = False


def _is_upload(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return True
        if name == b"content-length":
            # What is no number is refused later.
            return not value.isdigit() or len(value) > 20 or int(value) > _UPLOAD_BYTES
    return False
