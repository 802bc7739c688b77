"""Series are read in another process, and nothing that it does reaches this one."""

import os
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import JPEGLSLossless

from sammoe.errors import DicomInvalid, DicomSlicesMissing, StoreUnavailable, TooLarge
from sammoe.volume.dicom import isolation, reader
from sammoe.volume.dicom.isolation import prepare, read_isolated
from sammoe.volume.dicom.series import read_series
from sammoe.volume.limits import ReadLimits
from sammoe.volume.reading import read_volume
from tests.series import compressed, ct, enhanced, series, write

CT = ct()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(series(CT), tmp_path / "series")


def test_what_comes_back_is_what_is_read_here(folder: Path) -> None:
    prepare()
    here, there = read_series(folder, ReadLimits()), read_isolated(folder, ReadLimits())

    np.testing.assert_array_equal(there.voxels, here.voxels)
    assert there.content_digest() == here.content_digest()
    assert there.voxels.flags.f_contiguous
    assert (there.modality, there.notes) == (here.modality, here.notes)
    assert there.source is not None
    assert here.source is not None
    assert there.source.pack() == here.source.pack()


def test_compressed_slices_are_decoded_side_by_side(tmp_path: Path) -> None:
    folder = write(compressed(series(CT), JPEGLSLossless), tmp_path / "series")
    file = write(compressed(enhanced(CT), JPEGLSLossless), tmp_path / "enhanced")

    np.testing.assert_array_equal(read_isolated(folder, ReadLimits()).voxels, CT)
    np.testing.assert_array_equal(read_isolated(file, ReadLimits()).voxels, CT)


def test_a_refusal_comes_back_as_it_is(tmp_path: Path) -> None:
    made = series(CT)
    folder = write(made[:4] + made[5:], tmp_path / "series")

    with pytest.raises(DicomSlicesMissing, match=r"5\.000 mm"):
        read_isolated(folder, ReadLimits())
    with pytest.raises(TooLarge):
        read_isolated(write(made, tmp_path / "large"), ReadLimits(max_voxels=10))


def test_a_folder_that_is_gone_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        read_isolated(tmp_path / "absent", ReadLimits())


def test_many_at_once(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read_isolated(folder, ReadLimits()), range(8)))

    assert all(np.array_equal(volume.voxels, CT) for volume in found)


@pytest.mark.fault("S11")
def test_a_reader_that_dies_is_a_refusal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Connection.recv

    def kill(connection: "Connection[Any, Any]") -> object:
        message = receive(connection)
        if isinstance(message, int):
            os.kill(message, signal.SIGKILL)
        return message

    monkeypatch.setattr(Connection, "recv", kill)

    with pytest.raises(DicomInvalid, match="memory and time"):
        read_isolated(folder, ReadLimits())


@pytest.mark.fault("S11")
def test_a_reader_that_takes_too_long_is_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "_SECONDS", 0.0)

    with pytest.raises(DicomInvalid, match="memory and time"):
        read_isolated(folder, ReadLimits())


def test_the_process_that_readers_come_from_is_started_again(folder: Path) -> None:
    read_isolated(folder, ReadLimits())
    assert isolation._readers._socket is not None
    isolation._readers._socket.close()

    np.testing.assert_array_equal(read_isolated(folder, ReadLimits()).voxels, CT)


def test_readers_leave_nothing_behind(folder: Path) -> None:
    handles = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        read_isolated(folder, ReadLimits())

    assert len(os.listdir("/proc/self/fd")) <= handles + 1


def test_the_user_s_word_goes_before_the_tag(folder: Path) -> None:
    assert read_volume(folder).modality_source == "tag"
    found = read_volume(folder, modality="MR")
    assert (found.modality, found.modality_source) == ("MR", "user")
    assert found.source is not None


@pytest.mark.fault("S11")
def test_limits_are_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[int, int] = {}
    monkeypatch.setattr(resource, "setrlimit", lambda limit, both: said.update({limit: both[0]}))

    reader._limit(folder)

    assert said == {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: 10,
        resource.RLIMIT_DATA: 1 << 31,
    }
