"""What a bundle says about itself beyond its weights."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sammoe.bundle import Provenance, Routing, WindowSettings
from sammoe.errors import CheckpointInvalid

_KEY = "release"


class Release(BaseModel):
    """Name, windows, routing and provenance, as in the manifest; travels inside a checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    window: WindowSettings
    provenance: Provenance
    routing: Routing = Routing()

    def to_metadata(self) -> dict[str, str]:
        """For :func:`sammoe.model.checkpoint.save_checkpoint`."""
        return {_KEY: self.model_dump_json()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """Read back what :meth:`to_metadata` wrote.

        Raises
        ------
        CheckpointInvalid
            The metadata hold no release, or a malformed one.
        """
        if _KEY not in metadata:
            raise CheckpointInvalid(
                "the checkpoint does not say how its windows are cut: it was not written by sammoe"
                " train; use sammoe import for official weights"
            )
        try:
            return cls.model_validate_json(metadata[_KEY])
        except ValidationError as error:
            raise CheckpointInvalid(f"the checkpoint's release is malformed: {error}") from error


def official_windows() -> WindowSettings:
    """Windows of SAM-Med3D's weights: 128^3 voxels of 1.5 mm, linear resampling, CT clamped to
    [-1000, 1000] HU, z-normalised over the window's voxels > 0."""
    return WindowSettings(
        side=128,
        patch=16,
        spacings=(1.5,),
        default_spacing={"CT": 1.5, "MR": 1.5, "unknown": 1.5},
        antialias=False,
        preprocessing_version=1,
    )
