"""Folders on this machine's disk: the files in one, each read once, and whole folders that appear at once or not at all.

A folder that is stored holds plain files only, with names that any system can write; what else lies in it is refused.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gitops_registry.digests import LEFTOVER, Digest, at_once, digested, disk
from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.listing import MOST_FILES, Member, dvc_listing, listing_name, listing_sha256, names_problem

Put = Callable[[BinaryIO, str], Digest]
"""Reads an open file of a folder, whose path in it is the second argument, and returns what it is."""


def only_digested(reader: BinaryIO, _path: str) -> Digest:
    """Return what a file is and keep nothing of it."""
    return digested(reader)


def read_folder(folder: Path, put: Put) -> tuple[Member, ...]:
    """Return the files of a folder in order of path, each read once by `put`, several at the same time.

    Raises RegistryError for an empty folder, more than 100,000 files, symbolic links, pipes and other special files,
    names that not every system can write, and for a folder that changes while it is read.
    """
    with disk(f"cannot read the folder {folder}"):
        names = _files(folder)
        if problem := names_problem(names):
            raise RegistryError(f"{folder}: {problem}", hint="take it out of the folder, or rename it")

        def member(name: str) -> Member:
            with _opened(folder, name) as reader:
                found = put(reader, name)
            return Member(name, found.md5, found.sha256, found.size)

        members = tuple(at_once(member, names))
        if _files(folder) != names:
            raise RegistryError(f"{folder} changed while it was read", hint="wait until it is written, then try again")
    return members


def digest_of_members(members: tuple[Member, ...]) -> tuple[Digest, bytes]:
    """Return what a folder of these files is, and DVC's list of them."""
    data = dvc_listing({member.path: member.md5 for member in members})
    size = sum(member.size for member in members)
    return Digest(listing_name(data), listing_sha256(members), size, len(members)), data


def _files(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, in order; refuses whatever is no file and no folder."""
    found: list[str] = []

    def fail(error: OSError) -> None:
        raise error

    for top, folders, files in os.walk(folder, onerror=fail):
        base = os.path.relpath(top, folder)
        for name in (*folders, *files):
            mode = os.lstat(os.path.join(top, name)).st_mode  # noqa: PTH118 - a Path for each would take half the time
            path = name if base == "." else f"{base}/{name}"
            if stat.S_ISREG(mode):
                found.append(path)
            elif not stat.S_ISDIR(mode):
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "no plain file (a pipe, socket or device)"
                hint = "put the file itself there" if stat.S_ISLNK(mode) else "take it out of the folder"
                raise RegistryError(f"{folder}: {path!a} is {kind}", hint=hint)
        if len(found) > MOST_FILES:
            raise RegistryError(
                f"{folder} holds more than {MOST_FILES:,} files", hint="pack them into one file, or several folders"
            )
    return sorted(found)


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[BinaryIO]:
    """Yield a file of the folder; one that became something else since it was looked at is refused and not waited for."""
    number = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(number, "rb") as reader:  # noqa: PTH123 - a descriptor has no path
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise RegistryError(f"{folder} changed while it was read", hint="wait until it is written, then try again")
        yield reader


def require_same_folder(target: Path, digest: Digest, what: str) -> None:
    """Raise RegistryError unless exactly that folder lies at `target`."""
    hint = "move it away or choose another place; it was not changed"
    try:
        is_same = (
            target.is_dir()
            and not target.is_symlink()
            and digest_of_members(read_folder(target, only_digested))[0] == digest
        )
    except RegistryError as error:
        raise RegistryError(f"{target} exists and is not {what}: {error.message}", hint=hint) from error
    if not is_same:
        raise RegistryError(f"{target} exists and is not {what}", hint=hint)


def write_folder(
    target: Path, files: Mapping[str, str], *, write: Callable[[str, str, Path], Digest], digest: Digest, what: str
) -> None:
    """Write a folder of these files (path → MD5) beside its place, and give it its name when it is the right one.

    `write(path, md5, file)` writes one file and returns what it wrote. Raises Damaged where the whole is something
    else, RegistryError where another folder has the name meanwhile.
    """
    with _hidden_folder(target.parent) as temporary:

        def member(path: str) -> Member:
            file = temporary / path
            file.parent.mkdir(parents=True, exist_ok=True)
            found = write(path, files[path], file)
            return Member(path, found.md5, found.sha256, found.size)

        require_members(tuple(at_once(member, files)), digest, what)
        try:
            temporary.rename(target)
        except OSError:
            if not os.path.lexists(target):
                raise
            require_same_folder(target, digest, what)


def require_members(members: tuple[Member, ...], digest: Digest, what: str) -> None:
    """Raise Damaged unless a folder of these files is the registered one."""
    found = digest_of_members(members)[0]
    if found != digest:
        raise Damaged(
            f"{what} is another folder under the same MD5s: expected sha256 {digest.sha256} ({digest.size} bytes), "
            f"found {found.sha256} ({found.size} bytes)",
            hint="`version.yaml` was altered, or two different files were made to share an MD5",
        )


@contextmanager
def _hidden_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, which is gone afterwards unless it was renamed."""
    path = parent / f".{LEFTOVER}{secrets.token_hex(8)}.tmp"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
