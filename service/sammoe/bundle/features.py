"""Gate features of label-free random prompts: what a general model's prompts look like to a gate.

They ship with the general decoder, in its folder. A new expert's head learns from them what is not
its own, and serving measures against them how far a prompt is from everything seen.
"""

import io
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle.bundle import Bundle
from sammoe.bundle.manifest import GENERAL_DECODER
from sammoe.errors import BundleInvalid
from sammoe.files import NPZ_DAMAGE

FEATURES_FILE = "gate_features.npz"
"""In the general decoder's folder."""

_STEPS = 16  # of the stored integers per standard deviation: they end at 8 deviations


@dataclass(frozen=True, eq=False)
class ReferenceFeatures:
    """Standardised gate features of n random prompts.

    Attributes
    ----------
    mean, deviation
        float32 [F]: of the raw features, per feature; they never change for a general model.
    standard
        float32 [n, F]: (features - mean) / deviation, rounded to 1/16, within +-8.
    domains
        Names of the image domains that the prompts were drawn from.
    domain
        int [n]: index into ``domains``.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    standard: NDArray[np.float32]
    domains: tuple[str, ...]
    domain: NDArray[np.int64]

    @classmethod
    def of(
        cls, features: NDArray[np.float32], domains: tuple[str, ...], domain: NDArray[Any]
    ) -> Self:
        """Standardise raw features float32 [n, F]."""
        mean, deviation = features.mean(0), np.maximum(features.std(0), 1e-4)
        standard = np.clip(np.rint((features - mean) / deviation * _STEPS), -127, 127) / _STEPS
        return cls(mean, deviation, standard.astype(np.float32), domains, domain.astype(np.int64))

    def to_bytes(self) -> bytes:
        """The file's content: equal features, equal bytes, with one zlib."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            mean=self.mean,
            deviation=self.deviation,
            standard=np.rint(self.standard * _STEPS).astype(np.int8),
            domains=np.array(self.domains),
            domain=self.domain.astype(np.uint8),
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what :meth:`to_bytes` wrote; ``ValueError`` or ``KeyError`` for anything else."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return cls(
                file["mean"],
                file["deviation"],
                file["standard"].astype(np.float32) / np.float32(_STEPS),
                tuple(file["domains"].tolist()),
                file["domain"].astype(np.int64),
            )


def load_reference(bundle: Bundle) -> ReferenceFeatures | None:
    """The features that ship with a bundle's general decoder; ``None`` where none do.

    Raises
    ------
    BundleInvalid
        The file is damaged, or its features have another length than the bundle's.
    """
    name = f"{bundle.manifest.models[GENERAL_DECODER]}/{FEATURES_FILE}"
    if name not in bundle.manifest.files:
        return None
    path = bundle.path / name
    try:
        reference = ReferenceFeatures.from_bytes(path.read_bytes())
    except NPZ_DAMAGE as error:
        raise BundleInvalid(f"{path} holds no gate features: {error}") from error
    wanted = bundle.manifest.model.gate_features
    if reference.standard.shape[1:] != (wanted,):
        raise BundleInvalid(f"{path} holds features {reference.standard.shape}, not [n, {wanted}]")
    return reference
