"""Who may connect over SSH: lines of `authorized_keys` with a forced command, so that an account can do nothing but git.

Without such lines whoever has an account on the server can write to the repository's files, and the hook is advice.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.keys import public_key
from gitops_registry.manifest.members import Access

_BEGIN = "# gitops-registry: begin"
_END = "# gitops-registry: end"
_SERVICES = ("git-upload-pack", "git-receive-pack")
_PROTOCOL = re.compile(r"version=[0-9](:[a-z0-9=.-]{1,40}){0,4}")


def lines(access: Access | None, door: Path, python: str, *, root: str = "") -> list[str]:
    """Return a line for each key of each member, in their order. `root`: a key's line that starts the registry.

    A key that opens several repositories has the same line for each, for sshd looks at the first one only.
    """
    keys = [
        (key.public, member.name) for member in (access or Access()).members for key in member.keys if not key.revoked
    ]
    keys += [(public_key(root), "root")] if root else []
    serve = f"{shlex.quote(python)} -I -m gitops_registry.hook serve {shlex.quote(str(door))}"
    escaped = serve.replace("\\", "\\\\").replace('"', '\\"')
    return [f'restrict,command="{escaped} {key.fingerprint}" {key.line} {name}' for key, name in keys]


def write(door: Path, repository: Path, told: list[str]) -> None:
    """Put a repository's lines into a file of keys, in one step; everybody else's lines stay as they are.

    A symbolic link stays one. Raises RegistryError where it cannot be written, and for what is no plain file.
    """
    begin, end = f"{_BEGIN} {repository}", f"{_END} {repository}"
    hint = "name another file: --authorized-keys FILE"
    if door.exists() and not door.is_file():
        raise RegistryError(f"cannot write {door}: it is no plain file", hint=hint)
    try:
        door = door.resolve()
        door.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(door):
            old = door.read_text(encoding="utf-8").splitlines() if door.exists() else []
            kept, is_ours = [], False
            for line in old:
                is_ours = (is_ours or line == begin) and line != end
                if not is_ours and line != end:
                    kept.append(line)
            draft = door.with_name(f".{door.name}.{secrets.token_hex(8)}")
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as writer:
                writer.write("\n".join([*kept, begin, *told, end]) + "\n")
            draft.replace(door)
    except (OSError, RuntimeError) as error:  # Python says so of links in a circle
        why = error.strerror if isinstance(error, OSError) else "its symbolic links lead nowhere"
        raise RegistryError(f"cannot write {door}: {why}", hint=hint) from error


def repositories(door: Path) -> list[Path]:
    """Return the repositories that a file of keys opens, as far as they are still there. Raises RegistryError without one."""
    try:
        told = door.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RegistryError(
            f"cannot read {door}: {error.strerror}", hint="gitops-registry hook install REPOSITORY"
        ) from error
    named = (Path(line.removeprefix(f"{_BEGIN} ")) for line in told if line.startswith(f"{_BEGIN} "))
    return [path for path in named if path.is_dir()]


@contextmanager
def _alone(door: Path) -> Iterator[None]:
    """Let one repository at a time change its lines."""
    lock = os.open(door.with_name(f".{door.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def asked_for(command: str) -> tuple[str, Path]:
    """Return which of git's two services a connection asks for, and of which repository. Raises RegistryError for anything else."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:1] == ["git"]:
        words = [f"git-{words[1]}", *words[2:]] if len(words) > 1 else words
    if len(words) != 2 or words[0] not in _SERVICES or "\0" in words[1]:
        raise RegistryError("this account does git and nothing else", hint="git clone USER@HOST:PATH")
    return words[0], (Path.home() / words[1].removeprefix("~/")).resolve()


def environment(inherited: Mapping[str, str], key: str) -> dict[str, str]:
    """Return what git runs with: nothing of what the other side sent but the version of the protocol."""
    kept = {name: inherited[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "SSH_CONNECTION") if name in inherited}
    protocol = inherited.get("GIT_PROTOCOL", "")
    if _PROTOCOL.fullmatch(protocol):
        kept["GIT_PROTOCOL"] = protocol
    return {**kept, "GITOPS_REGISTRY_PUSHER": key}
