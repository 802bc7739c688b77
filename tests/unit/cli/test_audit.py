import json
from pathlib import Path

import pytest

from sammoe.audit import AuditLog, AuditOptions, Event, Sealer, Who
from sammoe.cli import main

KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three lines, sealed with a key."""
    (tmp_path / "key").write_bytes(KEY + b"\n")
    audit = AuditLog(tmp_path / "audit", AuditOptions(sealer=Sealer(KEY)))
    for who, study in (("ann", "1.2.3"), ("bob", "1.2.4")):
        objects: dict[str, str | int] = {"study": study, "volume": who}
        audit.add(Event("volume.read", "success", Who(who), objects))
    audit.close()
    return tmp_path


def run(log: Path, *words: str, key: str | None = "key") -> int:
    given = ["--audit-folder", str(log / "audit")]
    given += [] if key is None else ["--audit-key-file", str(log / key)]
    return main(["audit", *words, *given])


def test_exit_codes_tell_whole_broken_and_not_checked(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, "verify") == 0
    assert "whole; 3 lines in 1 chain(s), hmac-sha256:" in capsys.readouterr().out
    assert run(log, "verify", key=None) == 1
    (log / "other").write_bytes(b"x" * 32)
    assert run(log, "verify", key="other") == 1
    assert run(log, "verify", key="missing") == 2
    assert main(["audit", "verify", "--audit-folder", str(log / "nowhere")]) == 2
    capsys.readouterr()
    file = next((log / "audit").glob("*/*.jsonl"))
    file.write_bytes(file.read_bytes().replace(b'"bob"', b'"eve"'))
    assert run(log, "verify") == 1
    out = capsys.readouterr().out
    assert f"BROKEN: {file.parent.name}/{file.name}, line 3: was changed" in out


def test_an_anchor_elsewhere_finds_a_cut_end(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anchor = ["--anchor", str(log / "anchor.json")]
    assert run(log, "verify", *anchor) == 0
    file = next((log / "audit").glob("*/*.jsonl"))
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    assert run(log, "verify") == 0
    before = (log / "anchor.json").read_bytes()
    assert run(log, "verify", *anchor) == 1
    assert (log / "anchor.json").read_bytes() == before
    (log / "anchor.json").write_text("[]")
    capsys.readouterr()
    assert run(log, "verify", *anchor) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_lines_are_found_by_study_volume_and_principal(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, found in (
        (["--study", "1.2.3"], ["ann"]),
        (["--volume", "bob"], ["bob"]),
        (["--principal", "ann"], ["ann"]),
        (["--study", "1.2.3", "--principal", "bob"], []),
    ):
        assert run(log, "list", *words) == 0
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["who"]["principal"] for line in told] == found
    assert run(log, "list") == 2
