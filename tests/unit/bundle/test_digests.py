import hashlib
from pathlib import Path

from sammoe.bundle import file_digest, folder_digest, folder_name
from sammoe.bundle.digests import is_folder_name


def test_file_digest_reads_beyond_one_piece(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)

    assert file_digest(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_folder_digest_is_that_of_sha256sum_lines_in_path_order() -> None:
    files = {"config.pbtxt": "b" * 64, "1/model.onnx": "a" * 64}
    lines = f"{'a' * 64}  1/model.onnx\n{'b' * 64}  config.pbtxt\n"

    assert folder_digest(files) == hashlib.sha256(lines.encode()).hexdigest()
    assert folder_name("gate", files) == "gate-" + folder_digest(files)[:12]


def test_folder_names_are_plain_name_and_digest() -> None:
    assert is_folder_name("gate", "gate-0123456789ab")
    assert not is_folder_name("gate", "gate-0123456789AB")
    assert not is_folder_name("gate", "gates-0123456789ab")
    assert not is_folder_name("g.te", "gate-0123456789ab")
