"""Who may connect over SSH: lines of `authorized_keys` with a forced command, so that an account can do nothing but git.

Without such lines whoever has an account on the server can write to the repository's files, and the hook is advice.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.members import Access

_BEGIN = "# gitops-registry: begin"
_END = "# gitops-registry: end"
_SERVICES = ("git-upload-pack", "git-receive-pack")
_PROTOCOL = re.compile(r"version=[0-9](:[a-z0-9=.-]{1,40}){0,4}")


def lines(access: Access | None, repository: Path, python: str, *, root: str = "") -> list[str]:
    """Return a line for each key of each member, in their order. `root`: a key's line that starts the registry."""
    keys = [(key.public.fingerprint, key.public.line, member.name) for member in (access or Access()).members for key in member.keys if not key.revoked]  # fmt: skip
    if root:
        from gitops_registry.manifest.keys import public_key

        first = public_key(root)
        keys += (
            [(first.fingerprint, first.line, "root")] if first.fingerprint not in {key for key, _, _ in keys} else []
        )
    serve = f"{shlex.quote(python)} -I -m gitops_registry.hook serve {shlex.quote(str(repository))}"
    escaped = serve.replace("\\", "\\\\").replace('"', '\\"')
    return [f'restrict,command="{escaped} {fingerprint}" {line} {name}' for fingerprint, line, name in keys]


def write(file: Path, repository: Path, told: list[str]) -> None:
    """Put a repository's lines into a file of keys, in one step; everybody else's lines stay as they are."""
    begin, end = f"{_BEGIN} {repository}", f"{_END} {repository}"
    try:
        old = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        kept, is_ours = [], False
        for line in old:
            is_ours = (is_ours or line == begin) and line != end
            if not is_ours and line != end:
                kept.append(line)
        text = "\n".join([*kept, begin, *told, end]) + "\n"
        draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as writer:
            writer.write(text)
        draft.replace(file)
    except OSError as error:
        raise RegistryError(
            f"cannot write {file}: {error.strerror}", hint="name another file: --authorized-keys FILE"
        ) from error


def asked_for(command: str, repository: Path) -> str:
    """Return which of git's two services a connection asks for. Raises RegistryError for anything but this repository's."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:1] == ["git"]:
        words = [f"git-{words[1]}", *words[2:]] if len(words) > 1 else words
    if len(words) != 2 or words[0] not in _SERVICES:
        raise RegistryError("this account does git and nothing else", hint=f"git clone USER@HOST:{repository}")
    wanted = Path(words[1]) if words[1].startswith("/") else Path.home() / words[1].removeprefix("~/")
    if wanted.resolve() != repository.resolve():
        raise RegistryError(f"{words[1]} is not open to this key", hint=f"this key opens {repository}")
    return words[0]


def environment(inherited: Mapping[str, str], key: str) -> dict[str, str]:
    """Return what git runs with: nothing of what the other side sent but the version of the protocol."""
    kept = {name: inherited[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "SSH_CONNECTION") if name in inherited}
    protocol = inherited.get("GIT_PROTOCOL", "")
    if _PROTOCOL.fullmatch(protocol):
        kept["GIT_PROTOCOL"] = protocol
    return {**kept, "GITOPS_REGISTRY_PUSHER": key}
