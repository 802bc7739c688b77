import json
from pathlib import Path

import pytest

from sammoe.cli import main
from sammoe.store import LocalStore


def keys(capsys: pytest.CaptureFixture[str], state: Path, *words: str) -> tuple[int, str, str]:
    code = main(["keys", *words, "--state", str(state)])
    said = capsys.readouterr()
    return code, said.out, said.err


def actions(state: Path) -> list[tuple[str, str]]:
    """What the audit log says of commands."""
    files = sorted((state / "audit").glob("*/*.jsonl"))
    told = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [(line["action"], line["outcome"]) for line in told if "who" in line]


def test_a_key_is_shown_once_listed_by_its_id_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--principal", "ann", "--role", "segmenter", "--project", "trial:reader"]
    code, key, _ = keys(capsys, tmp_path, "create", *given, "--days", "30")
    key = key.strip()
    assert (code, key.startswith("sammoe_")) == (0, True)
    name = key.split("_")[1]
    _, listed, _ = keys(capsys, tmp_path, "list")
    assert name in listed
    assert "ann  segmenter  trial:reader" in listed
    assert listed.rstrip().endswith("good")
    secret = key.rpartition("_")[2]
    assert secret not in listed
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()
    assert keys(capsys, tmp_path, "revoke", name)[:2] == (0, f"{name} revoked\n")
    assert keys(capsys, tmp_path, "list")[1].rstrip().endswith("revoked")
    assert actions(tmp_path) == [("key.create", "success"), ("key.revoke", "success")]


def test_a_key_lasts_for_ever_only_if_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["create", "--principal", "ann", "--role", "reader"]
    keys(capsys, tmp_path, *given)
    keys(capsys, tmp_path, *given, "--days", "0")
    store = LocalStore(tmp_path)
    first, second = store.keys.look().values()
    store.close()
    assert first.expires is not None
    assert (first.expires - first.created).days == 365
    assert second.expires is None


@pytest.mark.parametrize(
    "words",
    [
        ["create", "--principal", "a b", "--role", "reader"],
        ["create", "--principal", "ann", "--role", "reader", "--project", "UPPER"],
        ["create", "--principal", "ann", "--role", "reader", "--project", "p:admin"],
        ["create", "--principal", "ann", "--role", "reader", "--project", "p:king"],
        ["create", "--principal", "ann", "--role", "reader", "--days", "-1"],
        ["create", "--principal", "ann", "--role", "reader", "--days", "nan"],
        ["revoke", "nonsense"],
        ["revoke", "0" * 26],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, out, err = keys(capsys, tmp_path, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    if words[0] == "revoke":
        assert actions(tmp_path) == [("key.revoke", "failed")]
