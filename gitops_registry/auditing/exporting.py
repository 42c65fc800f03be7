"""Every event of a history, oldest first, as it is read from git: whole, or what came after a checkpoint.

First the decisions, then the pushes that were refused where a server's record is. A checkpoint is written when all of it was
handed over, and never before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from gitops_registry.audit.anchors import anchor
from gitops_registry.audit.decision import entries_of
from gitops_registry.audit.deriving import decisions
from gitops_registry.audit.entries import Entry
from gitops_registry.audit.proof import spelled
from gitops_registry.audit.recorded import denied
from gitops_registry.auditing.checkpoint import Chain, Checkpoint, signed_here, told_anchor
from gitops_registry.auditing.outlets import Context, Format, Subject, header, line
from gitops_registry.auditing.rejudging import with_policies
from gitops_registry.errors import RegistryError
from gitops_registry.git.tags import tags
from gitops_registry.receiving.updates import tag_name
from gitops_registry.workplace import Workplace

_DIFFERS = "see what differs: gitops-registry audit verify --checkpoint FILE"


@dataclass
class Export:
    """One export. `lines` yields its text once; `checkpoint` is then how far it went."""

    place: Workplace
    form: Format = "jsonl"
    last: Checkpoint | None = None
    root: str = ""
    judges: bool = False

    def __post_init__(self) -> None:
        self._tip = decided(self.place)
        self._events = self.last.events if self.last else Chain()
        self._refusals = self.last.refusals if self.last else Chain()
        self._is_whole = False
        if self.last is not None and not self.place.repository.follows(self._tip, self.last.head):
            raise RegistryError(
                f"this history does not go on from the checkpoint at {self.last.head[:12]}: it was rewritten, or is another one",
                hint=_DIFFERS,
            )
        if self.last is not None:
            _hold_to(self.place, self._tip, self.last)

    def lines(self) -> Iterator[str]:
        """Yield the events in the format, oldest first, each with the end of its line; a heading before the first of all."""
        if self.last is None and (first := header(self.form)):
            yield first
        found = anchor(self.place.repository, self._tip, self.root)
        told = told_anchor(found, self.last) if found.is_there or self.last else ""
        name = self.place.snapshot(self._tip).constitution.name
        context = Context(name, told, _subjects(self.place))
        for entry in self._entries():
            yield line(self.form, entry, context)
        self._is_whole = True

    def _entries(self) -> Iterator[Entry]:
        for event in decisions(self.place.repository, self._tip, self.last.head if self.last else ""):
            entries = entries_of(event)
            for entry in with_policies(self.place, event, entries) if self.judges else entries:
                self._events = self._events.with_event(entry.id)
                yield entry
        known = self.last.refusals if self.last else Chain()
        chain = Chain()
        for entry in denied(self.place.repository):
            if chain.count >= known.count:
                yield entry
            chain = chain.with_event(entry.id)
            if chain.count == known.count and chain != known:
                raise _altered_record()
        if chain.count < known.count:
            raise _altered_record()
        self._refusals = chain

    def checkpoint(self) -> Checkpoint:
        """Return how far this export went, signed where a key is configured here. Call it after the last line was taken."""
        assert self._is_whole, "the lines were not all taken"
        law = self.place.snapshot(self._tip).constitution
        found = Checkpoint(
            law.name, law.branch, self._tip, spelled(datetime.now(UTC).replace(microsecond=0)), self._events, self._refusals,
            tags_of(self.place),
        )  # fmt: skip
        return signed_here(self.place.repository, found)


def _hold_to(place: Workplace, tip: str, last: Checkpoint) -> None:
    """Raise RegistryError where going on from a checkpoint would sign what nobody said, or forget what it alone remembers."""
    snapshot = place.snapshot(tip)
    if last.signed and last.signature(place.witnesses, snapshot).state == "tampered":
        raise RegistryError("the checkpoint is not as it was signed: somebody changed it", hint=_DIFFERS)
    name = place.snapshot(last.head).constitution.name
    if last.registry != name:
        raise RegistryError(
            f"the checkpoint is of the registry {last.registry}, and this was {name} then", hint=_DIFFERS
        )
    there = tags_of(place)
    changed = next((tag for tag, oid in sorted(last.tags.items()) if there.get(tag) != oid), None)
    if changed is not None:
        what = "moved" if changed in there else "not here any more"
        raise RegistryError(
            f"the tag {changed} of the checkpoint is {what}",
            hint=f"bring it, where it is only missing here: git fetch --tags; {_DIFFERS}",
        )


def _altered_record() -> RegistryError:
    return RegistryError(
        "the server's record of refused pushes is not the one of the checkpoint: lines were changed or removed",
        hint="compare it with a backup of the server's repository",
    )


def decided(place: Workplace) -> str:
    """Return the last decision: of the branch that decisions land on, unless another revision was asked for."""
    return place.commit() if place.revision else place.tip()


def tags_of(place: Workplace) -> dict[str, str]:
    """Return the tags of this repository that speak of versions, each with the object that it names."""
    return {name: found.oid for name, found in tags(place.repository).items() if tag_name(f"refs/tags/{name}")}


def _subjects(place: Workplace) -> Callable[[Entry], Sequence[Subject]]:
    """Return what knows the files of the version that an event is about; nothing of what cannot be read there any more."""

    @lru_cache(maxsize=1024)
    def files(commit: str, model: str, number: int) -> tuple[Subject, ...]:
        try:
            version = place.snapshot(commit).version(model, number)
        except RegistryError:
            return ()
        return tuple(Subject(f"{model}@{number}/{a.file}", a.sha256) for a in version.artifacts) if version else ()

    return lambda entry: files(entry.commit, entry.model, entry.version) if entry.version and entry.commit else ()
