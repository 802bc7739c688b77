"""What the images run, read from Dockerfile, docker-compose.yml and docker-compose.cpu.yml."""

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
COMPOSE: Final = ROOT / "docker-compose.yml"
COMPOSE_CPU: Final = ROOT / "docker-compose.cpu.yml"

RESET: Final = "!reset"
"""Stands for a value that a file over another takes away."""


@dataclass
class Stage:
    """One stage of the Dockerfile: its image, variables, user, and what it runs."""

    image: str
    variables: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


@cache
def stages() -> dict[str, Stage]:
    """Name -> stage, in order."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: dict[str, Stage] = {}
    stage = Stage("")
    for line in re.sub(r"\\\n", " ", text).splitlines():
        word, _, rest = line.partition(" ")
        match word:
            case "FROM":
                image, _, name = rest.partition(" AS ")
                stage = found[name] = Stage(image)
            case "ENV":
                stage.variables |= dict(re.findall(r"(\w+)=(\S+)", rest))
            case "USER":
                stage.user = rest
            case "ENTRYPOINT":
                stage.entrypoint = json.loads(rest)
            case "CMD":
                stage.command = json.loads(rest)
            case "HEALTHCHECK":
                stage.health = json.loads(rest.partition("CMD ")[2])
    return found


def compose(path: Path = COMPOSE) -> dict[str, Any]:
    """A compose file, its anchors resolved."""
    document: dict[str, Any] = yaml.load(path.read_text(), _Loader)
    return document


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Knows the tag by which one file takes away what another has."""


_Loader.add_constructor(RESET, lambda loader, node: RESET)
