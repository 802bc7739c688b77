import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sammoe.bundle import MANIFEST_NAME, load_bundle
from sammoe.errors import BundleInvalid
from tests.unit.bundle.bundles import EXPERT, write_bundle


def test_a_written_bundle_loads_and_is_named_by_its_manifest(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, experts=(EXPERT,))

    bundle = load_bundle(tmp_path)

    assert bundle.manifest == manifest
    assert bundle.digest == hashlib.sha256((tmp_path / MANIFEST_NAME).read_bytes()).hexdigest()
    assert bundle.model_path("decoder_cord").read_bytes() == b"decoder_cord"
    assert bundle.model_digest("gate") == hashlib.sha256(b"gate").hexdigest()
    with pytest.raises(KeyError):
        bundle.model_path("decoder_liver")


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match=r"bundle\.json can not be read: No such file"):
        load_bundle(tmp_path)


def test_a_changed_file_is_named_when_verifying_only(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    model = load_bundle(tmp_path).model_path("image_encoder")
    model.write_bytes(b"image_encodeR")

    with pytest.raises(BundleInvalid, match=r"image_encoder-\w{12}/1/model\.onnx differs"):
        load_bundle(tmp_path)
    assert load_bundle(tmp_path, verify=False).model_path("image_encoder") == model


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    load_bundle(tmp_path).model_path("decoder_general").unlink()

    with pytest.raises(BundleInvalid, match=r"decoder_general-\w{12}/1/model\.onnx is missing"):
        load_bundle(tmp_path, verify=False)


def test_a_stray_version_folder_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    stray = load_bundle(tmp_path).model_path("decoder_general").parents[1] / "2" / "model.onnx"
    stray.parent.mkdir()
    stray.write_bytes(b"newer")

    with pytest.raises(BundleInvalid, match=r"/2/model\.onnx is not listed"):
        load_bundle(tmp_path)


def test_a_folder_named_after_other_files_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path)

    def rename(manifest: dict[str, Any]) -> None:
        old = manifest["models"]["image_encoder"]
        new = "image_encoder-" + "0" * 12
        shutil.move(tmp_path / old, tmp_path / new)
        manifest["models"]["image_encoder"] = new
        manifest["files"] = {k.replace(old, new): v for k, v in manifest["files"].items()}

    _edit(tmp_path, rename)
    with pytest.raises(BundleInvalid, match=r"image_encoder-0+ is not named after the digest"):
        load_bundle(tmp_path)


def test_another_release_may_lie_beside(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    other = tmp_path / "image_encoder-aaaaaaaaaaaa" / "1"
    other.mkdir(parents=True)
    (other / "model.onnx").write_bytes(b"older release")

    assert load_bundle(tmp_path).manifest.name == "test"


def test_a_newer_schema_says_so(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    _edit(tmp_path, lambda manifest: manifest.update(schema_version=2))

    with pytest.raises(BundleInvalid, match="schema_version 2; this program reads 1"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(text)

    with pytest.raises(BundleInvalid, match="no valid manifest"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(surplus=1), "surplus"),
        (lambda m: m["routing"]["tau"].update(click=1.5), "tau"),
        (lambda m: m["files"].update({"../../etc/passwd": "0" * 64}), "no plain relative path"),
        (lambda m: m["files"].update({"/etc/passwd": "0" * 64}), "no plain relative path"),
        (lambda m: m["files"].update({"elsewhere/x": "0" * 64}), "lies in no model folder"),
        (lambda m: m["models"].update(gate="gate-000000000000"), "wrong: gate"),
        (lambda m: m["models"].pop("decoder_general"), "wrong: decoder_general"),
        (lambda m: m["models"].update(image_encoder="image_encoder"), "12 hex digits"),
        (lambda m: m["models"].update(image_encoder="image_encoder-" + "1" * 12), "files lacks"),
        (lambda m: m["window"].update(side=24), "do not fit each other"),
        (lambda m: m["window"].update(side=17), "multiple of patch"),
        (lambda m: m["window"].update(spacings=[3.0, 1.5]), "must ascend"),
        (lambda m: m["window"].update(ct_clamp=[1, 1]), "must be"),
        (lambda m: m["window"].update(snap_mm=[1.0]), "one positive step"),
        (lambda m: m["window"]["default_spacing"].pop("CT"), "CT"),
        (lambda m: m["window"]["default_spacing"].update(CT=2.0), "must be one of spacings"),
        (lambda m: m["experts"].append(_expert("general")), "can not be called"),
        (lambda m: m["experts"].append(_expert("Cord!")), "experts/0/name"),
        (lambda m: m["experts"].extend([_expert("a"), _expert("a")]), "one name"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    write_bundle(tmp_path)
    _edit(tmp_path, edit)

    with pytest.raises(BundleInvalid, match=message):
        load_bundle(tmp_path)


def _expert(name: str) -> dict[str, Any]:
    return EXPERT.model_dump(mode="json") | {"name": name}


def _edit(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = root / MANIFEST_NAME
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))
