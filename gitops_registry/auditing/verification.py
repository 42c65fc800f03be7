"""Does a history hold? Every decision, oldest first, under the rules and keys of the one before it; nothing is read from a cache.

What breaks a promise is a breach, with its commit. What nobody can prove here, and broke nothing, is a note: decisions before
members had keys, what a forge's button made, a history without an anchor.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gitops_registry import paths
from gitops_registry.audit.anchors import Anchor, anchor
from gitops_registry.audit.decision import Event, entries_of
from gitops_registry.audit.deriving import Landed, judged
from gitops_registry.audit.recorded import Receipt, receipts
from gitops_registry.audit.walking import LARGEST_COMMIT, Step, is_registry
from gitops_registry.auditing import contents
from gitops_registry.auditing.anchoring import comparisons
from gitops_registry.auditing.authorship import Deciders
from gitops_registry.auditing.checkpoint import Chain, Checkpoint
from gitops_registry.auditing.exporting import decided
from gitops_registry.auditing.findings import Breach, Note
from gitops_registry.auditing.keeping import Keeper
from gitops_registry.auditing.rejudging import JUDGED, verdicts
from gitops_registry.errors import RegistryError
from gitops_registry.git.line import ids
from gitops_registry.identity import Witnesses
from gitops_registry.workplace import Workplace


@dataclass
class Verification:
    """One look at a history. `breaches` yields what is wrong as it is found; afterwards the rest says what was looked at.

    `objects`: whether git's own objects are looked at too, byte for byte (`git fsck`); `policies`: whether policies judge
    each decision again; `is_strict`: whether what a forge alone attests is a breach.
    """

    place: Workplace
    checkpoint: Checkpoint | None = None
    root: str = ""
    objects: bool = True
    policies: bool = False
    is_strict: bool = False
    grades: Counter[str] = field(default_factory=Counter)
    notes: list[Note] = field(default_factory=list)
    commits: int = 0
    unjudged: int = 0
    events: Chain = field(default_factory=Chain)
    anchor: Anchor = field(default_factory=Anchor)
    head: str = ""

    def breaches(self) -> Iterator[Breach]:
        """Yield every breach. Raises RegistryError in a shallow clone, and where git cannot read on."""
        repository = self.place.repository
        repository.need_history("verifying it")
        self.head = decided(self.place)
        if self.objects:
            yield from (Breach("objects", "", f"git fsck: {line}") for line in repository.broken_objects())
        witnesses = Witnesses(repository)
        keeper = Keeper()
        deciders = Deciders(self.place, witnesses, _received(self.place, self.head), self.is_strict)
        at_checkpoint: Chain | None = None
        previous = ""
        try:
            for step, event, landed in judged(repository, witnesses, self.head):
                self.commits += 1
                yield from _chained(step, previous)
                yield from _sized(step)
                yield from _judge(step, event, landed, deciders, keeper)
                yield from self._policies(event)
                for entry in entries_of(event) if event else ():
                    self.events = self.events.with_event(entry.id)
                self._count(event)
                previous = step.commit.oid
                if self.checkpoint and previous == self.checkpoint.head:
                    at_checkpoint = self.events
        except RegistryError as error:
            yield Breach("chain", previous, f"the history cannot be read on after it: {error.message}")
        self.notes += deciders.notes()
        try:
            yield from comparisons(self.place, witnesses, self.head, self.checkpoint, at_checkpoint, keeper)
        except RegistryError as error:
            yield Breach("unreadable", self.head, error.message)
        yield from self._anchored()

    def _policies(self, event: Event | None) -> Iterator[Breach]:
        """Yield the rules of policies that refused a decision then, judged again; only where that was asked for."""
        if not self.policies or event is None or not any(change.kind in JUDGED for change in event.changes):
            return
        found = verdicts(self.place, event)
        if found is None:
            self.unjudged += 1
        for one in found or ():
            if one.is_in_the_way and one.result != "not-checked":
                told = f"{one.policy}/{one.rule} refused {one.model}@{one.version} for {one.stage}: {one.message}"
                yield Breach("policies", event.commit.oid, told, one.path)
            self.unjudged += one.is_in_the_way and one.result == "not-checked"

    def _count(self, event: Event | None) -> None:
        if event is not None:
            self.grades[event.grade] += 1

    def _anchored(self) -> Iterator[Breach]:
        self.anchor = anchor(self.place.repository, self.head, self.root)
        if self.anchor.problem:
            yield Breach("root", "", self.anchor.problem)
        if self.checkpoint is not None and b"\ngpgsig " not in self.checkpoint.signed:
            told = "the checkpoint is not signed: it is as good as the place where it was kept"
            self.notes.append(Note("checkpoint", told))
        if not self.anchor.root and self.checkpoint is None:
            self.notes.append(Note("anchor", str(self.anchor)))
        if not self.policies:
            self.notes.append(
                Note(
                    "policies",
                    "not checked: whether a policy of its time refused a decision (--policies asks them again)",
                )
            )
        elif self.unjudged:
            self.notes.append(
                Note("policies", f"not checked: {self.unjudged} rules or decisions could not be judged again")
            )
        self.notes.append(Note("bytes", "the bytes of artifacts are another question: gitops-registry verify --deep"))

    def to_json(self, breaches: list[Breach]) -> dict[str, Any]:
        """Return what was found as JSON-ready data."""
        return {
            "ok": not breaches, "head": self.head, "commits": self.commits, "decisions": sum(self.grades.values()),
            "events": self.events.count, "digest": self.events.digest, "grades": dict(self.grades), "anchor": self.anchor.to_json(),
            "checkpoint": self.checkpoint.to_json() if self.checkpoint else None,
            "breaches": [one.to_json() for one in breaches], "notes": [one.to_json() for one in self.notes],
        }  # fmt: skip


def _received(place: Workplace, head: str) -> dict[str, datetime]:
    """Return commit → when the server took it, as far as it wrote that down: every decision of one push has one moment."""
    kept = {one.new: one for one in receipts(place.repository) if one.ref == place.ref}
    found: dict[str, datetime] = {}
    current: Receipt | None = None
    for oid in ids(place.repository, head) if kept else ():  # newest first
        current = kept.get(oid) or (current if current and current.old != oid else None)
        if current is not None:
            found[oid] = current.time
    return found


def _sized(step: Step) -> Iterator[Breach]:
    """A server takes no commit that is larger, and no signature of one is read."""
    if len(step.data) > LARGEST_COMMIT:
        yield Breach(
            "chain", step.commit.oid, f"a commit of {len(step.data):,} bytes: at most {LARGEST_COMMIT:,} are taken"
        )


def _chained(step: Step, previous: str) -> Iterator[Breach]:
    """The commit is what its id says, and follows the one before it: whatever git's grafts, graphs and caches say."""
    oid = hashlib.sha1(b"commit %d\0" % len(step.data) + step.data, usedforsecurity=False).hexdigest()
    if oid != step.commit.oid:
        yield Breach("chain", step.commit.oid, f"its bytes are those of another commit, {oid[:12]}: they were changed")
    if step.parent != previous:
        told = f"follows {step.parent[:12]}" if step.parent else "follows nothing"
        yield Breach(
            "chain", step.commit.oid, f"{told}, and the decision before it in the line is {previous[:12] or 'none'}"
        )


def _judge(
    step: Step, event: Event | None, landed: Landed | None, deciders: Deciders, keeper: Keeper
) -> Iterator[Breach]:
    """Yield what is wrong with one step; a rule that cannot be applied is a breach too, and hides none of the others."""
    if not is_registry(step.before) and not is_registry(step.after) and not deciders.line:
        return  # it was not started yet
    if not is_registry(step.after) or (deciders.line and not is_registry(step.before)):
        told = "the registry has no registry.yaml before or after it, so that nobody's rules hold"
        yield Breach("unreadable", step.commit.oid, told, paths.CONSTITUTION)
    if event is not None and event.problem:
        yield Breach("unreadable", step.commit.oid, event.problem)
    for look in (deciders.look, keeper.look, contents.look):
        try:
            yield from look(step, event, landed)
        except RegistryError as error:
            yield Breach("unreadable", step.commit.oid, error.message)
