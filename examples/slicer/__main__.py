"""Run the code of a 3D Slicer module without Slicer's window, and take a picture of its views.

Slicer itself is on no package registry, but its libraries are: scene, volumes, segmentations and
slice views. What its window adds, buttons and dialogs, is stood in for; what a module reads, sends
and writes into the scene is the module's own code. Needs a running service, and a Python of its
own, up to 3.12::

    python -m venv .venv-slicer
    .venv-slicer/bin/pip install "trame-slicer[standalone]" nninteractive-client requests SimpleITK
    .venv-slicer/bin/python -m examples.slicer monailabel FOLDER http://127.0.0.1:8000 a.png
    .venv-slicer/bin/python -m examples.slicer nninteractive FOLDER http://127.0.0.1:8000 b.png

FOLDER is that of the module's own files: ``monailabel/plugins/slicer/MONAILabel`` of MONAI Label's
wheel, ``slicer_plugin/SlicerNNInteractive`` of SlicerNNInteractive. Ends with an error when a mask
is not where it was asked for.
"""

import argparse
import sys
from pathlib import Path

from examples.slicer import monailabel, nninteractive
from examples.slicer.scene import Scene
from examples.slicer.window import stand_in

SAMPLE = Path(__file__).resolve().parents[2] / "clients/viewer/public/sample.nii.gz"
RUNS = {"monailabel": monailabel.run, "nninteractive": nninteractive.run}


def main() -> int:
    """Run one module; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", choices=RUNS)
    parser.add_argument("folder", type=Path, help="of the module's own files")
    parser.add_argument("url", help="of the service")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--scan", type=Path, default=SAMPLE, help="the sample, stored in any way")
    args = parser.parse_args()
    scene = Scene(args.scan)
    stand_in(scene)
    sys.path.insert(0, str(args.folder))
    RUNS[args.module](scene, args.url.rstrip("/"))
    scene.picture(args.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
