"""What git stores and prints, as values: commits, and the paths that differ. Pure, whatever the bytes are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gitops_registry.snapshot import PathChange

_ID = re.compile(r"[0-9a-f]{40}")


class Commit(NamedTuple):
    """One commit. `time` is the committer's, in seconds since 1970; `author_line` spells author and time as git does."""

    oid: str
    parents: tuple[str, ...]
    author: str
    email: str
    author_line: str
    committer: str
    committer_email: str
    tree: str
    time: int
    subject: str
    body: str

    def trailer(self, name: str) -> str:
        """Return the value of the last trailer of that name; empty where there is none."""
        return ["", *self.trailers(name)][-1]

    def trailers(self, name: str) -> list[str]:
        """Return the values of all trailers of that name, in order.

        Trailers are lines of the last paragraph, below the subject; a text that quotes one further up names none.
        """
        above, _, last = self.body.strip("\n").rpartition("\n\n")
        return [v.strip() for v in re.findall(rf"^{re.escape(name)}: (.*)$", last if above else "", re.MULTILINE)]


def raw_changes(told: str, *, commits: bool = False) -> Iterator[tuple[str, PathChange]]:
    """Yield ("", change) for git's raw lines and, where asked, (commit, an empty change) for commit headers."""
    return changes_in(iter(told.split("\0")), commits=commits)


def changes_in(tokens: Iterator[str], *, commits: bool = False) -> Iterator[tuple[str, PathChange]]:
    """Yield what `raw_changes` does, from what git ends with NUL each."""
    for token in tokens:
        word = token.strip("\n")
        if commits and _ID.fullmatch(word):
            yield word, PathChange("", "", "", "", "")
        elif word.startswith(":"):
            old_mode, new_mode, old_oid, new_oid, _ = word[1:].split(" ")
            there, here = old_mode != "000000", new_mode != "000000"
            path = next(tokens)
            yield (
                "",
                PathChange(
                    path,
                    old_mode if there else "",
                    new_mode if here else "",
                    old_oid if there else "",
                    new_oid if here else "",
                ),
            )


def by_commit(told: Iterable[tuple[str, PathChange]]) -> Iterator[tuple[str, list[PathChange]]]:
    """Yield each commit of a listing (`changes_in` with commits) with the paths it changed, in order."""
    step: tuple[str, list[PathChange]] | None = None
    for oid, change in told:
        if oid:
            if step:
                yield step
            step = (oid, [])
        elif step:
            step[1].append(change)
    if step:
        yield step


def parse_commit(oid: str, data: bytes) -> Commit:
    """Return the commit in an object's bytes; what it does not say is empty."""
    head, _, text = data.decode(errors="replace").partition("\n\n")
    fields = [line.split(" ", 1) for line in head.split("\n") if not line.startswith(" ")]
    first = dict(reversed([(f[0], f[1]) for f in fields if len(f) == 2]))
    author = re.match(r"(.*?) ?<([^>]*)>", first.get("author", ""))
    committer = re.match(r"(.*?) ?<([^>]*)>", first.get("committer", ""))
    when = re.search(r"> (\d+) ", first.get("committer", ""))
    return Commit(
        oid=oid,
        parents=tuple(f[1] for f in fields if f[0] == "parent"),
        author=author[1] if author else "",
        email=author[2] if author else "",
        author_line=first.get("author", ""),
        committer=committer[1] if committer else "",
        committer_email=committer[2] if committer else "",
        tree=first.get("tree", ""),
        time=int(when[1]) if when else 0,
        subject=text.split("\n", 1)[0],
        body=text,
    )
