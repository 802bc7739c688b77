"""What was done to the log by hand is found, and told from what a crash does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sammoe.audit import AuditLog, AuditOptions, Event, Sealer, verify
from sammoe.audit.seals import read_line, write_line
from sammoe.errors import SettingsInvalid

KEY = Sealer(b"0123456789abcdef0123456789abcdef")
PLAIN = Sealer()
Lines = list[bytes]


def make(folder: Path, sealer: Sealer = PLAIN, runs: int = 2, events: int = 4) -> list[Path]:
    """Write a log; its files in order."""
    for _ in range(runs):
        log = AuditLog(folder, AuditOptions(sealer=sealer))
        for n in range(events):
            log.add(Event("volume.read", "success", objects={"volume": f"{n:026}"}))
        log.close()
    return sorted(folder.glob("*/*.jsonl"))


def reseal(lines: Lines, start: int, sealer: Sealer) -> Lines:
    """Seal all lines from one on anew, as somebody would who wants the chain to fit."""
    made = lines[:start]
    before = read_line(made[-1][:-1]) if made else None
    seal = "0" * 64 if before is None else before.seal
    for n, text in enumerate(lines[start:], start + 1):
        said = json.loads(text)
        del said["seal"]
        line, seal = write_line(said | {"n": n, "previous": seal}, sealer)
        made.append(line)
    return made


def change(lines: Lines) -> Lines:
    lines[2] = lines[2].replace(b"success", b"refused")
    return lines


def change_and_seal(lines: Lines) -> Lines:
    """Change a line and seal it, and leave the next one as it is."""
    return [*reseal(change(lines)[:3], 2, PLAIN), *lines[3:]]


def remove(lines: Lines) -> Lines:
    return [*lines[:2], *lines[3:]]


def swap(lines: Lines) -> Lines:
    lines[2], lines[3] = lines[3], lines[2]
    return lines


def repeat(lines: Lines) -> Lines:
    return [*lines[:3], lines[2], *lines[3:]]


def garble(lines: Lines) -> Lines:
    lines[2] = b"\x00" * 20 + b"\n"
    return lines


def cut(lines: Lines) -> Lines:
    return lines[:-1]


@pytest.mark.parametrize("deed", [change, change_and_seal, remove, swap, repeat, garble, cut])
@pytest.mark.parametrize("sealer", [PLAIN, KEY], ids=["plain", "key"])
def test_what_was_done_to_lines_is_found(
    tmp_path: Path, deed: Callable[[Lines], Lines], sealer: Sealer
) -> None:
    first, _ = make(tmp_path, sealer)
    assert verify(tmp_path, sealer).breaks == []
    first.write_bytes(b"".join(deed(first.read_bytes().splitlines(keepends=True))))
    breaks = verify(tmp_path, sealer).breaks
    assert breaks
    assert first.parent.name in breaks[0].place
    if deed in (change, garble):
        assert "line 3" in breaks[0].place


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_file_is_found(tmp_path: Path, which: int) -> None:
    files = make(tmp_path, runs=3)
    files[which].unlink()
    assert "missing" in verify(tmp_path, PLAIN).breaks[0].says


def test_old_files_may_be_archived_where_that_is_said(tmp_path: Path) -> None:
    make(tmp_path, runs=3)[0].unlink()
    assert verify(tmp_path, PLAIN).breaks
    verdict = verify(tmp_path, PLAIN, archived=True)
    assert verdict.breaks == []
    assert "elsewhere" in verdict.notes[0].says


def test_who_has_no_key_can_not_write_a_chain_that_fits(tmp_path: Path) -> None:
    only = make(tmp_path, KEY, runs=1)[0]
    lines = change(only.read_bytes().splitlines(keepends=True))
    for sealer in (PLAIN, Sealer(b"x" * 32)):
        only.write_bytes(b"".join(reseal(list(lines), 0, sealer)))
        assert verify(tmp_path, KEY).breaks
    # With the key it could be done: that is what the key is for.
    only.write_bytes(b"".join(reseal(list(lines), 0, KEY)))
    assert verify(tmp_path, KEY).breaks == []


def test_a_log_with_a_key_is_not_whole_without_it(tmp_path: Path) -> None:
    make(tmp_path, KEY)
    assert verify(tmp_path, PLAIN).breaks
    assert verify(tmp_path, Sealer(b"y" * 32)).breaks


def test_a_cut_end_is_found_by_an_anchor_and_by_the_chains_beside(tmp_path: Path) -> None:
    make(tmp_path)
    known = verify(tmp_path, PLAIN).heads
    held = AuditLog(tmp_path)
    other = AuditLog(tmp_path)  # its first line says where the other chain was
    other.close()
    held.close()
    last = sorted(tmp_path.glob("*-1/*.jsonl"))
    for file in last[-2:]:
        file.unlink()
    assert "lines are missing" in verify(tmp_path, PLAIN).breaks[0].says
    for file in tmp_path.glob("*-2/*.jsonl"):
        file.unlink()
    assert verify(tmp_path, PLAIN).breaks == []
    assert "lines are missing" in verify(tmp_path, PLAIN, known).breaks[0].says


def test_a_whole_chain_that_is_gone_is_found(tmp_path: Path) -> None:
    one, other = AuditLog(tmp_path), AuditLog(tmp_path)
    one.close()
    other.close()
    for file in tmp_path.glob("*-1/*"):
        file.unlink()
    next(tmp_path.glob("*-1")).rmdir()
    assert "the whole chain is missing" in verify(tmp_path, PLAIN).breaks[0].says


@pytest.mark.parametrize("left", [1, 40, -1])
def test_a_crash_in_a_line_is_no_tampering(tmp_path: Path, left: int) -> None:
    last = make(tmp_path)[-1]
    *lines, end = last.read_bytes().splitlines(keepends=True)
    torn = end[:left]
    last.write_bytes(b"".join(lines) + torn)
    verdict = verify(tmp_path, PLAIN)
    assert (verdict.breaks, len(verdict.notes)) == ([], 1)
    assert "its writer died there" in verdict.notes[0].says
    make(tmp_path, runs=1)  # the next process goes on
    verdict = verify(tmp_path, PLAIN)
    assert (verdict.breaks, len(verdict.notes)) == ([], 1)
    assert f"after {len(torn)} bytes" in verdict.notes[0].says


def test_a_crash_in_the_first_line_of_a_file_is_none_either(tmp_path: Path) -> None:
    last = make(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[:30])
    assert verify(tmp_path, PLAIN).breaks == []
    make(tmp_path, runs=1)
    verdict = verify(tmp_path, PLAIN)
    assert (verdict.breaks, verdict.notes) == ([], [])


def test_a_tear_that_was_made_later_is_found(tmp_path: Path) -> None:
    first = make(tmp_path)[0]
    first.write_bytes(first.read_bytes()[:-30])
    assert verify(tmp_path, PLAIN).breaks


def test_no_log_is_no_whole_log(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="no audit log"):
        verify(tmp_path / "nowhere", PLAIN)


@pytest.mark.parametrize("content", [None, b"short"])
def test_a_key_that_is_no_key_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsInvalid):
        Sealer.from_file(file)
