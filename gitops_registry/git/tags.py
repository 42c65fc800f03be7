"""Annotated tags: what there is here and at a remote, and new ones made in one go. No tag is ever moved.

An annotated tag is an object of its own, so it can say who made it, and be signed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gitops_registry.errors import Moved, RegistryError
from gitops_registry.git.landing import NO_COMMIT
from gitops_registry.git.process import run
from gitops_registry.git.remote import Progress, fetch, push
from gitops_registry.git.repository import Repository
from gitops_registry.git.signing import HINT, signing_key

FOLDER = "refs/tags/"


class Tagged(NamedTuple):
    """A tag: the object that its ref names, the commit that it marks (the same for one without an object of its own), and
    when it was made, in seconds since 1970; 0 where it has no object that says so. `is_annotated`: it has an object of its own,
    which marks a commit and is called as its ref is; no other is read by GTO as it looks.
    """

    oid: str
    commit: str
    time: int = 0
    is_annotated: bool = False


class NewTag(NamedTuple):
    """A tag that is wanted: the commit it marks, its date in seconds since 1970, and its words."""

    commit: str
    time: int
    words: str


def tags(repository: Repository) -> dict[str, Tagged]:
    """Return the tags of this repository by name."""
    fields = ("refname", "objectname", "*objectname", "*objecttype", "taggerdate:unix", "tag")
    told = repository.run("for-each-ref", "--format=" + " ".join(f"%({field})" for field in fields), FOLDER)
    found = {}
    for line in told.splitlines():
        ref, oid, marked, kind, made, called = line.split(" ", 5)
        name = ref.removeprefix(FOLDER)
        found[name] = Tagged(oid, marked or oid, int(made or 0), kind == "commit" and called == name and bool(made))
    return found


def tags_within(repository: Repository, tip: str) -> set[str]:
    """Return the names of the tags of this repository that mark a commit of the history of `tip`."""
    told = repository.run("for-each-ref", f"--merged={tip}", "--format=%(refname)", FOLDER)
    return {ref.removeprefix(FOLDER) for ref in told.splitlines()}


def take_back(repository: Repository, made: Mapping[str, Tagged]) -> None:
    """Take tags away that were made here and that nobody else has seen, each where it is still the one that was made."""
    asked = "".join(f"delete {FOLDER}{name} {tag.oid}\n" for name, tag in made.items())
    if asked:
        run(repository.folder, "update-ref", "--stdin", stdin=asked.encode(), held=repository.held)


def tags_at(repository: Repository, remote: str) -> dict[str, Tagged]:
    """Return the tags of a remote by name. Raises RegistryError where it cannot be reached."""
    try:
        told = repository.run("ls-remote", "--tags", remote)
    except RegistryError as error:
        raise RegistryError(
            f"{remote} cannot be asked for its tags: {error.message}", hint="try again when it can be reached"
        ) from error
    lines = (line.split("\t") for line in told.splitlines() if "\t" in line)
    found = {ref.removeprefix(FOLDER): oid for oid, ref in lines}
    return {
        name: Tagged(oid, found.get(f"{name}^{{}}", oid)) for name, oid in found.items() if not name.endswith("^{}")
    }


def make_tags(repository: Repository, wanted: Mapping[str, NewTag]) -> None:
    """Make tags that are not there, by name.

    Whoever works here is the tagger. They are made all or none; or, where commits are signed, one after the other, for git
    signs one at a time. Raises Moved where one of the names was taken meanwhile, RegistryError where git cannot sign.
    """
    who = repository.signature("COMMITTER").rsplit(" ", 2)[0]
    try:
        if signing_key(repository):
            for name, tag in wanted.items():
                _sign(repository, name, tag)
        elif wanted:
            texts = {name: _text(name, tag, who) for name, tag in wanted.items()}
            lines = [f"create {FOLDER}{name} {oid}" for name, oid in _written(repository, texts).items()]
            asked = "\n".join(["start", *lines, "commit", ""])
            run(repository.folder, "update-ref", "--stdin", stdin=asked.encode(), held=repository.held)
    except RegistryError as error:
        there = tags(repository)
        if taken := [name for name, tag in wanted.items() if name in there and there[name].commit != tag.commit]:
            raise Moved(f"the tag {taken[0]} was made elsewhere meanwhile", hint="try again") from error
        raise


def _text(name: str, tag: NewTag, who: str) -> bytes:
    head = f"object {tag.commit}\ntype commit\ntag {name}\ntagger {who} {tag.time} +0000\n\n"
    return (head + f"{tag.words}\n").encode(errors="surrogateescape")


def _written(repository: Repository, texts: Mapping[str, bytes]) -> dict[str, str]:
    """Write tag objects, checked by git, in one process; return their ids by name."""
    with tempfile.TemporaryDirectory(prefix="gitops-registry-") as folder:
        files = [Path(folder) / str(number) for number in range(len(texts))]
        for file, text in zip(files, texts.values(), strict=True):
            file.write_bytes(text)
        asked = "".join(f"{file}\n" for file in files).encode(errors="surrogateescape")
        told = run(repository.folder, "hash-object", "-t", "tag", "-w", "--no-filters", "--stdin-paths", stdin=asked)
    return dict(zip(texts, told.decode().split(), strict=True))


def _sign(repository: Repository, name: str, tag: NewTag) -> None:
    """Make one signed tag; git refuses a name that is taken."""
    arguments = ("-c", "gpg.format=ssh", "tag", "-s", "--cleanup=verbatim", "-F", "-", name, tag.commit)
    try:
        run(
            repository.folder,
            *arguments,
            stdin=f"{tag.words}\n".encode(errors="surrogateescape"),
            extra={"GIT_COMMITTER_DATE": f"@{tag.time} +0000"},
            held=repository.held,
        )
    except RegistryError as error:
        raise RegistryError(f"git could not sign the tag {name}: {error.message}", hint=HINT) from error
    made = repository.run("rev-parse", f"{FOLDER}{name}").strip()
    found = repository.objects.get(made)
    if found is None or b"\n-----BEGIN SSH SIGNATURE-----\n" not in (found.data or b""):
        repository.run("update-ref", "-d", f"{FOLDER}{name}", made)  # git calls it done where ssh-keygen has no key
        raise RegistryError(f"git could not sign the tag {name}", hint=HINT)


def fetch_tags(repository: Repository, remote: str, names: Iterable[str]) -> None:
    """Bring tags of a remote here by name; none that is here is changed. Raises RegistryError where it cannot be reached."""
    refs = [f"{FOLDER}{name}:{FOLDER}{name}" for name in names]
    if refs:
        fetch(repository, remote, None, refs=refs)


def push_tags(repository: Repository, remote: str, names: Sequence[str], progress: Progress | None = None) -> None:
    """Bring tags that a remote has not there, all or none. Raises RegistryError where it refuses; the tags stay here."""
    moves = {f"{FOLDER}{name}": (NO_COMMIT, f"{FOLDER}{name}") for name in names}
    if moves:
        hint = "the same command goes on from there"
        push(repository, remote, moves, progress=progress, hint=hint)
