from pathlib import Path

import numpy as np
import pytest

from sammoe.bundle import (
    FEATURES_FILE,
    Bundle,
    ReferenceFeatures,
    add_model,
    load_bundle,
    load_reference,
    write_manifest,
)
from sammoe.errors import BundleInvalid
from tests.unit.bundle.bundles import write_bundle


def features(width: int = 80) -> ReferenceFeatures:
    random = np.random.default_rng(0)
    raw = random.normal(2, 3, (12, width)).astype(np.float32)
    return ReferenceFeatures.of(raw, ("CT", "MR"), random.integers(0, 2, 12))


def shipped(root: Path, content: bytes) -> Bundle:
    """A bundle with this file beside its general decoder."""
    manifest = write_bundle(root)
    files = {"config.pbtxt": b"backend", "1/model.onnx": b"x", FEATURES_FILE: content}
    folder, digests = add_model(root, "decoder_general", files)
    before = manifest.models["decoder_general"]
    kept = {n: d for n, d in manifest.files.items() if not n.startswith(before)}
    update = {
        "models": manifest.models | {"decoder_general": folder},
        "files": kept | digests,
    }
    write_manifest(root, manifest.model_copy(update=update))
    return load_bundle(root)


def test_features_come_back_as_they_were_put_in(tmp_path: Path) -> None:
    made = features()

    found = load_reference(shipped(tmp_path, made.to_bytes()))

    assert found is not None
    assert np.array_equal(found.mean, made.mean)
    assert np.array_equal(found.deviation, made.deviation)
    assert np.array_equal(found.standard, made.standard)
    assert found.domains == ("CT", "MR")
    assert np.array_equal(found.domain, made.domain)


def test_equal_features_are_equal_bytes() -> None:
    assert features().to_bytes() == features().to_bytes()


def test_a_bundle_may_lack_them(tmp_path: Path) -> None:
    write_bundle(tmp_path)

    assert load_reference(load_bundle(tmp_path)) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "holds no gate features"),
        (b"PK\x03\x04 cut short", "holds no gate features"),
        (features(width=40).to_bytes(), r"features \(12, 40\), not \[n, 80\]"),
    ],
)
def test_what_is_not_features_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BundleInvalid, match=message):
        load_reference(shipped(tmp_path, content))


def test_a_file_with_a_changed_bit_is_read_or_named(tmp_path: Path) -> None:
    whole, named = features().to_bytes(), 0
    bundle = shipped(tmp_path, whole)
    path = bundle.path / bundle.manifest.models["decoder_general"] / FEATURES_FILE

    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            load_reference(bundle)
        except BundleInvalid:
            named += 1

    assert named > len(whole) / 2
