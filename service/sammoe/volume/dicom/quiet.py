"""pydicom's opinions of odd headers quote them, so what it says would hold a patient's data."""

from pydicom import config


def keep_quiet() -> None:
    """Let pydicom take values as they are, without a word, in this whole process.

    A header that breaks a rule was so when it came: what is copied from it is neither better nor
    worse.
    """
    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE
