"""Bytes on their way into the registry: read once, into the cache, and committed where the store is inside the repository."""

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
    """What one new file or folder is, and where its objects are now: name → file, or bytes for a list of files.

    Objects are named where the store inside the repository needs them, and in a dry run.
    """

    digest: Digest
    objects: Mapping[str, Path | bytes]


def kept(place: Workplace, files: Sequence[Path], *, dry_run: bool) -> list[Held]:
    """Read files and folders once, into the cache, and return what they are in order; a dry run leaves them where they are."""
    if dry_run:
        return [_examined(file) for file in files]
    store = place.store()
    digests = [store.add(file) for file in files]
    objects = [store.objects(digest) if store.is_embedded else {} for digest in digests]
    return [
        Held(digest, {name: path.read_bytes() if name.endswith(DIR) else path for name, path in stored.items()})
        for digest, stored in zip(digests, objects, strict=True)
    ]


def _examined(path: Path) -> Held:
    if not path.is_dir():
        digest = digest_of_file(path)
        return Held(digest, {digest.md5: path})
    members = read_folder(path, only_digested)
    digest, listing = digest_of_members(members)
    return Held(digest, {digest.md5: listing, **{member.md5: path / member.path for member in members}})


def committed(place: Workplace, snapshot: Snapshot, held: Sequence[Held]) -> Edits:
    """Return the objects that a store inside the repository gets with a commit; none where bytes go to a real remote.

    Raises RegistryError for files that are too large for git.
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
