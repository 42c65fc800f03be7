"""Git history as events: what each decision changed, and who held a stage when.

A decision is one step of the first-parent history. It is read by the same semantic diff that judged it. No
answer comes from a message somebody wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gitops_registry import paths
from gitops_registry.changes import Change, to_json
from gitops_registry.difference import diff
from gitops_registry.errors import ManifestError, NotFound
from gitops_registry.git.parsing import Commit
from gitops_registry.git.repository import EMPTY_TREE, Repository
from gitops_registry.manifest.kinds import Model
from gitops_registry.manifest.reading import MAX_BYTES, parse
from gitops_registry.policy.report import Alteration
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot

_IMMUTABLE = frozenset({"version", "pointer", "evaluation"})
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""


@dataclass(frozen=True)
class Event:
    """One decision. `problem` says why its changes could not be read, where they could not."""

    commit: Commit
    changes: tuple[Change, ...]
    problem: str = ""

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
            "changes": [to_json(change) for change in self.changes],
        }
        return data | ({"problem": self.problem} if self.problem else {})


def reason_of(commit: Commit) -> str:
    """Return what a commit's message says between its subject and our trailers."""
    paragraphs = commit.body.strip().split("\n\n")[1:]
    return "\n\n".join(part for part in paragraphs if not part.startswith("Proposal: ")).strip()


def events(repository: Repository, tip: str, *, name: str = "", limit: int | None = None) -> Iterator[Event]:
    """Yield the decisions that touched a model (or anything, without a name), newest first.

    Raises RegistryError in a shallow clone.
    """
    folders = (f"{paths.MODELS}/{name}", f"cards/{name}") if name else ()
    for oid, changed in repository.steps(tip, *folders, limit=limit):
        commit = repository.commit(oid)
        parent = commit.parents[0] if commit.parents else EMPTY_TREE
        before, after = Snapshot(repository.source(parent)), Snapshot(repository.source(oid))
        try:
            changes = tuple(diff(before, after, changed)) if _is_registry(before, after) else ()
            yield Event(commit, changes)
        except (ManifestError, NotFound) as error:
            yield Event(commit, (), error.message)


def _is_registry(*sides: Snapshot) -> bool:
    return any(side.read(paths.CONSTITUTION) is not None for side in sides)


def states(repository: Repository, tip: str, name: str) -> Iterator[tuple[str, Model | None, Model | None]]:
    """Yield (commit, model before, model after) for every decision that touched `model.yaml`, newest first."""
    path = paths.model_path(name)
    for oid, changed in repository.steps(tip, path):
        change = next((change for change in changed if change.path == path), None)
        if change is not None:
            yield oid, _state(repository, path, change.old_oid), _state(repository, path, change.new_oid)


def _state(repository: Repository, path: str, oid: str) -> Model | None:
    if not oid:
        return None
    try:
        data = repository.source(oid).read_object(oid, path, MAX_BYTES)
        return None if data is None else parse(data, path, Model).document
    except ManifestError:
        return None


def held(repository: Repository, tip: str, name: str, stage: str) -> tuple[int, ...]:
    """Return the versions that decisions put into a stage, in order of number."""
    found: set[int] = set()
    for _, _, after in states(repository, tip, name):
        found |= set(after.stages.get(stage, ())) if after else set()
    return tuple(sorted(found))


def altered(repository: Repository, tip: str, folder: str = paths.MODELS) -> dict[Reference, Alteration]:
    """Return the versions below a folder whose facts are not those they were registered with.

    A file that has its first bytes again is as it was.
    """
    first: dict[str, tuple[str, str]] = {}
    last: dict[str, tuple[str, str]] = {}
    for oid, changed in repository.steps(tip, folder):  # newest first
        for change in changed:
            if paths.place_of(change.path).role in _IMMUTABLE:
                last.setdefault(change.path, (change.new_oid, oid))
                first[change.path] = (change.new_oid or change.old_oid, oid)
    found: dict[Reference, Alteration] = {}
    for path, (now, changed_in) in last.items():
        registered, brought_in = first[path]
        if now != registered:
            place = paths.place_of(path)
            found.setdefault(Reference(place.model, place.version), Alteration(path, changed_in, brought_in))
    return found


@dataclass(frozen=True)
class Return:
    """What a rollback goes back to: the version, and the stage each present holder came from."""

    reference: Reference
    back: Mapping[int, str]


def before_present(
    repository: Repository, tip: str, snapshot: Snapshot, *, name: str, stage: str, to: int | None = None
) -> Return:
    """Return who held a stage before whoever holds it now, read from history (or `to`, if that was it).

    Raises NotFound where nobody else ever held it, or `to` never did.
    """
    present = set(snapshot.in_stage(name, stage))
    if to in present:
        raise NotFound(f"version {to} of {name} is in {stage} already", hint=f"see: gitops-registry show {name}")
    there = set(snapshot.versions(name)) if to is None else {to}
    back: dict[int, str] = {}
    for _, before, after in states(repository, tip, name):
        for number in present:
            was = before.stage_of(number) if before else None
            if number not in back and after and after.stage_of(number) == stage and was != stage:
                back[number] = was or snapshot.constitution.first_stage
        earlier = (set(before.stages.get(stage, ())) if before else set()) - present
        if earlier & there:
            return Return(Reference(name, max(earlier & there)), back)
    who = f"version {to}" if to is not None else "no other version"
    raise NotFound(
        f"{who} of {name} {'never' if to is not None else 'ever'} was in {stage}",
        hint=f"see: gitops-registry log {name}",
    )
