"""How well a bundle segments: simulated users, the served way of a click, and tables."""

from sammoe.training.evaluation.metrics import Mask, dice, surface_dice
from sammoe.training.evaluation.users import (
    Index,
    Session,
    User,
    bounding_box,
    box_score,
    filled_box_score,
    interact,
)

__all__ = [
    "Index",
    "Mask",
    "Session",
    "User",
    "bounding_box",
    "box_score",
    "dice",
    "filled_box_score",
    "interact",
    "surface_dice",
]
