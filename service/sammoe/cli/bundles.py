"""Which bundle a command uses when none is named."""

from sammoe.bundle.finding import FOLDER, find_bundle

__all__ = ["FOLDER", "find_bundle"]
