"""``sammoe bundle publish`` and ``rollback``, on bundles that run."""

import getpass
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sammoe.bundle import Bundle, load_bundle, locking, releases, write_manifest
from sammoe.cli import main
from sammoe.cli.bundle import releasing
from sammoe.engine.verifying import verify_bundle
from sammoe.store import LocalStore, PublishedRecord
from tests.bundles import with_self_test, write_test_bundle


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return with_self_test(write_test_bundle(tmp_path_factory.mktemp("one")))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("two")
    return with_self_test(write_test_bundle(root, experts=("spleen", "liver")))


def test_the_engine_answers_the_self_test(two: Bundle) -> None:
    assert verify_bundle(two) < 0.01
    assert two.manifest.self_test is not None
    outputs = two.manifest.self_test.outputs
    assert {"click/spleen", "box/liver", "box/scores"} <= outputs.keys()
    assert len(outputs["click/scores"]) == 2
    assert outputs["click/spleen"] != outputs["click/general"]


def test_publish_and_rollback(
    one: Bundle, two: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = tmp_path / "served"

    assert main(["bundle", "publish", str(one.path), "--to", str(served)]) == 0
    assert main(["bundle", "publish", str(two.path), "--to", str(served)]) == 0
    assert f"{served}: balls, digest {two.digest[:12]}; self-test passed" in capsys.readouterr().out
    assert load_bundle(served).digest == two.digest

    assert main(["bundle", "rollback", str(served)]) == 0
    assert f"{served}: balls, digest {one.digest[:12]}" in capsys.readouterr().out
    assert load_bundle(served).digest == one.digest
    assert verify_bundle(load_bundle(served)) < 0.01


def active(state: Path) -> PublishedRecord | None:
    """The record of a store."""
    store = LocalStore(state)
    try:
        return store.published.look().record
    finally:
        store.close()


def test_the_record_of_a_store_follows(
    one: Bundle, two: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served, state = tmp_path / "served", tmp_path / "state"
    where = ["--state", str(state)]

    assert main(["bundle", "publish", str(one.path), "--to", str(served)]) == 0
    assert "active" not in capsys.readouterr().out
    assert not state.exists()
    assert main(["bundle", "publish", str(two.path), "--to", str(served), *where]) == 0
    assert "difference); active now\n" in capsys.readouterr().out
    for before, now_active in ((two, one), (one, two), (two, one)):
        assert main(["bundle", "rollback", str(served), *where]) == 0
        told = f"as before; active in place of {before.digest[:12]}\n"
        assert told in capsys.readouterr().out
        record = active(state)
        assert record is not None
        assert record.active.digest == load_bundle(served).digest == now_active.digest
        assert [one.digest for one in record.before] == [before.digest]
    assert main(["bundle", "publish", str(one.path), "--to", str(served), *where]) == 0
    assert f"UTC, by {getpass.getuser()}@{socket.gethostname()}\n" in capsys.readouterr().out
    assert active(state) == record


def nameless() -> str:
    """As in a container whose user is a number."""
    raise KeyError(os.getuid())


def test_the_environment_names_the_store(
    one: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMMOE_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("getpass.getuser", nameless)
    assert main(["bundle", "publish", str(one.path), "--to", str(tmp_path / "served")]) == 0
    record = active(tmp_path / "state")
    assert record is not None
    assert record.active.digest == one.digest
    assert record.active.by == f"{os.getuid()}@{socket.gethostname()}"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("three")
    return with_self_test(write_test_bundle(root, experts=("cord",)))


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, owner: ModuleType, name: str, *words: object
) -> None:
    """Somebody else runs another command of ``sammoe bundle`` when the next one calls a function of
    a module."""
    original = getattr(owner, name)

    def call(*args: object) -> object:
        monkeypatch.setattr(owner, name, original)
        assert main(["bundle", *map(str, words)]) == 0
        return original(*args)

    monkeypatch.setattr(owner, name, call)


REFUSED = "Somebody else has changed the active bundle"


@pytest.mark.parametrize("recorded", [True, False])
def test_who_publishes_while_another_does_is_refused(
    one: Bundle,
    two: Bundle,
    three: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recorded: bool,
) -> None:
    served = tmp_path / "served"
    to = ["--to", str(served), *(["--state", str(tmp_path / "state")] if recorded else [])]
    main(["bundle", "publish", str(one.path), *to])
    meanwhile(monkeypatch, releasing, "verify_bundle", "publish", two.path, *to)

    assert main(["bundle", "publish", str(three.path), *to]) == 2

    assert REFUSED in capsys.readouterr().err
    assert load_bundle(served).digest == two.digest
    if recorded:
        record = active(tmp_path / "state")
        assert record is not None
        assert record.active.digest == two.digest
    assert {path.name for path in served.iterdir()} == {
        "bundle.json",
        "bundle.previous.json",
        *one.manifest.folders.values(),
        *two.manifest.folders.values(),
    }
    assert main(["bundle", "rollback", *to[1:]]) == 0
    assert load_bundle(served).digest == one.digest


def test_who_publishes_while_another_does_elsewhere_is_refused(
    one: Bundle,
    two: Bundle,
    three: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served, elsewhere = tmp_path / "served", tmp_path / "elsewhere"
    where = ["--state", str(tmp_path / "state")]
    main(["bundle", "publish", str(one.path), "--to", str(served), *where])
    # As on several machines: into each folder first, and then with the store.
    main(["bundle", "publish", str(two.path), "--to", str(served)])
    # No lock keeps these two apart: the record changes when the folder has changed already.
    words = ("publish", two.path, "--to", elsewhere, *where)
    meanwhile(monkeypatch, releasing, "_tell", *words)

    assert main(["bundle", "publish", str(three.path), "--to", str(served), *where]) == 2

    assert REFUSED in capsys.readouterr().err
    record = active(tmp_path / "state")
    assert record is not None
    assert record.active.digest == two.digest == load_bundle(served).digest
    assert main(["bundle", "rollback", str(served), *where]) == 0
    assert load_bundle(served).digest == one.digest


def test_of_two_who_roll_back_one_is_refused(
    one: Bundle,
    two: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served = tmp_path / "served"
    for bundle in (one, two):
        main(["bundle", "publish", str(bundle.path), "--to", str(served)])
    meanwhile(monkeypatch, releases, "changing", "rollback", served)

    assert main(["bundle", "rollback", str(served)]) == 2

    assert REFUSED in capsys.readouterr().err
    assert load_bundle(served).digest == one.digest


def test_who_finds_another_at_it_does_not_wait_for_long(
    one: Bundle,
    two: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.0)
    served = tmp_path / "served"
    main(["bundle", "publish", str(one.path), "--to", str(served)])
    half_done = served / ".new-half"
    half_done.mkdir()

    with releases.changing(served):
        assert main(["bundle", "publish", str(two.path), "--to", str(served)]) == 2
    assert f"Somebody else has been writing into {served}" in capsys.readouterr().err
    assert half_done.exists()
    assert load_bundle(served).digest == one.digest


def test_a_record_names_what_the_folder_does_not_hold(
    one: Bundle, two: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--state", str(tmp_path / "state")]
    for bundle, folder in ((one, "here"), (two, "there")):
        main(["bundle", "publish", str(bundle.path), "--to", str(tmp_path / folder), *where])
    assert main(["bundle", "rollback", str(tmp_path / "there"), *where]) == 2
    assert "keeps no bundle from before" in capsys.readouterr().err
    record = active(tmp_path / "state")
    assert record is not None
    assert record.active.digest == two.digest
    assert main(["bundle", "rollback", str(tmp_path / "here"), *where]) == 0


@pytest.mark.fault("F18")
def test_a_bundle_that_fails_its_self_test_is_not_published(
    one: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = with_self_test(write_test_bundle(tmp_path / "new"))
    case = bundle.manifest.self_test
    assert case is not None
    outputs = case.outputs | {"click/general": tuple(v + 9 for v in case.outputs["click/general"])}
    manifest = bundle.manifest.model_copy(
        update={"self_test": case.model_copy(update={"outputs": outputs})}
    )
    write_manifest(bundle.path, manifest)
    served = tmp_path / "served"
    main(["bundle", "publish", str(one.path), "--to", str(served)])

    assert main(["bundle", "publish", str(bundle.path), "--to", str(served)]) == 2
    told = capsys.readouterr().err
    assert "fails its self-test: click/general" in told
    assert told.count("\n") == 1
    assert load_bundle(served).digest == one.digest


@pytest.mark.fault("F18")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("file", "differs from its SHA-256"),
        ("self-test", "has no self-test"),
        ("output", "answered with NaN or Inf in logits of decoder_general"),
    ],
)
def test_a_bundle_that_can_not_be_served_is_not_published(
    one: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, message: str
) -> None:
    broken = "decoder_general" if damage == "output" else None
    bundle = write_test_bundle(tmp_path / "new", broken=broken)
    if damage == "output":
        kept = {"self_test": one.manifest.self_test}
        write_manifest(bundle.path, bundle.manifest.model_copy(update=kept))
    if damage == "file":
        bundle.model_path("image_encoder").write_bytes(b"")

    assert main(["bundle", "publish", str(bundle.path), "--to", str(tmp_path / "served")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "served").exists()


def test_a_file_is_no_place_for_a_bundle(
    one: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "served"
    target.write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        main(["bundle", "publish", str(one.path), "--to", str(target)])
    assert f"{target} is a file: name a folder" in capsys.readouterr().err
    assert target.read_text() == "mine"


def test_nothing_to_roll_back_to(
    one: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = tmp_path / "served"
    main(["bundle", "publish", str(one.path), "--to", str(served)])

    assert main(["bundle", "rollback", str(served)]) == 2
    assert "keeps no bundle from before" in capsys.readouterr().err


def test_publishing_needs_no_torch(one: Bundle, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'safetensors']));"
        "from sammoe.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    for words in (
        ["publish", str(one.path), "--to", str(tmp_path / "served")],
        ["show", str(tmp_path / "served")],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, "bundle", *words],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
