"""What all records have: closed, frozen values with a schema version, most with an owner."""

import time
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from sammoe.errors import StoreUnavailable
from sammoe.store.frames import damaged

SCHEMA_VERSION: Final = 1
"""Version of the store's form, and of those records that say no other."""


class Closed(BaseModel):
    """Nothing but what is declared, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Versioned(Closed):
    """What every record has: the version of its form.

    ``versions``: those that this code reads.
    """

    versions: ClassVar[tuple[int, ...]] = (SCHEMA_VERSION,)

    schema_version: int = SCHEMA_VERSION

    @field_validator("schema_version")
    @classmethod
    def _is_known(cls, version: int) -> int:
        if version not in cls.versions:
            raise ValueError("not a version that is read")
        return version

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a record's JSON.

        Raises
        ------
        StoreUnavailable
            A newer version of the program wrote it, or it is damaged.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                version = problem["input"]
                if problem["loc"] == ("schema_version",) and isinstance(version, int):
                    raise StoreUnavailable(
                        f"A stored record has schema version {version}; this program reads"
                        f" {cls.versions[-1]}: use the version of sammoe that wrote it, or newer.",
                        record=True,
                    ) from error
            raise damaged() from error


class Record(Versioned):
    """What somebody's record has: ``owner`` is the principal, ``created`` is UTC."""

    owner: str
    created: datetime


_STARTED: Final = datetime.now(UTC)
_STARTED_AT: Final = time.monotonic()


def now() -> datetime:
    """Return the time of now in UTC, to the millisecond.

    The clock's as it was when the process began, and what has gone by since then: a clock that is
    set while it runs ends no lease and makes nothing too old.
    """
    moment = _STARTED + timedelta(seconds=time.monotonic() - _STARTED_AT)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class DoubtRecord(Closed):
    """Something that makes an answer doubtful: a stable code, and words for people."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    detail: str
