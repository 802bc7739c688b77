"""Write a software bill of materials: ``python -m scripts.sbom [FILE]``.

CycloneDX 1.6, by default in ``out/sbom.cdx.json``: the packages of ``requirements/serve.lock`` with
the hashes of their files and their licences, and the weights of ``model_repo`` with the digest of
each file, licence and training data. Checked against CycloneDX's own schema; the same tree gives
the same bytes.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sammoe import __version__
from sammoe.bundle import Bundle, load_bundle
from scripts.locked import Pin, pins
from scripts.soup import LOCK, ROOT, licence

WEIGHTS: Final = ROOT / "model_repo"


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "sbom.cdx.json"
    told = bill()
    check(told)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"{path}: {len(told['components'])} components")
    return 0


def bill() -> dict[str, Any]:
    """The whole bill."""
    packages = [_package(pin) for pin in pins(LOCK)]
    bundle = load_bundle(WEIGHTS)
    models = list(_models(bundle))
    ours = f"pkg:pypi/sam-med3d-moe@{__version__}"
    references = [component["bom-ref"] for component in (*packages, *models)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "sam-med3d-moe",
                "version": __version__,
                "bom-ref": ours,
                "purl": ours,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [*packages, *models],
        "dependencies": [{"ref": ours, "dependsOn": references}, *_dependencies()],
    }


def check(told: dict[str, Any]) -> None:
    """Raise where a bill is not what CycloneDX's schema says."""
    faults = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(told))
    if faults is not None:
        raise ValueError(f"the bill of materials does not fit its schema: {faults}")


def _package(pin: Pin) -> dict[str, Any]:
    name = f"pkg:pypi/{pin.name}@{pin.version}"
    component: dict[str, Any] = {
        "type": "library",
        "name": pin.name,
        "version": pin.version,
        "bom-ref": name,
        "purl": name,
        # One of these is installed, by platform; pip refuses every other file.
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{pin.name}/{pin.version}/",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.hashes],
            }
        ],
    }
    if (told := licence(pin.name)) != "-":
        component["licenses"] = [{"license": {"name": told}}]
    return component


def _dependencies() -> Iterator[dict[str, Any]]:
    found = list(pins(LOCK))
    names = {pin.name: f"pkg:pypi/{pin.name}@{pin.version}" for pin in found}
    for name, reference in names.items():
        needs = sorted(names[pin.name] for pin in found if name in _plain(pin))
        yield {"ref": reference, "dependsOn": needs}


def _plain(pin: Pin) -> set[str]:
    """Names of who needs it, without their extras."""
    return {by.partition("[")[0] for by in pin.needed_by}


def _models(bundle: Bundle) -> Iterator[dict[str, Any]]:
    manifest = bundle.manifest
    for plain, folder in manifest.folders.items():
        files = {path: d for path, d in manifest.files.items() if path.startswith(f"{folder}/")}
        expert = next((e for e in manifest.experts if plain.endswith(e.name)), None)
        terms = manifest.provenance.licence if expert is None else expert.licence
        data = manifest.provenance.training_data if expert is None else expert.training_data
        yield {
            "type": "machine-learning-model",
            "name": f"{manifest.name}/{plain}",
            "version": folder.rpartition("-")[2],
            "bom-ref": f"weights/{folder}",
            "description": f"trained on: {data}",
            "licenses": [{"license": {"name": terms}}],
            "components": [
                {
                    "type": "file",
                    "name": path,
                    "bom-ref": f"weights/{path}",
                    "hashes": [{"alg": "SHA-256", "content": digest}],
                }
                for path, digest in files.items()
            ],
        }


if __name__ == "__main__":
    sys.exit(main())
