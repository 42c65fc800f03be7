"""Git objects as anybody can make them, also those that git's own commands refuse to make.

Objects are written byte for byte into a repository's own store: trees with any mode, name and order, commits with any
headers, dates and parents. Signatures are those that `ssh-keygen -Y sign` makes, and can be put where they do not belong.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOW = int(time.time())
"""When everything is made that says nothing else: the same commit is then made once."""
FILE, EXECUTABLE, LINK, FOLDER, SUBMODULE = "100644", "100755", "120000", "40000", "160000"


@dataclass(frozen=True)
class Actor:
    """Somebody with a key of their own, whatever the registry thinks of them."""

    name: str
    key: Path

    @property
    def line(self) -> str:
        """Who they are, as a commit names them."""
        return f"{self.name.capitalize()} <{self.name}@example.com>"

    @property
    def public(self) -> str:
        """The line of their .pub file, without the comment."""
        return " ".join(self.key.with_suffix(".pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as ssh-keygen prints it."""
        told = subprocess.run(["ssh-keygen", "-lf", f"{self.key}.pub"], capture_output=True, text=True, check=True)
        return told.stdout.split()[1]

    def sign(self, payload: bytes, namespace: str = "git") -> str:
        """Return the armored signature of some bytes (PROTOCOL.sshsig of OpenSSH)."""
        return _signature(self.key, payload, namespace)


@lru_cache
def _private(key: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    found = load_ssh_private_key(key.read_bytes(), password=None)
    assert isinstance(found, Ed25519PrivateKey)
    return found


@lru_cache
def _signature(key: Path, payload: bytes, namespace: str) -> str:
    def told(*strings: bytes) -> bytes:
        return b"".join(len(string).to_bytes(4, "big") + string for string in strings)

    public = base64.b64decode(key.with_suffix(".pub").read_text().split()[1])
    what = told(namespace.encode(), b"", b"sha512")
    signed = _private(key).sign(b"SSHSIG" + what + told(hashlib.sha512(payload).digest()))
    blob = b"SSHSIG\0\0\0\1" + told(public) + what + told(told(b"ssh-ed25519", signed))
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def actor(folder: Path, name: str, *, kind: str = "ed25519") -> Actor:
    """Return somebody with a new key in `folder`, or with the one that is there."""
    key = folder / name
    if not key.exists():
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{name}@example.com", "-f", str(key)]
        subprocess.run(command, check=True)
    return Actor(name, key)


@dataclass(frozen=True)
class Draft:
    """What a commit says. `author` and `committer` are whole identities without the date; the signer's, where they are empty."""

    tree: str
    parents: Sequence[str]
    message: str = "change"
    author: str = ""
    committer: str = ""
    date: int | None = None
    headers: Sequence[str] = ()

    def payload(self, signer: Actor) -> bytes:
        """Return the commit as it is signed."""
        when = f"{NOW if self.date is None else self.date} +0000"
        lines = [f"tree {self.tree}", *(f"parent {parent}" for parent in self.parents)]
        lines += [f"author {self.author or signer.line} {when}", f"committer {self.committer or signer.line} {when}"]
        return "\n".join([*lines, *self.headers, "", self.message]).encode(errors="surrogateescape") + b"\n"


def with_header(payload: bytes, name: str, value: str) -> bytes:
    """Return a commit with one more header at the end of its headers, folded as git folds."""
    head, blank, message = payload.partition(b"\n\n")
    return head + f"\n{name} {value.rstrip().replace(chr(10), chr(10) + ' ')}".encode() + blank + message


class Forge:
    """The object store of one repository, written without git."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir
        self._files: dict[str, dict[str, tuple[str, str]]] = {}

    def put(self, kind: str, data: bytes) -> str:
        """Write an object and return its id."""
        whole = f"{kind} {len(data)}\0".encode() + data
        oid = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        file = self.git_dir / "objects" / oid[:2] / oid[2:]
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            draft = file.with_name(f"draft-{os.getpid()}-{oid[2:]}")
            draft.write_bytes(zlib.compress(whole, 1))
            draft.replace(file)
        return oid

    def blob(self, data: bytes) -> str:
        """Write a file's bytes and return their id."""
        return self.put("blob", data)

    def folder(self, entries: Iterable[tuple[str, str, str]], *, is_sorted: bool = True) -> str:
        """Write one tree from (mode, name, id), in git's order unless told otherwise, and return its id."""
        known = list(entries)
        if is_sorted:
            known.sort(key=lambda entry: entry[1].encode(errors="surrogateescape") + b"/" * (entry[0] == FOLDER))
        data = b"".join(
            f"{mode} {name}\0".encode(errors="surrogateescape") + bytes.fromhex(oid) for mode, name, oid in known
        )
        return self.put("tree", data)

    def files(self, commit: str) -> dict[str, tuple[str, str]]:
        """Return path → (mode, id) of every file of a commit."""
        if commit not in self._files:
            told = self.git("ls-tree", "-rz", "--full-tree", commit).decode(errors="surrogateescape")
            entries = (line.partition("\t") for line in told.split("\0") if line)
            self._files[commit] = {path: (about.split()[0], about.split()[2]) for about, _, path in entries}
        return self._files[commit]

    def tree(self, files: Mapping[str, tuple[str, str]]) -> str:
        """Write the trees of path → (mode, id) and return the id of the topmost. A path may hold whatever a tree may."""
        names: dict[str, tuple[str, str]] = {}
        below: dict[str, dict[str, tuple[str, str]]] = {}
        for path, entry in files.items():
            top, slash, rest = path.partition("/")
            if slash:
                below.setdefault(top, {})[rest] = entry
            else:
                names[top] = entry
        folders = [(FOLDER, name, self.tree(some)) for name, some in below.items()]
        return self.folder([*((mode, name, oid) for name, (mode, oid) in names.items()), *folders])

    def edited(self, commit: str, edits: Mapping[str, bytes | tuple[str, str] | None]) -> str:
        """Return the tree of a commit with some files changed: bytes, (mode, id), or None to take one away."""
        files = dict(self.files(commit)) if commit else {}
        for path, content in edits.items():
            if content is None:
                files.pop(path, None)
            else:
                files[path] = (FILE, self.blob(content)) if isinstance(content, bytes) else content
        return self.tree(files)

    def commit(self, signer: Actor, draft: Draft, *, namespace: str = "git", payload: bytes | None = None) -> str:
        """Write a commit that somebody signed and return its id; the signature is that of `payload`, where it is given."""
        data = draft.payload(signer)
        signature = signer.sign(data if payload is None else payload, namespace)
        return self.put("commit", with_header(data, "gpgsig", signature))

    def altered(self, commit: str, change: Callable[[bytes], bytes]) -> str:
        """Write a commit anew with its bytes changed, whatever its signature says, and return its id."""
        return self.put("commit", change(self.git("cat-file", "commit", commit)))

    def unsigned(self, commit: str) -> str:
        """Write a commit anew without its signature and return its id."""
        return self.altered(commit, lambda data: re.sub(rb"\ngpgsig [^\n]*(\n [^\n]*)*", b"", data))

    def git(self, *arguments: str) -> bytes:
        """Run git here and return what it printed."""
        command = ["git", f"--git-dir={self.git_dir}", *arguments]
        return subprocess.run(command, capture_output=True, check=True).stdout
