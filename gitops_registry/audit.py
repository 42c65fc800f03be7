"""Git history as events: what each decision changed.

A decision is one step of the first-parent history. It is read by the same semantic diff that judged it. No
answer comes from a message somebody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from gitops_registry import paths
from gitops_registry.changes import Change, to_json
from gitops_registry.difference import diff
from gitops_registry.errors import ManifestError, NotFound
from gitops_registry.git.parsing import Commit
from gitops_registry.git.repository import EMPTY_TREE, Repository
from gitops_registry.history import past
from gitops_registry.identity import Signature, Witnesses
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot

_LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""


_BUTTONS = {
    "github": re.compile(
        r"\AMerge pull request #(\d+) from |\A[^\n]*\(#(\d+)\)$|^Pull-Request: \S+/pull/(\d+)$", re.MULTILINE
    ),
    "gitlab": re.compile(r"^See merge request \S*!(\d+)$|^Pull-Request: \S+/merge_requests/(\d+)$", re.MULTILINE),
    "gitea": re.compile(
        r"\AMerge pull request '[^\n]*' \(#(\d+)\) from |^Reviewed-on: \S+/pulls/(\d+)$|^Pull-Request: \S+/pulls/(\d+)$",
        re.MULTILINE,
    ),
}
"""What forges write into the commits that their own buttons make."""


class Attested(NamedTuple):
    """A decision that nobody of the registry signed and that says a forge's button made it: which forge, through which pull
    request, and whether as a merge. A forge could be asked; here it is what the commit says.
    """

    forge: str
    number: int
    is_merge: bool

    def __str__(self) -> str:
        if self.is_merge:
            return f"attested by {self.forge} (pull request {self.number}), not verifiable offline"
        return (
            f"pull request {self.number}, squashed or rebased on {self.forge}: what was reviewed is not in the history"
        )


@dataclass(frozen=True)
class Event:
    """One decision. `problem` says why its changes could not be read, where they could not.

    `signature` is judged by the keys of the registry it was made on (of the first one, by its own); None where nothing was
    signed and nobody has a key.
    """

    commit: Commit
    changes: tuple[Change, ...]
    problem: str = ""
    signature: Signature | None = None
    attested: Attested | None = None

    @property
    def pull_request(self) -> str:
        """The page of the pull request it landed, as whoever signed the merge says; empty where nobody does."""
        return self.commit.trailer("Pull-Request") if len(self.commit.parents) > 1 else ""

    @property
    def reviews(self) -> tuple[str, ...]:
        """The reviews on a forge that it took for approvals, as whoever signed the merge wrote them down."""
        return tuple(self.commit.trailers("Attested-Approval")) if len(self.commit.parents) > 1 else ()

    @property
    def proposal(self) -> str:
        """The proposal it landed, as the merge says; empty for a direct decision, whatever its message says."""
        return self.commit.trailer("Proposal") if len(self.commit.parents) > 1 else ""

    @property
    def reason(self) -> str:
        """Why it was decided, in the words of whoever did; empty where nobody said."""
        return reason_of(self.commit)

    @property
    def time(self) -> datetime:
        """When the decision was committed, in UTC, as far as a calendar reaches: who commits may write any number."""
        return datetime.fromtimestamp(min(self.commit.time, _LAST_SECOND), UTC)

    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON-ready data."""
        data: dict[str, Any] = {
            "commit": self.commit.oid,
            "time": self.time.isoformat().replace("+00:00", "Z"),
            "actor": {"name": self.commit.author, "email": self.commit.email},
            "subject": self.commit.subject,
            "reason": self.reason or None,
            "proposal": self.proposal or None,
            "pull_request": self.pull_request or None,
            "reviews": list(self.reviews),
            "attested": self.attested._asdict() if self.attested else None,
            "signature": self.signature.to_json() if self.signature else None,
            "changes": [to_json(change) for change in self.changes],
        }
        return data | ({"problem": self.problem} if self.problem else {})


def reason_of(commit: Commit) -> str:
    """Return what a commit's message says between its subject and our trailers."""
    paragraphs = commit.body.strip().split("\n\n")[1:]
    return "\n\n".join(part for part in paragraphs if not part.startswith("Proposal: ")).strip()


def events(repository: Repository, tip: str, *, name: str = "", limit: int | None = None) -> Iterator[Event]:
    """Yield the decisions that touched a model under all its names (or anything, without a name), newest first.

    Raises RegistryError in a shallow clone.
    """
    if not name:
        steps = repository.steps(tip, limit=limit)
    else:
        found = past(repository, tip, name, lambda called: (f"{paths.MODELS}/{called}", f"cards/{called}"))
        steps = islice(((oid, changed) for _, oid, changed in found), limit)
    witnesses = Witnesses(repository)
    for oid, changed in steps:
        commit = repository.commit(oid)
        parent = commit.parents[0] if commit.parents else EMPTY_TREE
        before, after = Snapshot(repository.source(parent)), Snapshot(repository.source(oid))
        try:
            changes, problem = tuple(diff(before, after, changed)) if _is_registry(before, after) else (), ""
        except (ManifestError, NotFound) as error:
            changes, problem = (), error.message
        signature = _signature(witnesses, oid, before, after)
        is_proved = signature is not None and signature.is_good
        yield Event(commit, changes, problem, signature, None if is_proved else _attested(commit, before))


def _signature(witnesses: Witnesses, oid: str, before: Snapshot, after: Snapshot) -> Signature | None:
    side = before if before.read(paths.CONSTITUTION) is not None else after
    try:
        found = witnesses.signature(oid, side)
        has_keys = any(member.keys for member in witnesses.members(side).members)
    except ManifestError as error:
        return Signature("unknown", problem=error.message)
    return found if has_keys or found.state != "unsigned" else None


def _attested(commit: Commit, before: Snapshot) -> Attested | None:
    """Return what a commit says about a forge's button; None in a registry whose pull requests are on no forge."""
    try:
        forge = before.constitution.forge
    except (ManifestError, NotFound):
        return None
    match = _BUTTONS[forge.kind].search(commit.body.strip()) if forge else None
    if forge is None or match is None:
        return None
    number = next(int(found) for found in match.groups() if found)
    return Attested(forge.kind, number, len(commit.parents) > 1)


def life(repository: Repository, tip: str, reference: Reference) -> Iterator[Event]:
    """Yield the decisions about one version, newest first, each with what it did to that version and nothing else.

    Raises RegistryError in a shallow clone.
    """
    names = {reference.name}
    for event in events(repository, tip, name=reference.name):
        names |= {change.before for change in event.changes if change.kind == "model_renamed" and change.after in names}
        own = tuple(change for change in event.changes if change.model in names and _concerns(change, reference.number))
        if own:
            yield replace(event, changes=own)


def _concerns(change: Change, number: int) -> bool:
    is_alias = change.kind in {"alias_set", "alias_removed"}
    return change.version == number or (is_alias and number in {change.before, change.after})


def _is_registry(*sides: Snapshot) -> bool:
    return any(side.read(paths.CONSTITUTION) is not None for side in sides)
