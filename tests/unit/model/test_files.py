"""Files that are there whole or not at all."""

import errno
import io
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from sammoe.model.files import replacing, save_tensors
from sammoe.training.states import save_state


def test_tensors_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    turned = torch.arange(6.0).reshape(2, 3).T.requires_grad_()
    save_tensors(path, {"a": torch.zeros(2), "turned": turned}, {"of": "tests"})
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"of": "tests"}
        assert torch.equal(file.get_tensor("turned"), turned)
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) & 0o444  # by the umask, as other files


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


class _Disk(io.BytesIO):
    """Has room for some bytes."""

    room = 0

    def write(self, content: Any) -> int:
        if self.tell() + memoryview(content).nbytes > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


@pytest.mark.parametrize("room", [0, 300_000, 1_500_000])
def test_a_run_says_why_its_state_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Torch tells of it in its own words where some of the file is written already."""
    monkeypatch.setattr(_Disk, "room", room)
    monkeypatch.setattr(Path, "open", lambda path, mode: _Disk())
    state = {f"tensor {n}": torch.zeros(50_000) for n in range(20)}
    with pytest.raises(OSError, match="No space left on device") as caught:
        save_state(tmp_path, state)
    assert caught.value.filename == str(tmp_path / "state.pt")
