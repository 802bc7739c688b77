import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sammoe.bundle import add_model, file_digest
from sammoe.bundle.writer import put
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


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file can grow beyond ``size`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 1000])
@pytest.mark.parametrize("copied", [True, False])
def test_a_full_disk_is_named_and_not_what_is_copied(
    tmp_path: Path, size: int, *, copied: bool
) -> None:
    root, source, content = tmp_path / "repo", tmp_path / "model.onnx", bytes(100_000)
    source.write_bytes(content)
    with room(size), pytest.raises(OSError, match="File too large") as caught:
        add_model(root, "gate", {"1/model.onnx": source if copied else content})
    assert (caught.value.filename, caught.value.filename2) == (str(root), None)
    assert list(root.iterdir()) == []


def test_a_manifest_without_room_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    with room(10), pytest.raises(OSError, match="File too large") as caught:
        put(path, bytes(1000))
    assert caught.value.filename == str(path)


def test_the_manifest_is_readable_json_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path)

    text = (tmp_path / "bundle.json").read_text()
    assert text.startswith('{\n  "schema_version": 1,')
    assert type(manifest).model_validate_json(text) == manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["bundle.json", *manifest.models.values()]
    )
