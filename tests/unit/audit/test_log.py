"""The log as it is written: whole lines, in order, whatever the disk does."""

import asyncio
import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from sammoe.audit import AuditLog, AuditOptions, Event, Sealer, Who, verify, writing
from sammoe.errors import AuditUnavailable

ANN = Who("ann", "key", "segmenter")


def said(folder: Path) -> list[dict[str, Any]]:
    """All lines of a log with one chain."""
    files = sorted(folder.glob("*/*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def event(n: int = 0) -> Event:
    return Event("volume.add", "success", ANN, {"volume": f"{n:026}", "study": "1.2.3"})


def test_a_line_says_who_did_what_to_which_study_when(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, AuditOptions(uids="plain"))
    request: dict[str, str | int] = {"id": "r1", "status": 201}
    log.add(Event("volume.add", "success", ANN, {"volume": "v", "study": "1.2.3"}, request))
    log.close()
    opened, line = said(tmp_path)
    assert (opened["action"], opened["n"], opened["previous"]) == ("audit.opened", 1, "0" * 64)
    assert (line["n"], line["previous"]) == (2, opened["seal"])
    assert line["who"] == {"principal": "ann", "via": "key", "role": "segmenter"}
    assert (line["action"], line["outcome"]) == ("volume.add", "success")
    assert line["objects"] == {"volume": "v", "study": "1.2.3"}
    assert line["request"] == request
    assert line["time"].endswith("+00:00")
    assert list(line)[-1] == "seal"


def test_uids_are_hashed_unless_told_otherwise_and_with_the_key(tmp_path: Path) -> None:
    found = []
    for place, options in (
        ("a", AuditOptions()),
        ("b", AuditOptions()),
        ("c", AuditOptions(sealer=Sealer(b"k" * 32))),
        ("d", AuditOptions(uids="none")),
    ):
        log = AuditLog(tmp_path / place, options)
        log.add(event())
        log.close()
        assert "1.2.3" not in (tmp_path / place).as_posix()
        line = said(tmp_path / place)[1]
        assert "1.2.3" not in json.dumps(line)
        found.append(line["objects"].get("study"))
    assert found[0] == found[1] == Sealer().pseudonym("1.2.3") != found[2]
    assert found[3] is None


def test_a_restart_goes_on_with_the_chain(tmp_path: Path) -> None:
    for n in range(3):
        log = AuditLog(tmp_path)
        log.add(event(n))
        log.close()
    assert [line["n"] for line in said(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert len(list(tmp_path.iterdir())) == 1
    verdict = verify(tmp_path, Sealer())
    assert (verdict.breaks, verdict.notes, verdict.lines) == ([], [], 6)


def test_processes_at_once_have_chains_of_their_own_that_know_of_each_other(
    tmp_path: Path,
) -> None:
    one, other = AuditLog(tmp_path), AuditLog(tmp_path)
    one.add(event(1))
    other.add(event(2))
    one.close()
    other.close()
    assert len(list(tmp_path.iterdir())) == 2
    opened = [json.loads(next(tmp_path.glob("*-2/*.jsonl")).read_text().splitlines()[0])]
    assert [len(line["beside"]) for line in opened] == [1]
    assert verify(tmp_path, Sealer()).breaks == []


def test_rotation_keeps_the_chain(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, AuditOptions(rotate_bytes=500))
    for n in range(12):
        asyncio.run(log.written(event(n)))
    log.close()
    files = list(tmp_path.glob("*/*.jsonl"))
    assert len(files) > 2
    volumes = [line["objects"]["volume"] for line in said(tmp_path) if "objects" in line]
    assert volumes == [f"{n:026}" for n in range(12)]
    assert verify(tmp_path, Sealer()).breaks == []


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)

    def tell() -> None:
        for n in range(50):
            log.add(event(n))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert verify(tmp_path, Sealer()).lines == 201


async def test_a_change_is_in_the_file_when_it_is_told(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    await log.written(event(7))
    assert said(tmp_path)[-1]["objects"]["volume"] == f"{7:026}"
    log.close()


async def test_who_does_not_wait_to_the_end_takes_nothing_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, write = threading.Event(), os.pwrite

    def slow(handle: int, data: bytes, offset: int) -> int:
        go.wait(10)
        return write(handle, data, offset)

    log = AuditLog(tmp_path)
    monkeypatch.setattr(os, "pwrite", slow)
    waiting = asyncio.create_task(log.written(event(1)))
    await asyncio.sleep(0.05)
    waiting.cancel()
    go.set()
    await log.written(event(2))
    log.close()
    await log.written(event(3))  # after its end: nobody hangs
    assert [line["objects"]["volume"] for line in said(tmp_path)[1:]] == [
        f"{n:026}" for n in (1, 2)
    ]


async def test_a_fault_of_ours_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path)

    def broken(*given: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("sammoe.audit.writing.write_line", broken)
        await log.written(event(1))
        assert not log.works
    await log.written(event(2))
    assert log.works
    log.close()
    assert len(said(tmp_path)) == 3


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A disk that is full while the list's item is true; it takes half of what it is given."""
    switch = [False]
    write = os.pwrite

    def pwrite(handle: int, data: bytes, offset: int) -> int:
        if not switch[0]:
            return write(handle, data, offset)
        if len(data) > 40:
            return write(handle, data[:40], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", pwrite)
    return switch


@pytest.mark.fault("F26")
async def test_a_full_disk_refuses_changes_loses_nothing_and_tears_nothing(
    tmp_path: Path, full: list[bool]
) -> None:
    log = AuditLog(tmp_path)
    log.check()
    full[0] = True
    await log.written(event(1))
    assert not log.works
    with pytest.raises(AuditUnavailable):
        log.check()
    log.add(event(2))
    full[0] = False
    await log.written(event(3))
    log.check()
    log.close()
    assert [line["objects"]["volume"] for line in said(tmp_path)[1:]] == [
        f"{n:026}" for n in (1, 2, 3)
    ]
    assert verify(tmp_path, Sealer()).breaks == []


async def test_a_log_that_fails_open_lets_changes_through(tmp_path: Path, full: list[bool]) -> None:
    full[0] = True
    with pytest.raises(AuditUnavailable):
        AuditLog(tmp_path / "closed")
    log = AuditLog(tmp_path / "open", AuditOptions(fails_open=True))
    assert not log.works
    log.check()
    await log.written(event(1))
    full[0] = False
    await log.written(event(2))
    assert log.works
    log.close()
    assert len(said(tmp_path / "open")) == 3


async def test_what_can_not_be_kept_is_counted(
    tmp_path: Path, full: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sammoe.audit.log.MOST_KEPT", 2)
    log = AuditLog(tmp_path)
    full[0] = True
    for n in range(5):
        await log.written(event(n))
    full[0] = False
    await log.written(event(9))
    await log.written(event(9))
    log.close()
    lost = [line for line in said(tmp_path) if line["action"] == "audit.lost"]
    kept = [line for line in said(tmp_path) if line["action"] == "volume.add"]
    assert len(lost) == 1
    assert lost[0]["objects"]["lines"] >= 3
    assert lost[0]["objects"]["lines"] + len(kept) == 7
    assert verify(tmp_path, Sealer()).breaks == []


async def test_what_waits_while_the_disk_hangs_is_bounded_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sammoe.audit.log.MOST_KEPT", 3)
    monkeypatch.setattr("sammoe.audit.log.HUNG_SECONDS", 0.05)
    go, write = threading.Event(), os.pwrite

    def slow(handle: int, data: bytes, offset: int) -> int:
        go.wait(10)
        return write(handle, data, offset)

    log = AuditLog(tmp_path)
    monkeypatch.setattr(os, "pwrite", slow)
    await log.written(event(1))
    async with asyncio.timeout(60):  # the thread may have begun later than this waited
        while log.works:
            await asyncio.sleep(0.01)
    for n in range(2, 10):
        log.add(event(n))
        await log.written(event(n))
    go.set()
    log.close()
    lost = [line for line in said(tmp_path) if line["action"] == "audit.lost"]
    kept = [line for line in said(tmp_path) if line["action"] == "volume.add"]
    assert (len(lost), len(kept)) == (1, 4)
    assert lost[0]["objects"]["lines"] == 13
    assert verify(tmp_path, Sealer()).breaks == []


async def test_a_log_whose_file_was_removed_goes_on_and_the_gap_is_seen(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    await log.written(event(1))
    next(tmp_path.glob("*/*.jsonl")).unlink()
    await log.written(event(2))
    log.close()
    assert [line["n"] for line in said(tmp_path)] == [3, 4]
    assert verify(tmp_path, Sealer()).breaks


async def test_what_can_not_be_flushed_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr("sammoe.audit.log.FLUSH_SECONDS", 0.01)
    log = AuditLog(tmp_path)

    def fail(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        await log.written(event(1))
        await asyncio.sleep(0.1)
        assert not log.works
    await log.written(event(2))
    log.close()
    assert [line["objects"]["volume"] for line in said(tmp_path)[1:]] == [
        f"{n:026}" for n in (1, 2)
    ]


async def test_nobody_waits_for_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "FLUSH_SECONDS", 0.0)
    log = AuditLog(tmp_path)
    begun, go = threading.Event(), threading.Event()

    def hang(handle: int) -> None:
        begun.set()
        assert go.wait(60)

    with monkeypatch.context() as slow:
        slow.setattr(os, "fsync", hang)
        await log.written(event(1))
        assert await asyncio.to_thread(begun.wait, 60)
        assert not go.is_set()
        go.set()
    log.close()
    assert verify(tmp_path, Sealer()).breaks == []
