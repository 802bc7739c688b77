"""What commands warn of: a line on stderr."""

import os
import sys
from functools import cache


@cache
def tell(text: str) -> None:
    """Print a line on stderr: once, however often it is told, and by one process of torchrun's."""
    if os.environ.get("RANK", "0") == "0":
        print(text, file=sys.stderr)
