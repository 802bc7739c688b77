"""What a DICOM reader handled, in words: numbers, but nothing of the patient's."""

from sammoe.volume.notes import ReadingNote


def files_left_out(count: int) -> ReadingNote:
    """Files of other kinds lay beside."""
    return ReadingNote("files_left_out", f"{count} file(s) are no DICOM and were left out.")


def objects_left_out(count: int) -> ReadingNote:
    """Reports, plans, segmentations lay beside."""
    return ReadingNote(
        "objects_left_out", f"{count} DICOM object(s) are no images of a scan and were left out."
    )


def localizers_left_out(count: int) -> ReadingNote:
    """Overview images were in the series."""
    return ReadingNote("localizers_left_out", f"{count} localizer(s) were left out.")


def duplicates_left_out(count: int) -> ReadingNote:
    """The same file came more than once."""
    return ReadingNote("duplicates_left_out", f"{count} file(s) came twice; one of each was used.")


def gantry_tilt(degrees: float) -> ReadingNote:
    """The slices are sheared against their normal, and so is the affine."""
    return ReadingNote(
        "gantry_tilt",
        f"The gantry was tilted by {degrees:.1f} degrees: the volume's axes are not at right "
        "angles.",
    )


def no_uids() -> ReadingNote:
    """The series can not be referred to."""
    return ReadingNote(
        "uids_missing",
        "UIDs of the study, series or images are missing: results can not be written as DICOM.",
    )


def lossy() -> ReadingNote:
    """Pixels are not what the scanner measured."""
    return ReadingNote("lossy_compression", "The images were compressed with loss.")


def inverted() -> ReadingNote:
    """MONOCHROME1, and values turned round."""
    return ReadingNote(
        "monochrome1_inverted", "The images are stored inverted (MONOCHROME1) and were turned back."
    )


def kept() -> ReadingNote:
    """MONOCHROME1, and values that are right as they are."""
    return ReadingNote(
        "monochrome1_kept",
        "The images are to be shown inverted (MONOCHROME1); their values are Hounsfield units.",
    )
