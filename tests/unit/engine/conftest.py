"""Bundles that the engine's tests share; written once, never changed."""

import pytest

from sammoe.bundle import Bundle
from tests.bundles import write_test_bundle


@pytest.fixture(scope="session")
def general_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without experts, hence without a gate."""
    return write_test_bundle(tmp_path_factory.mktemp("general"))


@pytest.fixture(scope="session")
def expert_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With two experts: ``cord`` for the lower half of the window's first axis, ``lesion``."""
    return write_test_bundle(tmp_path_factory.mktemp("experts"), experts=("cord", "lesion"))
