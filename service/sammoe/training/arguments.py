"""What commands ask for alike: what makes no sense is one line before anything is done."""

import argparse
import math


def positive_int(text: str) -> int:
    """1 or more; for ``type=`` of an argument, as all of these.

    Raises
    ------
    argparse.ArgumentTypeError
        It is none.
    """
    return _int(text, 1)


def not_negative_int(text: str) -> int:
    """0 or more; see :func:`positive_int`."""
    return _int(text, 0)


def positive_float(text: str) -> float:
    """Above 0, and finite; see :func:`positive_int`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def add_device(parser: argparse.ArgumentParser) -> None:
    """``--device`` of the networks."""
    parser.add_argument(
        "--device",
        default="auto",
        help="of the networks: cpu, cuda, cuda:1 (default: a GPU, if any)",
    )


def _int(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more, a whole number, not {text!r}")
    return value
