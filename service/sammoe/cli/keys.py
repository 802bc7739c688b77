"""``sammoe keys ACTION``: make, list and revoke API keys in the store."""

import argparse
import re
import sys
from datetime import timedelta
from typing import Final

from sammoe.access import PRINCIPAL, Role, digest_of, has_expired, new_key, parse_projects
from sammoe.cli.assembly import open_store
from sammoe.cli.auditing import audited
from sammoe.cli.store_arguments import add_store_arguments, settings_for
from sammoe.errors import InvalidInput, NotFound
from sammoe.settings import Settings
from sammoe.store import KeyRecord, Store, now

DEFAULT_DAYS: Final = 365.0
_MOST_DAYS: Final = 3650.0

_PREFIX = re.compile(r"(sammoe_)?([0-9a-v]{26})(_.*)?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Actions, and where the store is."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key, and print it once")
    create.add_argument("--principal", required=True, metavar="NAME", help="whose key it is")
    create.add_argument(
        "--role", required=True, choices=[str(role) for role in Role], help="what it may do"
    )
    create.add_argument(
        "--project",
        action="append",
        default=[],
        metavar="NAME[:ROLE]",
        help="a project whose records it shares, perhaps with a lesser role; may be repeated",
    )
    create.add_argument(
        "--days", type=float, default=DEFAULT_DAYS, help="after which it expires; 0: never"
    )
    revoke = actions.add_parser("revoke", help="let a key open nothing any more, within seconds")
    revoke.add_argument("key", metavar="ID", help="as list shows it")
    for action in (create, revoke, actions.add_parser("list", help="show keys, without secrets")):
        add_store_arguments(action)


def run(args: argparse.Namespace) -> int:
    """Do the action, whether or not a service runs on the store."""
    settings = settings_for(args)
    store = open_store(settings.state, settings.store)
    try:
        if args.action == "create":
            _create(args, settings, store)
        elif args.action == "revoke":
            _revoke(args.key, settings, store)
        else:
            _list(store)
    finally:
        store.close()
    return 0


def _create(args: argparse.Namespace, settings: Settings, store: Store) -> None:
    role = Role(args.role)
    projects = parse_projects(args.project, role)
    if not PRINCIPAL.fullmatch(args.principal):
        raise InvalidInput("a principal has up to 64 letters, digits and . _ @ -")
    if projects is None or not all(role.includes(there) for there in projects.values()):
        raise InvalidInput("a project is NAME or NAME:ROLE, with no higher role than the key's")
    if not 0 <= args.days <= _MOST_DAYS:
        raise InvalidInput(f"a key lasts for up to {_MOST_DAYS:.0f} days, or 0: for ever")
    created, name = now(), store.new_id()
    key = new_key(name)
    record = KeyRecord(
        id=name,
        owner=args.principal,
        created=created,
        digest=digest_of(key).hex(),
        role=role.value,
        projects={project: there.value for project, there in projects.items()},
        expires=created + timedelta(days=args.days) if args.days else None,
    )
    with audited(settings, "key.create", key=name, owner=args.principal, role=role.value):
        store.keys.add(record)
    place = settings.store or settings.state.resolve()
    print(f"a key of {args.principal} ({role}) in {place}; it is shown once:", file=sys.stderr)
    print(key)


def _revoke(key: str, settings: Settings, store: Store) -> None:
    found = _PREFIX.fullmatch(key)
    name = "" if found is None else found[2]
    with audited(settings, "key.revoke", key=name) as objects:
        if found is None:
            raise NotFound("There is no such key.")
        objects["owner"] = store.keys.revoke(name).owner
    print(f"{name} revoked")


def _list(store: Store) -> None:
    for record in sorted(store.keys.look().values(), key=lambda record: record.id):
        projects = ",".join(f"{name}:{role}" for name, role in record.projects.items()) or "-"
        until = "never" if record.expires is None else f"{record.expires:%Y-%m-%d}"
        print(
            f"{record.id}  {record.owner}  {record.role}  {projects}"
            f"  made {record.created:%Y-%m-%d}  expires {until}  {_state(record)}"
        )


def _state(record: KeyRecord) -> str:
    if record.revoked:
        return "revoked"
    return "expired" if has_expired(record) else "good"
