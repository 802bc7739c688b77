"""Writing what was fetched."""

import gzip
from os import PathLike
from pathlib import Path


def write(path: str | PathLike[str], content: bytes) -> Path:
    """Write a file whole: there is never half of it under its name."""
    target = Path(path)
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(content)
    return part.replace(target)


def write_nifti(path: str | PathLike[str], content: bytes) -> Path:
    """Write what came as .nii.gz; unpacked, where the name does not end in .gz."""
    zipped = Path(path).suffix == ".gz"
    return write(path, content if zipped else gzip.decompress(content))
