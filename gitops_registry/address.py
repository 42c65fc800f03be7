"""Addresses of registries as people write them: a path, or a URL with `@revision` behind it."""

from __future__ import annotations

import re
from typing import NamedTuple

from gitops_registry.errors import RegistryError

_URL = re.compile(r"(?P<start>(?:https?|ssh|git|file)://(?!-)[^/]*)(?P<path>/.*)?")
_SCP = re.compile(r"(?P<start>(?:\w[\w.-]*@)?\w[\w.-]*:)(?P<path>(?!//|:|-).+)")
"""`git@example.com:models.git`, the way of ssh that needs no scheme."""


class Address(NamedTuple):
    """Where a registry is: a `url` of git's, or (where that is empty) a `path` on this machine; and a revision of it."""

    url: str
    path: str
    revision: str


def address(text: str) -> Address:
    """Return what an address names. Raises RegistryError for a URL that git does not know or that holds a password.

    A path is returned whole: only who can look knows whether `@` is part of its name; see `split_revision`.
    """
    match = _URL.fullmatch(text) or (None if text.startswith((".", "/", "~")) else _SCP.fullmatch(text))
    if match is None:
        if "://" in text or not text.isprintable():
            told = re.sub("//.*@", "//…@", text, flags=re.DOTALL)  # what stands before a host may be a password
            raise RegistryError(
                f"{told!r} is no address of a registry", hint="a path, https://…, ssh://…, file://… or git@host:path"
            )
        return Address("", text, "")
    path, revision = split_revision(match["path"] or "")
    if "?" in path or "#" in path or re.search(r"@[^/]*:", match["path"] or ""):
        raise RegistryError(
            "the address holds more than a host and a path, which may be a password, and addresses end up in logs",
            hint="leave it out; git asks its credential helper (see: git help credentials)",
        )
    user, _, password = match["start"].partition("//")[2].rpartition("@")[0].partition(":")
    is_no_port = re.search(r"//.*:[0-9]*[^0-9:\]@][^:\]@]*$", match["start"]) is not None  # https://user:pass/word@host
    if password or is_no_port or (user and match["start"].startswith("http")):
        raise RegistryError(
            "the address holds a user or a password, and addresses end up in logs",
            hint="leave it out; git asks its credential helper (see: git help credentials)",
        )
    if not path.strip("/") or "%00" in path or not text.isprintable() or " " in match["start"]:
        raise RegistryError(f"{text!r} names no repository", hint="write https://host/path.git")
    return Address(match["start"] + path, "", revision)


def split_revision(path: str) -> tuple[str, str]:
    """Return a path and the revision behind its `@`; empty where there is none.

    Behind `.git@` a revision may have slashes; anywhere else it stands in the last part of the path.
    """
    before, git, after = path.partition(".git@")
    if git and after:
        return before + ".git", after
    folder, slash, last = path.rpartition("/")
    found, sign, revision = last.rpartition("@")
    return (folder + slash + found, revision) if sign and revision and found else (path, "")
