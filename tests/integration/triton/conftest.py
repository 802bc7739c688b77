"""One server for all tests here, and bundles whose models it has or is given while it runs."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sammoe.bundle import Bundle, load_bundle
from sammoe.bundle.assembling import upgrade
from sammoe.engine.triton import TritonEngine
from sammoe.errors import SettingsInvalid
from sammoe.tritonserver import find_environment
from tests.bundles import write_test_bundle
from tests.integration.triton.server import TritonServer, running

EXPERTS = ("cord", "lesion")


@pytest.fixture(scope="session")
def environment() -> None:
    """Skips where this machine has no Triton."""
    try:
        find_environment(None)
    except SettingsInvalid as error:
        pytest.skip(f"no Triton: {error}")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Two experts behind heads, with a check and reference features."""
    return make_bundle(tmp_path_factory.mktemp("triton") / "repository")


@pytest.fixture(scope="session")
def triton(bundle: Bundle, environment: None) -> Iterator[TritonServer]:
    """A server that has loaded the bundle."""
    with running(bundle.path, bundle.path.with_suffix(".log")) as server:
        yield server


@pytest.fixture
async def engine(triton: TritonServer, bundle: Bundle) -> AsyncIterator[TritonEngine]:
    """An engine on the server."""
    engine = TritonEngine(bundle, triton.url)
    yield engine
    await engine.close()


@pytest.fixture
def other(triton: TritonServer, tmp_path: Path) -> Callable[..., Bundle]:
    """Makes another bundle and puts its models beside the server's, but for those ``without``."""

    def make(*, without: tuple[str, ...] = (), **given: Any) -> Bundle:
        made = make_bundle(tmp_path / f"other{len(list(tmp_path.iterdir()))}", **given)
        for plain, folder in made.manifest.folders.items():
            if plain not in without and not (triton.folder / folder).exists():
                shutil.copytree(made.path / folder, triton.folder / folder)
        return made

    return make


def make_bundle(root: Path, **given: Any) -> Bundle:
    """A bundle of arithmetic, written as by an older version and upgraded where it lies."""
    usual: dict[str, Any] = {"experts": EXPERTS, "reference": True, "slack": 0.0}
    write_test_bundle(root, **(usual | given))
    return upgrade(load_bundle(root), out=root)
