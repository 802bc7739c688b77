"""A store in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.store import LocalStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Folder of the store."""
    return tmp_path / "state"


@pytest.fixture
def store(root: Path) -> Iterator[LocalStore]:
    """An empty store."""
    store = LocalStore(root)
    yield store
    store.close()
