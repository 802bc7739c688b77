"""Classes that an expert was trained for by name, counted as general ones for their scans' look."""

from collections import Counter
from collections.abc import Iterable

from sammoe.bundle import Manifest
from sammoe.training.datasets import HOW_TO_SAY, Case
from sammoe.training.telling import tell
from sammoe.volume.volume import Modality


def tell_of_namesakes(
    manifest: Manifest, cases: Iterable[Case], general: Iterable[tuple[str, str, str]]
) -> None:
    """Warn where `expert_of` went by a guess: the data set does not say the scans' modality.

    Parameters
    ----------
    cases
        All that were looked at.
    general
        Data set, patient and class of what was counted as general.
    """
    guessed = {(c.dataset, c.patient) for c in cases if c.modality is Modality.UNKNOWN}
    counts = Counter(
        (dataset, name) for dataset, who, name in set(general) if (dataset, who) in guessed
    )
    for (dataset, name), count in sorted(counts.items()):
        for expert in manifest.experts:
            if name in expert.classes:
                tell(
                    f"{dataset}: {name} counts as a general class (patients: {count}), though the"
                    f" expert {expert.name} is for it: the scans do not look like"
                    f" {' or '.join(expert.modalities)}. If they are, say it {HOW_TO_SAY}; then"
                    " start anew, with another --out"
                )
