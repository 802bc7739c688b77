"""Start the service, upload the MNI152 T1 average, click three times, show what came of it.

Leaves the mask (NIfTI) and a picture in a folder, prints where the time went and the Dice after
each click, and exits with 1 when anything failed or the Dice is more than 0.05 under the one that
``docs/results.md`` records.
"""

import argparse
import sys
import time
from pathlib import Path

import httpx

from examples.demo.errors import deepest_error, dice
from examples.demo.picture import draw
from examples.demo.report import TOLERANCE, Click, recorded_dice, table
from examples.demo.service import Client, DemoError, running
from examples.demo.structures import (
    CLICKS,
    DEFAULT,
    STRUCTURES,
    load_template,
    reference_mask,
    to_mm,
)
from sammoe.errors import SammoeError

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results.md"


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--structure", choices=STRUCTURES, default=DEFAULT)
    parser.add_argument("--bundle", type=Path, help="bundle folder (default: model_repo/)")
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="folder for the results")
    args = parser.parse_args()
    try:
        return run(args.structure, args.bundle, args.out)
    except (DemoError, SammoeError, OSError, httpx.HTTPError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(name: str, bundle: Path | None, out: Path) -> int:
    """Click on one structure and write everything; 0 if the Dice is good enough, else 1."""
    structure = STRUCTURES[name]
    template = load_template()
    reference = reference_mask(structure, template)
    print("Starting the service ...", end=" ", flush=True)
    began = time.perf_counter()
    with running(bundle) as url, Client(url) as client:
        print(f"ready at {url} ({time.perf_counter() - began:.1f} s)")
        print(f"Uploading {template.path.name} ...", end=" ", flush=True)
        began = time.perf_counter()
        volume = client.upload(template.path)
        size = " x ".join(map(str, volume["shape"]))
        print(f"{size} voxels, {volume['modality']} ({time.perf_counter() - began:.1f} s)")
        print(f"Clicking on the {structure.label}, then at the deepest error\n")
        clicks: list[Click] = []
        place, positive = structure.first_click, True
        while True:
            parent = clicks[-1].answer.id if clicks else None
            answer = client.click(volume["id"], place, positive=positive, parent=parent)
            clicks.append(Click(place, positive, answer, dice(answer.mask, reference)))
            error = deepest_error(answer.mask, reference)
            if len(clicks) == CLICKS or error is None:
                break
            place, positive = to_mm(error[0], template.affine), error[1]
        nifti = client.nifti(clicks[-1].answer.id)
    print(table(clicks), end="\n\n")
    out.mkdir(parents=True, exist_ok=True)
    mask_path, picture_path = out / f"{name}.nii.gz", out / f"{name}.png"
    mask_path.write_bytes(nifti)
    title = f"MNI152 T1, {structure.label}: {len(clicks)} clicks, Dice {clicks[-1].dice:.2f}"
    draw(picture_path, template, reference, clicks, title)
    print(f"mask     {mask_path}\npicture  {picture_path}")
    return judge(name, clicks[-1].dice)


def judge(name: str, reached: float) -> int:
    """Compare with the recorded Dice and say so; the exit code."""
    recorded = recorded_dice(RESULTS, name, CLICKS)
    if recorded is None:
        print(
            f"demo: docs/results.md records no Dice to hold {reached:.3f} against; if that is"
            f" right, add the line demo: {name}, {CLICKS} clicks, {reached:.3f}",
            file=sys.stderr,
        )
        return 1
    print(f"Dice     {reached:.3f}; docs/results.md records {recorded:.3f}")
    if reached < recorded - TOLERANCE:
        print(f"demo: that is more than {TOLERANCE} under the recorded Dice", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
