"""`release-tags`: an annotated tag NAME@N on the decision that registered each version, for whoever reads tags only.

A tag is a copy for people and their tools. What the registry says is what its files say; a tag that says something else
is found, and never moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gitops_registry.errors import RegistryError
from gitops_registry.git.remote import how_to_follow
from gitops_registry.git.tags import NewTag, Tagged, make_tags, push_tags, tags, tags_at
from gitops_registry.gto import is_on
from gitops_registry.milestones import registered
from gitops_registry.reference import Reference
from gitops_registry.tag_look import Agreement
from gitops_registry.tagging import agree
from gitops_registry.workplace import Workplace

State = Literal["missing", "there", "elsewhere"]


@dataclass(frozen=True)
class Release:
    """The tag of one version: the decision it stands for, and how it is: `elsewhere` marks another commit, `found`."""

    reference: Reference
    commit: str
    state: State
    found: str = ""
    where: str = ""
    """The remote, for what is elsewhere at a remote; empty for this repository."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        told = {"tag": str(self.reference), "commit": self.commit, "state": self.state}
        return told | ({"found": self.found, "where": self.where or "here"} if self.found else {})


@dataclass(frozen=True)
class Released:
    """The tags of all versions in order of name and number, as they were before; which of them were made, and pushed where."""

    releases: tuple[Release, ...]
    made: tuple[str, ...] = ()
    pushed: tuple[str, ...] = ()
    remote: str = ""
    of_gto: Agreement | None = None
    """What was made and pushed for GTO and DVC, where the registry says `interop: gto`."""

    @property
    def wrong(self) -> tuple[Release, ...]:
        """The tags that stand for another decision than the one that registered their version."""
        return tuple(one for one in self.releases if one.state == "elsewhere")

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "tags": [one.to_json() for one in self.releases], "made": list(self.made), "pushed": list(self.pushed),
            "remote": self.remote or None, **({"gto": self.of_gto.to_json()} if self.of_gto else {}),
        }  # fmt: skip


def release_tags(place: Workplace, *, to_remote: bool = False, dry_run: bool = False) -> Released:
    """Tag what was registered where a tag is missing, and with `to_remote` push what the remote has not.

    Raises RegistryError in a shallow clone, where there is no remote to push to or it refuses (the tags made here stay, and the
    same call goes on), Moved where somebody else tags at the same time.
    """
    if place.mirror is not None or place.revision is not None:
        raise RegistryError(
            "tags are made in a clone, on the branch as it is now", hint="git clone it, and run it there"
        )
    remote = place.follows if to_remote else ""
    if to_remote and not remote:
        raise RegistryError(
            f"{place.branch} follows no branch of a remote", hint=how_to_follow(place.repository, place.branch)
        )
    decisions = registered(place)
    there = tags_at(place.repository, remote) if remote else {}
    here = tags(place.repository)
    releases = [_release(reference, oid, here, there, remote) for reference, oid in decisions.items()]
    right = {str(one.reference): one.commit for one in releases if one.state != "elsewhere"}
    made = tuple(name for name in right if name not in here)
    lacking = tuple(name for name in right if name not in there) if remote else ()
    if not dry_run:
        place.tell(f"tagging {len(made)} versions" if made else "")
        commits = {name: place.repository.commit(right[name]) for name in made}
        make_tags(place.repository, {name: NewTag(one.oid, one.time, one.subject) for name, one in commits.items()})
        push_tags(place.repository, remote, lacking, place.progress)
        place.tell("")
    is_kept = is_on(place.snapshot(place.tip()))
    of_gto = agree(place, remote=remote, dry_run=dry_run) if is_kept else None
    return Released(tuple(releases), made, lacking, remote, of_gto)


def _release(
    reference: Reference, commit: str, here: Mapping[str, Tagged], there: Mapping[str, Tagged], remote: str
) -> Release:
    name = str(reference)
    for tagged, where in ((here.get(name), ""), (there.get(name), remote)):
        if tagged is not None and tagged.commit != commit:
            return Release(reference, commit, "elsewhere", tagged.commit, where)
    return Release(reference, commit, "there" if name in here and (not remote or name in there) else "missing")
