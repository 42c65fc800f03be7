"""`hook install`: a bare repository that takes pushes as a registry's server, and the keys that open it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitops_registry import paths
from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.git import graph
from gitops_registry.git.repository import Repository
from gitops_registry.manifest.keys import public_key
from gitops_registry.manifest.members import Access
from gitops_registry.receiving import doors
from gitops_registry.receiving.pushes import ROOT, UNSEEN_BYTES
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import ANCHOR

KEYS_FILE = "gitops-registry.authorizedKeys"
ROOT_KEY = "gitops-registry.rootKey"
_HOOKS = ("pre-receive", "post-receive")
_MARK = "# Written by gitops-registry hook install, and written anew by the next one."
_CONFIG = {
    "receive.fsckObjects": "true",
    "receive.denyNonFastForwards": "true",
    "receive.autogc": "true",
    "core.logAllRefUpdates": "true",
    "transfer.hideRefs": "refs/gitops-registry",
}
_LARGEST_PUSH = "1g"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True)
class Installed:
    """A server's repository: where decisions land, whose key starts it, what was written, and where it is a boundary."""

    path: Path
    branch: str
    root: str
    files: tuple[str, ...]
    is_boundary: bool
    notes: tuple[str, ...] = field(default=())


def install(
    path: Path,
    *,
    root: str = "",
    branch: str = "",
    authorized_keys: Path | None = None,
    is_blind: bool = False,
    dry_run: bool = False,
) -> Installed:
    """Let a bare repository judge every push before it takes it.

    `root`: the fingerprint of the key that may start the registry there, or the key (a .pub file or its line), which then
    also opens the door. `is_blind`: the server cannot reach the store. What an earlier call said stays said. Raises RegistryError where the repository cannot be
    one, or has a hook of somebody else's.
    """
    repository = Repository.open(path)
    if repository.work_tree is not None:
        raise RegistryError(
            f"{path} is a checkout; a server's repository is bare", hint="git init --bare REPOSITORY.git"
        )
    branch = branch or repository.config(ANCHOR) or _branch_of(repository)
    tip = repository.tip(f"refs/heads/{branch}")
    access = Snapshot(repository.source(tip)).access if tip else None
    fingerprint, line = _root(root) if root else (repository.config(ROOT), repository.config(ROOT_KEY))
    _refuse(repository, tip, access, fingerprint)
    folder = repository.common_dir / "hooks"
    files = [str(folder / name) for name in _HOOKS]
    keys_file = authorized_keys.expanduser().absolute() if authorized_keys else None
    keys_file = keys_file or (Path(told) if (told := repository.config(KEYS_FILE)) else None)
    if keys_file:
        files.append(str(keys_file))
    notes = _notes(repository, tip, keys_file, is_shut=tip is None and not line)
    if not dry_run:
        values = {ANCHOR: branch, UNSEEN_BYTES: "true" if is_blind else "", ROOT: fingerprint, ROOT_KEY: line}
        _configure(repository, {**values, KEYS_FILE: str(keys_file or "")})
        if tip is None:
            repository.run("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        _write_hooks(folder)
        open_doors(repository)
        graph.renew(repository)
    return Installed(repository.common_dir, branch, fingerprint, tuple(files), keys_file is not None, notes)


def _branch_of(repository: Repository) -> str:
    """Return the branch that HEAD names where there is one; an empty repository gets that of `init`, whatever git calls its first."""
    head = repository.head_branch
    return head if head and repository.tip(f"refs/heads/{head}") else "main"


def _configure(repository: Repository, values: Mapping[str, str]) -> None:
    """Let git keep to the hook, whatever the configuration of the account says."""
    limit = {} if repository.config("receive.maxInputSize") else {"receive.maxInputSize": _LARGEST_PUSH}
    hooks = {"core.hooksPath": str(repository.common_dir / "hooks")}
    for key, value in {**_CONFIG, **limit, **hooks, **values}.items():
        if value:
            repository.run("config", key, value)


def open_doors(repository: Repository) -> None:
    """Write the keys of the present members into the file that lets them in, where this server has one."""
    told = repository.config(KEYS_FILE)
    if told:
        tip = repository.tip(f"refs/heads/{repository.config(ANCHOR)}")
        access = Snapshot(repository.source(tip)).access if tip else None
        root = "" if tip else repository.config(ROOT_KEY)
        where = repository.common_dir.resolve()
        doors.write(Path(told), where, doors.lines(access, Path(told), sys.executable, root=root))


def _root(told: str) -> tuple[str, str]:
    """Return the fingerprint of the root key, and its line where the key itself was given."""
    if _FINGERPRINT.fullmatch(told):
        return told, ""
    try:
        file = Path(told).expanduser()
        text = file.read_text(encoding="utf-8") if not told.startswith(("ssh-", "ecdsa-")) else told
        key = public_key(text.strip())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        hint = "ssh-keygen -l -f KEY.pub prints it: --root SHA256:…"
        raise RegistryError(f"{told[:80]!r} is no fingerprint of a key and no public key", hint=hint) from error
    return key.fingerprint, key.line


def _refuse(repository: Repository, tip: str | None, access: Access | None, root: str) -> None:
    if tip is None and not root:
        raise RegistryError(
            "an empty repository needs to know whose key starts its registry",
            hint="gitops-registry hook install REPOSITORY --root SHA256:… (ssh-keygen -l -f KEY.pub prints it)",
        )
    if tip is not None and Snapshot(repository.source(tip)).read(paths.CONSTITUTION) is None:
        raise RegistryError(
            "this repository has commits and is no registry", hint="name the branch of decisions: --branch"
        )
    if tip is not None and not any(m.keys for m in (access.members if access else ())):
        raise RegistryError(
            f"no member has a key in {paths.ACCESS}, so nobody could push",
            hint="in a clone: gitops-registry access add NAME --role admin --key FILE; push it; then install the hook",
        )
    for name in _HOOKS:
        file = repository.common_dir / "hooks" / name
        if file.exists() and _MARK not in file.read_text(errors="replace"):
            raise Conflict(f"{file} is a hook of somebody else's", hint="move it away first")


def _write_hooks(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in _HOOKS:
        draft = folder / f".{name}.draft"
        draft.write_text(f"#!/bin/sh\n{_MARK}\nexec {shlex.quote(sys.executable)} -I -m gitops_registry.hook {name}\n")
        draft.chmod(0o755)
        draft.replace(folder / name)


def _notes(repository: Repository, tip: str | None, keys_file: Path | None, *, is_shut: bool) -> tuple[str, ...]:
    notes = []
    if keys_file is None:
        notes.append(
            "this is logic, and no boundary: whoever can write to these files can go past the hook; let people in through "
            "an account that does git only: --authorized-keys FILE"
        )
    else:
        notes.append(
            f"a boundary for those who come through {keys_file}, as long as nobody else has a way to this account"
        )
    if keys_file and is_shut:
        notes.append(f"nobody comes in through {keys_file} yet: give the root key itself, --root KEY.pub")
    if tip is None:
        notes.append(
            f"next, in the registry: git remote add origin USER@HOST:{repository.common_dir}; git push -u origin HEAD"
        )
    return tuple(notes)
