"""``sammoe bundle publish`` and ``rollback``, on bundles that run."""

import subprocess
import sys
from pathlib import Path

import pytest

from sammoe.bundle import Bundle, load_bundle, write_manifest
from sammoe.cli import main
from sammoe.engine.verifying import verify_bundle
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
