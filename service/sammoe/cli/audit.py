"""``sammoe audit ACTION``: check the audit log, and look things up in it."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from sammoe.audit import Heads, Sealer, Verdict, verify
from sammoe.audit.chains import chains_in, files_of, lines_of
from sammoe.audit.seals import read_line
from sammoe.errors import InvalidInput, SettingsInvalid
from sammoe.settings import Settings, env_name

BROKEN: Final = 1
"""Exit code where lines were changed, removed or added; 2 where that could not be checked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Actions, and where the log is."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser(
        "verify", help="check every line: exit code 0 whole, 1 broken, 2 not checked"
    )
    _add_place(check)
    check.add_argument(
        "--anchor",
        type=Path,
        metavar="FILE",
        help="file, kept elsewhere, with the last lines that were seen: they must still be there;"
        " those of now are written into it",
    )
    check.add_argument(
        "--archived", action="store_true", help="the first files of a chain may be missing"
    )
    show = actions.add_parser("list", help="print the lines of a study, a volume or a principal")
    _add_place(show)
    show.add_argument("--study", metavar="UID", help="StudyInstanceUID")
    show.add_argument("--volume", metavar="ID", help="a volume's id")
    show.add_argument("--principal", metavar="NAME", help="who did it")


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    given = {"state": args.state, "audit_folder": args.audit_folder}
    given["audit_key_file"] = args.audit_key_file
    settings = Settings.load({name: value for name, value in given.items() if value is not None})
    act: Callable[[argparse.Namespace, Path, Sealer], int]
    act = _verify if args.action == "verify" else _list
    return act(args, settings.audit_log, Sealer.from_file(settings.audit_key_file))


def _add_place(parser: argparse.ArgumentParser) -> None:
    for name, what in (
        ("state", "folder for volumes and segmentations, as for serve"),
        ("audit_folder", "folder of the audit log, as for serve"),
        ("audit_key_file", "file with its key, as for serve"),
    ):
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=Path, help=f"{what} [env {env_name(name)}]")


def _verify(args: argparse.Namespace, folder: Path, sealer: Sealer) -> int:
    known = {} if args.anchor is None else _read_anchor(args.anchor)
    verdict = verify(folder, sealer, known, archived=args.archived)
    for finding in verdict.notes:
        print(f"note: {finding.place}: {finding.says}")
    for finding in verdict.breaks:
        print(f"BROKEN: {finding.place}: {finding.says}")
    for chain, (n, seal) in sorted(verdict.heads.items()):
        print(f"{chain}: {n} lines, the last has seal {seal[:16]}")
    if verdict.breaks:
        print(f"{folder}: BROKEN at {len(verdict.breaks)} place(s)")
        return BROKEN
    if args.anchor is not None:
        _write_anchor(args.anchor, verdict)
    print(f"{folder}: whole; {verdict.lines} lines in {len(verdict.heads)} chain(s), {sealer.name}")
    return 0


def _read_anchor(path: Path) -> Heads:
    try:
        found = json.loads(path.read_bytes())
        return {str(chain): (int(n), str(seal)) for chain, (n, seal) in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        raise SettingsInvalid(f"{path} is no anchor that sammoe audit verify wrote") from None


def _write_anchor(path: Path, verdict: Verdict) -> None:
    new = path.with_suffix(f"{path.suffix}.new")
    new.write_text(json.dumps(verdict.heads, indent=1) + "\n")
    new.replace(path)


def _list(args: argparse.Namespace, folder: Path, sealer: Sealer) -> int:
    wanted = {"volume": args.volume} if args.volume else {}
    studies = set() if args.study is None else {args.study, sealer.pseudonym(args.study)}
    if not (wanted or studies or args.principal):
        raise InvalidInput("say --study, --volume or --principal")
    found = [
        said
        for said in _lines(folder)
        if _fits(said.get("objects", {}), wanted, studies)
        and args.principal in (None, said.get("who", {}).get("principal"))
    ]
    for said in sorted(found, key=lambda said: str(said.get("time"))):
        print(json.dumps(said))
    return 0


def _fits(objects: dict[str, Any], wanted: dict[str, str], studies: set[str]) -> bool:
    same = all(objects.get(kind) == name for kind, name in wanted.items())
    return same and (not studies or objects.get("study") in studies)


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for chain in chains_in(folder):
        for file in files_of(chain):
            for _, text in lines_of(file):
                line = read_line(text.removesuffix(b"\n"))
                if line is not None:
                    yield dict(line.said)
