"""What a folder is, as a value: the files it holds by path, as DVC lists them and as SHA-256 tells them apart.

DVC keeps a folder as one object for each file and one that lists them, `<md5>.dir`: JSON of MD5 and path in order of
path. It knows MD5 only, so a version also names the SHA-256 of our own listing: one line for each file, in byte order
of its path in UTF-8, `<sha256> <size> <path>` and a newline. Swapping, adding, removing or renaming a file changes it.
Empty folders and modes of files are no part of either.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gitops_registry import paths
from gitops_registry.errors import Damaged
from gitops_registry.manifest.facts import Artifact
from gitops_registry.snapshot import LARGEST_STORED, Snapshot

DIR = ".dir"
"""How the name of an object ends that lists a folder."""
MOST_FILES = 100_000
LARGEST_LISTING = 1 << 27
"""Bytes of the largest listing that is read."""
_LONGEST_PATH = 1024
_RESERVED = frozenset({".git", ".hg", ".dvc", ".gitignore", ".dvcignore", "dvc.yaml", "dvc.lock"})
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Member(NamedTuple):
    """One file of a folder. `path` is relative to it, with `/`."""

    path: str
    md5: str
    sha256: str
    size: int


def dvc_listing(md5s: Mapping[str, str]) -> bytes:
    """Return what DVC stores for a folder of these files (path → MD5), byte for byte."""
    entries = [{"md5": md5s[path], "relpath": path} for path in sorted(md5s)]
    return json.dumps(entries, sort_keys=True).encode()


def listing_name(data: bytes) -> str:
    """Return the name DVC gives a listing: its MD5 and `.dir`."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest() + DIR


def listing_sha256(members: Iterable[Member]) -> str:
    """Return the SHA-256 of a folder, as the module says."""
    lines = (f"{m.sha256} {m.size} {m.path}\n" for m in sorted(members, key=lambda m: m.path.encode()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_listing(data: bytes, name: str, what: str) -> dict[str, str]:
    """Return path → MD5 of the files in DVC's listing of a folder, in order of path.

    Strict, for it may come from a remote that anybody writes to: only what `dvc_listing` would write, under its own
    name, with names that stay in the folder. Raises Damaged, which calls the folder `what`.
    """
    hint = "`dvc push` it from a computer that has a good copy; what has none is registered again as a new version"
    if listing_name(data) != name:
        raise Damaged(f"{what}: its list of files is damaged (expected md5 {name})", hint=hint)
    try:
        entries = json.loads(data)
        found = {entry["relpath"]: entry["md5"] for entry in entries}
        is_plain = all(isinstance(path, str) and _MD5.fullmatch(md5) for path, md5 in found.items())
        is_plain = is_plain and dvc_listing(found) == data
    except (ValueError, TypeError, KeyError, RecursionError):
        is_plain = False
    if not is_plain:
        raise Damaged(f"{what}: its list of files is none that DVC would write (md5 {name})", hint=hint)
    if problem := names_problem(list(found)):
        raise Damaged(f"{what}: {problem}", hint="register the folder again without it")
    return found


def names_problem(names: Sequence[str]) -> str:
    """Say why files of these paths make no folder that can be stored and written anywhere; empty where they do."""
    if not names:
        return "it holds no file"
    if len(names) > MOST_FILES:
        return f"it holds {len(names):,} files, and {MOST_FILES:,} are the most"
    spelled: dict[str, str] = {}
    folders: set[str] = set()
    for name in names:
        if problem := _name_problem(name):
            return f"the file {name!a} {problem}"
        parts = name.split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            twin = spelled.setdefault(_folded(path), path)
            if twin != path:
                return f"{twin!a} and {path!a} differ only in case or spelling, and some systems take them for one"
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    both = folders.intersection(names)
    return f"{min(both)!a} is a file and a folder" if both else ""


def _folded(path: str) -> str:
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())


def _name_problem(name: str) -> str:
    if not name.isprintable() or "\\" in name:
        return "has a name with control characters, a backslash or what is no text"
    if len(name.encode()) > _LONGEST_PATH:
        return f"has a path of more than {_LONGEST_PATH} bytes"
    for part in name.split("/"):
        if part in {"", ".", ".."}:
            return "does not stay in the folder"
        if len(part.encode()) > 255:
            return "has a name of more than 255 bytes"
        if part.lower() in _RESERVED or part.lower().endswith(".dvc"):
            return f"has a name that git or DVC would act on ({part})"
    return ""


def committed_objects(snapshot: Snapshot, artifact: Artifact) -> Iterator[str]:
    """Yield the names of the objects that an artifact has in the store inside the repository.

    Of a folder whose listing is not there or damaged only the listing is known.
    """
    yield artifact.md5
    if artifact.files is None:
        return
    data = snapshot.read(paths.store_path(artifact.md5), LARGEST_STORED)
    if data is not None:
        try:
            yield from dict.fromkeys(read_listing(data, artifact.md5, artifact.file).values())
        except Damaged:
            return
