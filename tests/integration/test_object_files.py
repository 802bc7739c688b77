"""Files in a bucket of a real S3 server."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sammoe.errors import StoreUnavailable
from sammoe.store.files import Files
from sammoe.store.object_files import ObjectFiles
from tests.files_contract import *  # noqa: F403
from tests.integration.s3_server import BUCKET, S3Server


@pytest.fixture
def places(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Files]]:
    """As two processes see one prefix."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    url = f"s3://{BUCKET}/{secrets.token_hex(4)}/deep"
    both: list[Files] = [ObjectFiles(url, tmp_path / "1"), ObjectFiles(url, tmp_path / "2")]
    yield both
    for files in both:
        files.close()


def test_bucket_that_is_not_there(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreUnavailable, match="bucket is not there"):
        ObjectFiles("s3://no-such-bucket/prefix", tmp_path)
    assert list(tmp_path.glob("tmp/*/*")) == []


def test_more_than_a_page_of_a_list(places: list[Files]) -> None:
    here, there = places
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: here.write(f"a/{number}", []), range(1005)))
    assert len(there.names("a")) == 1005
    assert len(list(there.entries("a"))) == 1005
    there.remove_all("a")
    assert here.names("a") == []
