"""Records of bundles that are, or were, the active one."""

from datetime import datetime

from sammoe.store.records.base import Closed, Versioned


class ReleaseRecord(Closed):
    """A bundle, when it was made the active one (UTC), and by whom: a user on a machine."""

    digest: str
    name: str
    since: datetime
    by: str


class PublishedRecord(Versioned):
    """The active bundle, and those before it, newest first."""

    active: ReleaseRecord
    before: tuple[ReleaseRecord, ...] = ()
