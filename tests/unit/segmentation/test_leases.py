"""Leases: signs of life beside prompts, ends that stay ends, records that nobody can read."""

from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from sammoe.audit import AuditLog, Deeds
from sammoe.errors import AuditUnavailable, LeaseGone, NoLeaseFree, NotFound
from sammoe.segmentation import Leases, LeaseTerms, Workspace
from sammoe.store import DrawnRecord, LocalStore, VolumeRecord
from tests.unit.audit.test_log import said
from tests.unit.segmentation.conftest import OWNER

DRAWN = DrawnRecord(segmentation="x")


async def test_a_sign_of_life_takes_no_prompt_back(workspace: Workspace) -> None:
    leases = Leases(workspace, LeaseTerms(liveness=1e-9))
    token = await leases.claim(OWNER)
    name = token[:26]
    record = workspace.store.leases.get(name)
    await leases.use(record, drawn=DRAWN)
    # The heartbeat of a viewer that had read the record before.
    workspace.store.leases.touch(name)
    kept = workspace.store.leases.get(name)
    assert kept.drawn == DRAWN
    assert kept.seen > record.seen


async def test_what_has_ended_does_not_come_back(
    workspace: Workspace, volume: VolumeRecord
) -> None:
    leases = Leases(workspace)
    record = await leases.find(OWNER, await leases.claim(OWNER))
    record = await leases.use(record, volume_id=volume.id)
    await leases.end(record)
    with pytest.raises(LeaseGone):
        await leases.use(record, drawn=DRAWN)
    workspace.store.leases.touch(record.id)
    assert workspace.store.leases.ids() == []
    with pytest.raises(NotFound):
        await workspace.volumes.get(OWNER, volume.id)
    await leases.end(record)


async def test_a_lease_goes_with_its_scan(workspace: Workspace, volume: VolumeRecord) -> None:
    leases = Leases(workspace)
    token = await leases.claim(OWNER)
    await leases.use(await leases.find(OWNER, token), volume_id=volume.id)
    await workspace.volumes.delete(OWNER, volume.id)
    with pytest.raises(LeaseGone):
        await leases.find(OWNER, token)


async def test_a_lease_that_can_not_be_read_stops_nobody(
    workspace: Workspace, store: LocalStore, volume: VolumeRecord
) -> None:
    leases = Leases(workspace, LeaseTerms(leases=1))
    record = await leases.find(OWNER, await leases.claim(OWNER))
    store.leases._files.write(f"leases/{record.id}.json", [b'{"schema_version": 99}'])
    await leases.claim(OWNER)
    await workspace.volumes.delete(OWNER, volume.id)
    with pytest.raises(NoLeaseFree):
        await leases.claim(OWNER)


@pytest.mark.fault("F16")
@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_is_set_ends_no_lease(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    class Set(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Set":
            return cls.fromtimestamp((datetime.now(tz) + timedelta(hours=hours)).timestamp(), tz)

    leases = Leases(workspace)
    token = await leases.claim(OWNER)
    monkeypatch.setattr("sammoe.store.records.base.datetime", Set)
    record = await leases.find(OWNER, token)
    assert 500 < leases.remaining(record) <= leases.terms.idle
    assert await leases.sweep() == 1


async def test_the_log_tells_of_a_lease_that_nobody_used(
    workspace: Workspace, volume: VolumeRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path / "audit")
    leases = Leases(workspace, LeaseTerms(idle=-1.0), Deeds(log))
    token = await Leases(workspace).claim(OWNER)
    await leases.use(workspace.store.leases.get(token[:26]), volume_id=volume.id)
    with monkeypatch.context() as broken:
        broken.setattr(AuditLog, "works", False)
        with pytest.raises(AuditUnavailable):
            await leases.sweep()
    assert await workspace.volumes.get(OWNER, volume.id) == volume
    assert await leases.sweep() == 0
    assert await leases.sweep() == 0
    log.close()
    (line,) = said(log.folder)[1:]
    assert (line["action"], line["outcome"]) == ("viewer.release", "success")
    assert line["who"] == {"principal": "service", "via": "service"}
    assert line["objects"] == {"volume": volume.id, "owner": OWNER}
