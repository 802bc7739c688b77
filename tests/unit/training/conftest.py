"""Bundles of these tests share their graphs."""

import pytest

from sammoe.training.telling import tell
from tests.unit.export.made_once import made_once

__all__ = ["made_once"]


@pytest.fixture(autouse=True)
def told_of_nothing() -> None:
    """Each test's commands warn as if they were the first in their process."""
    tell.cache_clear()
