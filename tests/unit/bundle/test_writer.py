from pathlib import Path

import pytest

from sammoe.bundle import add_model, file_digest
from tests.unit.bundle.bundles import write_bundle


def test_a_model_folder_is_named_after_its_files(tmp_path: Path) -> None:
    source = tmp_path / "graph.onnx"
    source.write_bytes(b"graph")

    folder, files = add_model(
        tmp_path / "repo", "gate", {"config.pbtxt": b"text", "1/model.onnx": source}
    )

    assert files == {
        f"{folder}/{inner}": file_digest(tmp_path / "repo" / folder / inner)
        for inner in ("config.pbtxt", "1/model.onnx")
    }
    assert (tmp_path / "repo" / folder / "1" / "model.onnx").read_bytes() == b"graph"
    assert [path.name for path in (tmp_path / "repo").iterdir()] == [folder]


def test_the_same_model_again_repairs_its_folder(tmp_path: Path) -> None:
    folder, _ = add_model(tmp_path, "gate", {"1/model.onnx": b"graph"})
    (tmp_path / folder / "1" / "model.onnx").write_bytes(b"damaged")

    again, _ = add_model(tmp_path, "gate", {"1/model.onnx": b"graph"})

    assert again == folder
    assert (tmp_path / folder / "1" / "model.onnx").read_bytes() == b"graph"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        add_model(tmp_path / "repo", "gate", {"1/model.onnx": tmp_path / "missing"})

    assert list((tmp_path / "repo").iterdir()) == []


def test_the_manifest_is_readable_json_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path)

    text = (tmp_path / "bundle.json").read_text()
    assert text.startswith('{\n  "schema_version": 1,')
    assert type(manifest).model_validate_json(text) == manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["bundle.json", *manifest.models.values()]
    )
