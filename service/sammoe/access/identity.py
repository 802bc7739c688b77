"""Who calls, and what it may do where."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sammoe.access.roles import Role

LOCAL: Final = "local"
"""Principal of every request while nobody needs to say who it is."""

PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a project may be called."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller.

    Attributes
    ----------
    principal
        Owns records.
    role
        What it may do with its own.
    projects
        Project -> what it may do with records that others share there.
    via
        How it was recognised, for the audit log; see `sammoe.audit.Who`.
    """

    principal: str
    role: Role
    projects: Mapping[str, Role] = field(default_factory=dict)
    via: str = "open"

    def role_in(self, project: str) -> Role:
        """What it may do in one of its projects: never more than elsewhere."""
        there = self.projects[project]
        return there if self.role.includes(there) else self.role


EVERYBODY: Final = Identity(LOCAL, Role.ADMIN)
"""Who calls where nobody needs to say who it is."""


def parse_projects(words: list[str], role: Role) -> dict[str, Role] | None:
    """Projects from words, ``name`` or ``name:role``; None where a word is neither."""
    projects = {}
    for word in words:
        name, colon, there = word.partition(":")
        if not PROJECT.fullmatch(name) or (colon and there not in list(Role)):
            return None
        projects[name] = Role(there) if colon else role
    return projects
