"""The state that a run goes on from."""

import errno
import io
from pathlib import Path
from typing import Any

import pytest
import torch

from sammoe.errors import SettingsInvalid
from sammoe.training.states import load_state, save_state


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


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80", b"\x80\x02X\x01\0\0\0\xff.", b"PK", bytes(100)]
)
def test_a_damaged_state_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(SettingsInvalid, match=r"state\.pt is damaged: remove it"):
        load_state(tmp_path, ["step"])
