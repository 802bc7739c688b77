"""The documents say what is so: settings, links, the test command."""

import re
from pathlib import Path

import pytest

from sammoe.settings import Settings, env_name, flag

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(
        ROOT / name
        for name in ("README.md", "CHANGELOG.md", "SECURITY.md", "clients/python/README.md")
    ),
    *sorted((ROOT / "docs").glob("*.md")),
]

CLIENTS = {"SAMMOE_API_KEY"}
"""Of those who call the service."""

_LINK = re.compile(r"\]\((?!https?://|/)([^)#]*)(#[^)]*)?\)")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_operations_page(name: str) -> None:
    field = Settings.model_fields[name]
    default = "" if field.get_default() in (None, (), False) else f"`{field.default}`"
    if field.default_factory is not None:
        default = ""
    row = f"| `{flag(name)}` | `{env_name(name)}` | {default} | {field.description} |"

    assert row in (ROOT / "docs" / "operations.md").read_text().splitlines()


def test_the_operations_page_names_no_other_setting() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()

    named = set(re.findall(r"SAMMOE_[A-Z_]+", page))

    assert named - CLIENTS == {env_name(name) for name in Settings.model_fields}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = [match[1] for match in _LINK.finditer(document.read_text())]

    assert [link for link in links if link and not (document.parent / link).exists()] == []


def test_ci_runs_the_test_command_of_the_readme() -> None:
    section = (ROOT / "README.md").read_text().split("\n## Test\n")[1]
    command = re.search(r"```sh\n(.*?)\n```", section, re.DOTALL)
    lines = (ROOT / ".ci" / "run").read_text().splitlines()

    assert command is not None
    assert [line for line in lines if not line.startswith("#")] == [
        f'cd "$(dirname "$0")/.." && exec {command[1]}'
    ]


def test_nothing_names_a_place_of_one_machine() -> None:
    for document in [*DOCUMENTS, ROOT / "Makefile", ROOT / "pyproject.toml"]:
        assert not re.search(r"(?<![\w.:/])/(home|root|tmp|Users|mnt)/", document.read_text()), (
            document
        )


def test_the_threat_model_names_tests_that_are_there() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text()
    named = set(re.findall(r"`(tests/[\w/.]+)`", text))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
