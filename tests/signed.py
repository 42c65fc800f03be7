"""Signed commits for tests: keys as ssh-keygen makes them, commits as git signs them, and objects that git would never write."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from builder import git
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from gitops_registry.manifest.keys import strings
from gitops_registry.manifest.members import Access, Key, Member
from gitops_registry.signing.commits import join, split
from gitops_registry.signing.sshsig import armored

KINDS = {"ed25519": "ed25519", "ecdsa-256": "ecdsa -b 256", "ecdsa-384": "ecdsa -b 384", "ecdsa-521": "ecdsa -b 521", "rsa": "rsa -b 2048"}  # fmt: skip
"""Our name of a kind of key → what ssh-keygen is asked for."""
WHEN = 1_790_000_000
"""The second in which every commit was made."""
BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"\n-----END SSH SIGNATURE-----\n"


def moment(offset: float = 0) -> datetime:
    """Return a time so many seconds after the commits were made."""
    return datetime.fromtimestamp(WHEN + offset, UTC)


def access(**members: Sequence[Key]) -> Access:
    """Return who has which keys."""
    return Access(members=tuple(Member(name=name, role="admin", keys=tuple(keys)) for name, keys in members.items()))


class Ground:
    """A repository, and a key of each kind for alice; `stranger` is an ed25519 key that nobody has."""

    def __init__(self, root: Path) -> None:
        self.root, self.keys = root / "repository", root / "keys"
        self.keys.mkdir(parents=True)
        for name, what in (*KINDS.items(), ("stranger", "ed25519")):
            subprocess.run(["ssh-keygen", "-q", "-t", *what.split(), "-N", "", "-C", "alice", "-f", str(self.keys / name)], check=True)  # fmt: skip
        git(root, "init", "--quiet", "repository")
        self.tree = git(self.root, "hash-object", "-t", "tree", "-w", "/dev/null").strip()
        self.unsigned = self.store(self.payload("the first"))
        self.signed = cache(self._signed)

    def key(self, name: str, **facts: Any) -> Key:
        """Return the public half of a key, with an end where one is given."""
        return Key(key=(self.keys / f"{name}.pub").read_text().strip(), **facts)

    def fingerprint(self, name: str) -> str:
        """Return what ssh-keygen calls a key."""
        done = subprocess.run(["ssh-keygen", "-lf", str(self.keys / f"{name}.pub")], capture_output=True, check=True)
        return done.stdout.decode().split()[1]

    def _signed(self, name: str, message: str = "promote fraud 3 to production") -> bytes:
        """Return a commit that git itself signed with a key."""
        parent = git(self.root, "rev-parse", self.unsigned).strip()
        dated = f"GIT_AUTHOR_DATE={WHEN} +0000", f"GIT_COMMITTER_DATE={WHEN} +0000"
        made = subprocess.run(
            ["env", *dated, "git", "-c", "gpg.format=ssh", "-C", str(self.root), "commit-tree", f"-S{self.keys / name}",
             self.tree, "-p", parent, "-m", message],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return self.raw(made.stdout.strip())

    def payload(self, message: str = "by hand", headers: str = "", parent: str = "") -> bytes:
        """Return the bytes of a commit that nobody signed."""
        person = f"Alice <alice@example.com> {WHEN} +0000"
        parents = f"parent {parent}\n" if parent else ""
        return f"tree {self.tree}\n{parents}author {person}\ncommitter {person}\n{headers}\n{message}\n".encode()

    def sign(self, name: str, payload: bytes, namespace: str = "git", digest: str = "sha512") -> bytes:
        """Return what ssh-keygen itself signs."""
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-O", f"hashalg={digest}", "-f", str(self.keys / name)]  # fmt: skip
        return subprocess.run(command, input=payload, capture_output=True, check=True).stdout

    def private(self, name: str) -> Any:
        """Return the private half of a key, for signatures that ssh-keygen does not make."""
        return load_ssh_private_key((self.keys / name).read_bytes(), None)

    def raw(self, oid: str) -> bytes:
        """Return the bytes of a commit."""
        command = ["git", "-C", str(self.root), "cat-file", "commit", oid]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def store(self, data: bytes) -> str:
        """Put any bytes into the repository as a commit, and return its id."""
        command = ["git", "-C", str(self.root), "hash-object", "-t", "commit", "-w", "--stdin", "--literally"]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().strip()

    @cached_property
    def alice(self) -> Access:
        """Alice with all her keys, without ends."""
        return access(alice=[self.key(name) for name in KINDS])


# ── taking a signature apart, and putting it together in another way


def string(value: bytes) -> bytes:
    """Return bytes with their length before them."""
    return len(value).to_bytes(4, "big") + value


def fields(data: bytes) -> list[bytes]:
    """Return what the signature of a commit holds: key, namespace, reserved, hash, signature."""
    armor = split(data).armor
    found = strings(base64.b64decode(armor[len(BEGIN) : -len(END)].replace(b"\n", b""))[10:])
    assert found is not None
    return found


def blob(parts: Sequence[bytes], *, version: int = 1) -> bytes:
    """Return the bytes of a signature."""
    return b"SSHSIG" + version.to_bytes(4, "big") + b"".join(map(string, parts))


def resigned(data: bytes, **changed: bytes) -> bytes:
    """Return a commit whose signature has some of its fields replaced, by name."""
    names = ("key", "namespace", "reserved", "digest", "signed")
    parts = [changed.get(name, value) for name, value in zip(names, fields(data), strict=True)]
    return with_armor(data, armored(blob(parts)))


def with_armor(data: bytes, armor: bytes) -> bytes:
    """Return a commit with another signature, where git writes it."""
    return join(split(data).payload, armor)


def rewrapped(data: bytes, *, columns: int) -> bytes:
    """Return a commit whose signature is broken into lines elsewhere."""
    text = split(data).armor[len(BEGIN) : -len(END)].replace(b"\n", b"")
    return with_armor(data, BEGIN + b"\n".join(text[at : at + columns] for at in range(0, len(text), columns)) + END)
