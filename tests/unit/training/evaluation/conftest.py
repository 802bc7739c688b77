"""A bundle with an expert for balls, its engine, and a data set of balls and cubes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.bundle import Bundle, load_bundle, write_manifest
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.training.datasets import DataSet, load_dataset
from tests.bundles import write_test_bundle
from tests.datasets import write_nnunet

CASES = ("a", "b", "c", "d", "e", "f")


def write_mixture(root: Path, **settings: object) -> Bundle:
    """A bundle whose expert ``round`` is for the class ``ball``; ``other`` is for none here."""
    bundle = write_test_bundle(root, experts=("round", "other"), **settings)  # type: ignore[arg-type]
    experts = tuple(
        expert.model_copy(update={"classes": ("ball",) if expert.name == "round" else ("none",)})
        for expert in bundle.manifest.experts
    )
    write_manifest(root, bundle.manifest.model_copy(update={"experts": experts}))
    return load_bundle(root)


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle, its check on."""
    return write_mixture(tmp_path_factory.mktemp("mixture"), tau=0.97, slack=2.0, reference=True)


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same networks behind a gate of mode ``paper``, without a check."""
    return write_mixture(tmp_path_factory.mktemp("paper"), gate="paper")


@pytest.fixture(scope="session")
def engine(mixture: Bundle) -> Iterator[LocalEngine]:
    """Runs the bundle."""
    engine = LocalEngine(mixture, EngineOptions(encoder_threads=1, decoder_threads=1))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Six cases with a ball and a cube each."""
    return load_dataset(write_nnunet(tmp_path_factory.mktemp("data") / "balls", CASES))
