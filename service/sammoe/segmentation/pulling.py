"""What is asked for from a PACS."""

from dataclasses import dataclass

from sammoe.segmentation.adding import ModalityAsked


@dataclass(frozen=True, slots=True, repr=False)
class Pull:
    """A series to add.

    Attributes
    ----------
    study, series
        Its UIDs.
    server
        Name of the DICOMweb server; None: the default one.
    modality
        What the principal says it is.
    project
        Whose members shall see it.
    """

    study: str
    series: str
    server: str | None = None
    modality: ModalityAsked = "auto"
    project: str | None = None
