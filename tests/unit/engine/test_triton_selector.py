import logging
from pathlib import Path

import pytest

from sammoe.bundle import Bundle, load_bundle
from sammoe.bundle.assembling import upgrade
from sammoe.engine.triton import TritonEngine
from sammoe.errors import BundleInvalid
from tests.unit.bundle.bundles import EXPERT, write_bundle

NOWHERE = "127.0.0.1:9"


async def told(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING, "sammoe"):
        await TritonEngine(bundle, NOWHERE).close()
    return [record.getMessage() for record in caplog.records]


async def test_a_selector_of_another_version_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_bundle(tmp_path, (EXPERT,))
    bundle = upgrade(load_bundle(tmp_path), out=tmp_path)
    assert await told(bundle, caplog) == []
    files = {**bundle.manifest.files, f"{bundle.manifest.selector}/1/selector.py": 64 * "0"}
    old = Bundle(bundle.path, bundle.manifest.model_copy(update={"files": files}), bundle.digest)
    [line] = await told(old, caplog)
    assert "sammoe bundle upgrade" in line


def test_a_bundle_without_a_selector_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path, (EXPERT,))
    with pytest.raises(BundleInvalid, match="no selector for Triton"):
        TritonEngine(load_bundle(tmp_path), NOWHERE)
