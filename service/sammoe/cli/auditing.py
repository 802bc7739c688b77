"""The audit log of a process: of the service, or of a command that an administrator runs."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sammoe import __version__
from sammoe.audit import AuditLog, AuditOptions, Event, Sealer, Who
from sammoe.errors import SammoeError
from sammoe.settings import Settings


def open_audit(settings: Settings) -> AuditLog | None:
    """The log that the settings name; None where they want none. Blocks.

    Raises
    ------
    SettingsInvalid
        Its key can not be used.
    AuditUnavailable
        It can not be written, and the settings let nothing be changed then.
    """
    if settings.audit == "off":
        return None
    options = AuditOptions(
        sealer=Sealer.from_file(settings.audit_key_file),
        uids=settings.audit_uids,
        rotate_bytes=settings.audit_rotate_mib << 20,
        fails_open=settings.audit == "open",
    )
    return AuditLog(settings.audit_log, options)


@asynccontextmanager
async def auditing(settings: Settings) -> AsyncIterator[AuditLog | None]:
    """The service's log while the context lasts; begins and ends with lines that say so."""
    log = await asyncio.to_thread(open_audit, settings)
    if log is None:
        yield None
        return
    told = {"program": __version__}
    log.add(Event("service.start", "success", _somebody(), told))
    try:
        yield log
    finally:
        log.add(Event("service.stop", "success", _somebody(), told))
        await asyncio.to_thread(log.close)


@contextmanager
def audited(
    settings: Settings, action: str, **objects: str | int
) -> Iterator[dict[str, str | int]]:
    """Tell the log of a command, and whether it did what it should.

    Yields
    ------
    What it is about, to be added to.
    """
    log = open_audit(settings)
    if log is None:
        yield objects
        return
    try:
        yield objects
    except BaseException as error:
        code = {"code": error.code} if isinstance(error, SammoeError) else {}
        log.add(Event(action, "failed", _somebody(), objects, code))
        raise
    else:
        log.add(Event(action, "success", _somebody(), objects))
    finally:
        log.close()


@contextmanager
def audited_if_kept(action: str) -> Iterator[dict[str, str | int]]:
    """`audited`, for a command that works on no state: where the environment names a log or a
    state folder, or there is one already.
    """
    settings = Settings.load()
    if {"audit_folder", "state"} & settings.model_fields_set or settings.audit_log.is_dir():
        with audited(settings, action) as objects:
            yield objects
    else:
        yield {}


def _somebody() -> Who:
    """Who runs this process."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # nobody of that number has a name here
        name = str(os.getuid())
    return Who(name, "command")
