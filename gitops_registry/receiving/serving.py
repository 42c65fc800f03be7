"""A connection over SSH: whether a key may read or push, asked before git runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.git.repository import Repository
from gitops_registry.receiving import doors, records
from gitops_registry.receiving.pushes import ROOT, Pusher
from gitops_registry.receiving.updates import Refusal
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import ANCHOR


def admit(door: Path, key: str, command: str, *, account: str, now: datetime) -> tuple[str, Path]:
    """Return the service of git that a key may use now, and of which repository.

    `door` is the file of keys that let it in; only the repositories that it names are behind it. Raises RegistryError where
    the key may use none. That is written down where it knocked, or behind the whole door where nobody can say where.
    """
    behind = doors.repositories(door)
    asked = behind
    try:
        service, folder = doors.asked_for(command)
        if folder not in behind:
            raise RegistryError("there is no such repository behind this door", hint="look at its path: git remote -v")
        asked = [folder]
        _refuse_key(Repository.open(folder), key, service, now)
    except RegistryError as error:
        for path in asked:
            reason = Refusal("connection", error.message, error.hint, command)
            records.refused(Repository.open(path), [], Pusher(key, account), [reason], now=now)
        raise
    return service, folder


def _refuse_key(repository: Repository, key: str, service: str, now: datetime) -> None:
    tip = repository.tip(f"refs/heads/{repository.config(ANCHOR)}")
    if tip is None:
        if key == repository.config(ROOT):
            return
        raise RegistryError(
            "there is no registry here yet, and another key starts it", hint="ask whoever runs the server"
        )
    access = Snapshot(repository.source(tip)).access
    owned = [(m, k) for m in (access.members if access else ()) for k in m.keys if k.public.fingerprint == key]
    hint = "an administrator lets you in: gitops-registry access add, or access rotate-key"
    if access is None or not owned:
        raise RegistryError(f"the key {key} is no member's", hint=hint)
    member, found = owned[0]
    if not found.is_good(now):
        raise RegistryError(f"this key of {member.name} is {'revoked' if found.revoked else 'expired'}", hint=hint)
    wanted = "write" if service == "git-receive-pack" else "read"
    if not access.may(member, "write") and (wanted == "write" or not access.may(member, "read")):
        raise RegistryError(f"{member.name} may not {wanted} here", hint=hint)
