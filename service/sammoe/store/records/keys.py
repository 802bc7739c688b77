"""Records of API keys."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from sammoe.store.records.base import Record

RoleName = Literal["reader", "segmenter", "admin"]


class KeyRecord(Record):
    """An API key of a principal's; the key itself is kept nowhere.

    Attributes
    ----------
    id
        Part of the key, by which it can be recognised.
    digest
        SHA-256 (hex) of the key.
    role, projects
        As in `sammoe.access.Identity`, by the roles' names.
    expires
        When it ends, UTC; None: never.
    revoked
        Not of this record, but of a file beside it.
    """

    id: str
    digest: str
    role: RoleName
    projects: dict[str, RoleName] = Field(default_factory=dict)
    expires: datetime | None = None
    revoked: bool = False
