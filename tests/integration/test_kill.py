"""A process killed with SIGKILL at any moment leaves old records or new ones, never half of one."""

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import NotFound
from sammoe.store import LocalStore
from sammoe.volume.volume import Volume
from tests.records import OWNER

ROUNDS = 6
SAME = "0" * 26
"""Id of the segmentation that the writer replaces again and again."""


def write_and_kill(
    root: Path, first_turn: int, deeds: int, seconds: float
) -> list[tuple[str, str]]:
    """Let the writer run for some time after so many deeds; return its promises."""
    command = [
        sys.executable,
        "-m",
        "tests.integration.restless_writer",
        str(root),
        str(first_turn),
    ]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(deeds)]
    time.sleep(seconds)
    writer.kill()
    lines += writer.stdout.readlines()
    writer.stdout.close()
    assert writer.wait(10) == -9, lines
    # The pipe may break off within a line; what was not said in full was not promised.
    promises = [line.split() for line in lines if line.endswith("\n")]
    return [(word, value) for word, value in promises]


def check(root: Path, promises: list[tuple[str, str]]) -> int:
    """Read everything; return the last turn seen."""
    store = LocalStore(root)
    listed = {record.id: record for record in store.volumes.page(OWNER, None, 10_000).items}
    for record in listed.values():
        voxels = store.volumes.voxels(record)
        if voxels.size > 100:
            volume = Volume(voxels, record.geometry, record.modality, record.modality_source)
            assert volume.content_digest() == record.content_digest
        for answer in store.segmentations.page(OWNER, record.id, None, 10_000).items:
            # Reading checks the sums of header and payload.
            read, masks = store.segmentations.with_fields(OWNER, answer.id, record.id)
            if answer.id == SAME:
                np.testing.assert_array_equal(masks["general"].values, read.voxel_count)
    gone = {value for word, value in promises if word == "gone"}
    kept = {value for word, value in promises if word == "kept"} - gone
    assert not gone & listed.keys()
    # At most the volume that was about to be deleted may be missing.
    assert len(kept - listed.keys()) <= 1
    turns = [int(value) for word, value in promises if word == "turn"]
    turn = store.segmentations.get(OWNER, SAME).voxel_count if turns else 0
    assert turn >= max(turns, default=0)
    for word, value in promises:
        if word == "answered":
            response = store.responses.get(OWNER, f"key {value}", "digest")
            assert response is not None
            assert response.body == value.encode() * 1000
    store.close()
    records = root.glob("owners/*/volumes/*/volume.json")
    assert all(record.with_name("voxels.npy").exists() for record in records)
    left = [path for path in root.glob("tmp/*") if path.name != "lock"]
    assert left == []
    return max([turn, *turns])


@pytest.mark.fault("F14")
def test_killed_writer_leaves_no_half_record(tmp_path: Path) -> None:
    chance = random.Random(7)
    promised: list[tuple[str, str]] = []
    turn = 0
    for _ in range(ROUNDS):
        promised += write_and_kill(
            tmp_path, turn + 1, chance.randint(1, 12), chance.uniform(0, 0.02)
        )
        turn = check(tmp_path, promised)
    assert {word for word, _ in promised} == {"kept", "turn", "answered", "gone"}


def test_reader_beside_a_writer_sees_whole_records(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.integration.restless_writer", str(tmp_path), "1"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    writer.stdout.readline()
    store = LocalStore(tmp_path)
    seen: set[int] = set()
    end = time.monotonic() + 60
    while len(seen) < 4 and time.monotonic() < end:
        try:
            record, masks = store.segmentations.with_fields(OWNER, SAME)
        except NotFound:
            continue
        np.testing.assert_array_equal(masks["general"].values, record.voxel_count)
        seen.add(record.voxel_count)
    writer.kill()
    writer.stdout.close()
    writer.wait(10)
    store.close()
    assert len(seen) == 4
