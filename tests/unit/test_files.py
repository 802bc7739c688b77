"""Files that are there whole or not at all."""

import errno
from pathlib import Path

import pytest

from sammoe.files import replacing


def test_a_file_is_made_as_others_are(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with replacing(path) as stream:
        stream.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode  # by the umask


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError()])
def test_what_can_not_be_written_leaves_the_old_file(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")

    def write() -> None:
        with replacing(path) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(type(error)) as caught:
        write()
    if isinstance(caught.value, OSError):
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
