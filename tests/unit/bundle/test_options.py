import argparse
from pathlib import Path

import pytest

from sammoe.bundle import Code
from sammoe.bundle.options import code_option, folder_option


def test_a_code_is_scheme_value_and_meaning() -> None:
    assert code_option("SCT:10200004:Liver") == Code(
        scheme="SCT", value="10200004", meaning="Liver"
    )
    assert code_option("99X:1:a: b").meaning == "a: b"


@pytest.mark.parametrize("text", ["", "Liver", "SCT:10200004", "SCT::Liver", ":1:Liver", "SCT:1:"])
def test_a_code_with_a_part_missing_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not SCHEME:VALUE:MEANING"):
        code_option(text)


def test_a_folder_may_be_there_or_not(tmp_path: Path) -> None:
    assert folder_option(str(tmp_path)) == tmp_path
    assert folder_option(str(tmp_path / "new")) == tmp_path / "new"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "scan.nii").touch()
    with pytest.raises(argparse.ArgumentTypeError, match="is a file: name a folder"):
        folder_option(str(tmp_path / "scan.nii"))
