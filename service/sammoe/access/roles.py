"""What callers may do: three roles, each with all that the one before has."""

from enum import StrEnum
from typing import Self

from sammoe.errors import Forbidden


class Role(StrEnum):
    """``reader`` looks at records; ``segmenter`` makes, changes and deletes them too; ``admin``
    may also look at the service itself.
    """

    READER = "reader"
    SEGMENTER = "segmenter"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether who has this role may do what ``other`` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)

    def require(self, needed: "Role") -> None:
        """Return if this role may do what ``needed`` may.

        Raises
        ------
        Forbidden
            It may not.
        """
        if not self.includes(needed):
            raise Forbidden(f"This needs the role {needed}; yours is {self}.")

    @classmethod
    def highest(cls, names: list[str]) -> Self | None:
        """The highest of the roles among some words; None where there is none."""
        return next((role for role in reversed(cls) if role in names), None)
