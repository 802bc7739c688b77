"""A process that writes to a store without end, to be killed at any moment.

After each deed it says on stdout what is promised from then on: a line ``kept <volume id>``,
``gone <volume id>``, ``turn <number>`` (the segmentation ``<argument 2>`` holds at least that
number) or ``answered <number>``.
"""

import sys
from pathlib import Path

import numpy as np

from sammoe.store import LocalStore, StoredResponse
from sammoe.volume.volume import Volume
from tests.records import OWNER, add_volume, fields, segmentation_record, volume_record

SHAPE = (24, 25, 26)


def main(root: Path, first_turn: int) -> None:
    """Write until killed, counting turns from ``first_turn``."""
    store = LocalStore(root)
    home = add_volume(store)
    turn = first_turn
    while True:
        values = np.full(SHAPE, turn % 1000, np.int16)
        record = volume_record(store, shape=SHAPE, file_digest=f"{turn:064x}")
        volume = Volume(values, record.geometry, record.modality, record.modality_source)
        record = record.model_copy(update={"content_digest": volume.content_digest()})
        record = store.volumes.add(record, values)
        say(f"kept {record.id}")
        answer = segmentation_record(store, home, id="0" * 26, voxel_count=turn)
        store.segmentations.put(answer, fields(float(turn)))
        say(f"turn {turn}")
        body = str(turn).encode() * 1000
        store.responses.put(OWNER, f"key {turn}", "digest", StoredResponse(200, {}, body))
        say(f"answered {turn}")
        store.segmentations.put(segmentation_record(store, record), fields(float(turn)))
        if turn % 2:
            store.volumes.delete(OWNER, record.id)
            say(f"gone {record.id}")
        turn += 1


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
