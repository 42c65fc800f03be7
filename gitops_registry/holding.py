"""New bytes on their way into a commit: read once into the cache, and what a store inside the repository gets of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops_registry import paths
from gitops_registry.digests import Digest, digest_of_file
from gitops_registry.errors import RegistryError
from gitops_registry.git.landing import local_files
from gitops_registry.listing import DIR
from gitops_registry.snapshot import LARGEST_STORED, Content, Edits, Snapshot
from gitops_registry.trees import digest_of_members, only_digested, read_folder
from gitops_registry.workplace import Workplace


@dataclass(frozen=True)
class Held:
    """What one new file or folder is, and where its objects are now: name → file, or bytes for a list of files."""

    digest: Digest
    objects: Mapping[str, Path | bytes]


def hold(place: Workplace, new: Sequence[Path]) -> list[Held]:
    """Put files and folders where others find them, each read once, and return what they are in order."""
    store = place.store()
    digests = [store.add(path) for path in new]
    store.push(digests)
    objects = [store.objects(digest) if store.is_embedded else {} for digest in digests]
    return [
        Held(digest, {name: path.read_bytes() if name.endswith(DIR) else path for name, path in stored.items()})
        for digest, stored in zip(digests, objects, strict=True)
    ]


def examine(path: Path) -> Held:
    """Return what a file or folder is, left where it is."""
    if not path.is_dir():
        digest = digest_of_file(path)
        return Held(digest, {digest.md5: path})
    members = read_folder(path, only_digested)
    digest, listing = digest_of_members(members)
    return Held(digest, {digest.md5: listing, **{member.md5: path / member.path for member in members}})


def committed_with(place: Workplace, snapshot: Snapshot, held: Sequence[Held]) -> Edits:
    """Return the objects that a store inside the repository gets with a commit; none where bytes go to a real remote.

    Raises RegistryError for one that is too large to commit with git.
    """
    if not place.store(snapshot).is_embedded:
        return {}
    objects = {name: content for one in held for name, content in one.objects.items()}
    files = {name: content for name, content in objects.items() if isinstance(content, Path)}
    listings = {name: content for name, content in objects.items() if isinstance(content, bytes)}
    large = [file for file in files.values() if file.stat().st_size > LARGEST_STORED]
    if large:
        raise RegistryError(
            f"{large[0].stat().st_size / 1e6:.0f} MB are too much to commit with git",
            hint="use a real store: dvc remote add -d storage URL",
        )
    stored: dict[str, Content] = {paths.store_path(name): content for name, content in listings.items()}
    for name, content in zip(files, local_files(place.repository, list(files.values())), strict=True):
        stored[paths.store_path(name)] = content
    return stored
