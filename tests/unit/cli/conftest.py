"""A bundle for commands, and a clean environment."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.settings import Settings, env_name
from tests.bundles import write_test_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a bundle with one expert."""
    return write_test_bundle(tmp_path_factory.mktemp("bundle"), experts=["spleen"]).path


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from outside; signal handlers and logging as they were."""
    for name in Settings.model_fields:
        monkeypatch.delenv(env_name(name), raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    logger = logging.getLogger("sammoe")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])
