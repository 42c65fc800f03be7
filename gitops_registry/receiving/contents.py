"""What the new commits of a push bring, as objects: modes, sizes and names, whatever a later commit takes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitops_registry.difference import is_in_our_folders
from gitops_registry.git import incoming
from gitops_registry.git.repository import Repository, is_safe_path
from gitops_registry.manifest.reading import MAX_BYTES
from gitops_registry.paths import place_of
from gitops_registry.receiving.updates import Refusal
from gitops_registry.snapshot import FILE_MODE, LARGEST_STORED

_LARGEST_OTHER = 100 << 20
_LARGEST_COMMIT = 64 << 10
_LONGEST_PATH = 1024
_PATHS_EACH = 50
"""Files that a commit may change, on average: a version has ten, and a few small trees can name millions."""
_KINDS = {"120000": "a symbolic link", "160000": "a repository inside this one", "100755": "executable"}


def contents(repository: Repository, new: Sequence[str], most: int) -> Iterator[Refusal]:
    """Yield why the new commits of a push, `most` at a time, cannot be taken, whatever they are for. Each path is told once."""
    if len(new) > most:
        yield Refusal("sizes", f"brings {len(new):,} commits; {most:,} are taken at once", "push fewer at a time")
        return
    large = [(oid, size) for oid, size in incoming.sizes(repository, new).items() if size > _LARGEST_COMMIT]
    for oid, size in large:
        yield Refusal("sizes", f"its message has {size:,} bytes; {_LARGEST_COMMIT:,} are taken", "write less", "", oid)
    if large:
        return
    told: set[tuple[str, str]] = set()
    brought: dict[str, tuple[str, str]] = {}
    count = 0
    for commit, changes in incoming.brought(repository, new):
        count += len(changes)
        if count > most * _PATHS_EACH:
            yield Refusal(
                "sizes",
                f"it changes more than {most * _PATHS_EACH:,} files",
                "push fewer commits at a time",
                "",
                commit,
            )
            return
        for change in changes:
            if change.new_oid and (problem := _problem(change.path, change.new_mode)):
                if (change.path, problem) not in told:
                    yield Refusal("modes", problem, "take it out of every commit of this push", change.path, commit)
                told.add((change.path, problem))
            elif change.new_oid:
                brought.setdefault(change.new_oid, (change.path, commit))
    for oid, size in incoming.sizes(repository, list(brought)).items():
        path, commit = brought[oid]
        if size > (limit := _limit(path)):
            yield Refusal(
                "sizes",
                f"has {size:,} bytes; {limit:,} are taken",
                "bytes of models belong to DVC's store",
                path,
                commit,
            )


def _problem(path: str, mode: str) -> str:
    if not is_safe_path(path):
        return "is no path of a registry"
    if len(path.encode(errors="surrogateescape")) > _LONGEST_PATH:
        return f"is a path of more than {_LONGEST_PATH} bytes"
    if mode == "160000" or (mode != FILE_MODE and is_in_our_folders(path)):
        return f"is {_KINDS.get(mode, f'of mode {mode}')}, and a registry holds plain files only"
    return ""


def _limit(path: str) -> int:
    if place_of(path).role == "store_object":
        return LARGEST_STORED
    return MAX_BYTES if is_in_our_folders(path) else _LARGEST_OTHER
