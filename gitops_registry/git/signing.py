"""Signing what is committed here, as git's configuration says: with SSH, or not at all.

A key counts as configured where `gpg.format` is `ssh` and `user.signingKey` names one. It signs unless `commit.gpgSign` says no.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.git.process import run
from gitops_registry.git.repository import Repository
from gitops_registry.manifest.keys import PublicKey, public_key, strings

_ASKED = r"^(gpg\.format|user\.signingkey|commit\.gpgsign|gpg\.ssh\.defaultkeycommand)$"
_MAGIC = b"openssh-key-v1\0"
_ARMOR = re.compile(r"-----BEGIN OPENSSH PRIVATE KEY-----\s(.*?)-----END OPENSSH PRIVATE KEY-----", re.DOTALL)
_NO = frozenset({"false", "no", "off", "0"})
HINT = "look at the key: git config user.signingKey; one with a passphrase goes to the agent first: ssh-add KEY"


def signing_key(repository: Repository) -> str:
    """Return what `user.signingKey` says where commits are to be signed with SSH (a command's word, where only that is
    configured); empty where they are not.
    """
    told = run(repository.folder, "config", "--null", "--type=path", "--get-regexp", _ASKED, ok=(0, 1))
    pairs = (entry.partition("\n") for entry in told.decode(errors="surrogateescape").split("\0") if entry)
    values = {name.lower(): value for name, _, value in pairs}  # the last one wins, as git has it
    if values.get("gpg.format") != "ssh" or values.get("commit.gpgsign", "").lower() in _NO - {""}:
        return ""
    return values.get("user.signingkey") or values.get("gpg.ssh.defaultkeycommand", "")


def signs_with(repository: Repository) -> PublicKey | None:
    """Return the public key that commits made here are signed with; None where they are not, or nobody can say before."""
    told = signing_key(repository)
    try:
        return public_of(told, repository.folder) if told else None
    except (RegistryError, ValueError):
        return None


def public_of(told: str, folder: Path) -> PublicKey:
    """Return the public key that a file's path (either half of the pair), or a key itself, names.

    Raises RegistryError for a file that cannot be read, ValueError for what is no key.
    """
    if told.startswith("key::"):
        return public_key(told.removeprefix("key::"))
    if told.startswith(("ssh-", "ecdsa-")) and " " in told:
        return public_key(told)
    file = folder / Path(told).expanduser()
    text = _read(file)
    if "PRIVATE KEY" not in text:
        return public_key(text.strip())
    beside = file.with_name(file.name + ".pub")
    return public_key(_read(beside).strip()) if beside.is_file() else _public_half(text)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")[:20_000]
    except OSError as error:
        raise RegistryError(
            f"cannot read the key {file}: {error.strerror}", hint="ssh-keygen -t ed25519 makes one"
        ) from error


def _public_half(text: str) -> PublicKey:
    """Return the public key that stands unencrypted in a private key's file (OpenSSH, PROTOCOL.key)."""
    found = _ARMOR.search(text)
    try:
        raw = base64.b64decode("".join((found[1] if found else "").split()), validate=True)
    except binascii.Error:
        raw = b""
    at = len(_MAGIC)
    for _ in range(3):  # the names of cipher and key derivation, and its options
        at += 4 + int.from_bytes(raw[at : at + 4], "big")
    size = int.from_bytes(raw[at + 4 : at + 8], "big")
    blob = raw[at + 8 : at + 8 + size]
    fields = strings(blob) if raw.startswith(_MAGIC) else None
    if not fields:
        raise ValueError("this private key's file does not say its public half: ssh-keygen -y -f KEY > KEY.pub")
    return public_key(f"{fields[0].decode(errors='replace')} {base64.b64encode(blob).decode()}")


def signed(repository: Repository, commit: str) -> str:
    """Return a commit that is like an unsigned one and signed with the key that is configured here.

    Raises RegistryError where git cannot sign; nothing is moved.
    """
    found = repository.commit(commit)
    raw = repository.objects.get(commit)
    assert raw is not None
    assert raw.data is not None
    head, _, message = raw.data.partition(b"\n\n")
    lines = dict(line.split(b" ", 1) for line in head.split(b"\n"))
    who = {**_person("AUTHOR", lines[b"author"]), **_person("COMMITTER", lines[b"committer"])}
    parents = [word for parent in found.parents for word in ("-p", parent)]
    arguments = (
        "-c",
        "i18n.commitEncoding=UTF-8",
        "-c",
        "gpg.format=ssh",
        "commit-tree",
        "-S",
        lines[b"tree"].decode(),
    )
    try:
        made = run(repository.folder, *arguments, *parents, "-F", "-", stdin=message, extra=who, held=repository.held)
    except RegistryError as error:
        raise RegistryError(f"git could not sign the commit: {error.message}", hint=HINT) from error
    return made.decode().strip()


def _person(role: str, line: bytes) -> dict[str, str]:
    """Return the variables that give git a name, an e-mail and a moment, from a line of a commit."""
    found = re.fullmatch(r"(.*?) ?<([^>]*)> (\d+ [-+]\d{4})", line.decode(errors="surrogateescape"))
    assert found is not None
    return {f"GIT_{role}_NAME": found[1], f"GIT_{role}_EMAIL": found[2], f"GIT_{role}_DATE": f"@{found[3]}"}
