"""What a history must never do to what was registered: change facts, use a number twice, forget a name, move a tag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gitops_registry import paths
from gitops_registry.audit.decision import Event
from gitops_registry.audit.deriving import Landed
from gitops_registry.audit.walking import Step
from gitops_registry.auditing.findings import Breach
from gitops_registry.changes import Change

Registered = dict[tuple[str, int], str]


@dataclass
class Keeper:
    """Remembers every number that a model ever had, under the names that it had, and the decisions that gave them."""

    numbers: dict[str, set[int]] = field(default_factory=dict)
    registered: Registered = field(default_factory=dict)
    line: set[str] = field(default_factory=set)

    def look(self, step: Step, event: Event | None, landed: Landed | None) -> Iterator[Breach]:  # noqa: ARG002
        """Yield what a decision did that is never done."""
        self.line.add(step.commit.oid)
        if event is None:
            return
        renamed = {change.model: str(change.after) for change in event.changes if change.kind == "model_renamed"}
        for old, new in renamed.items():
            self._rename(old, new)
        for change in event.changes:
            if change.kind == "immutable_violated":
                what = "was changed" if change.after else "was removed"
                yield Breach(
                    "immutable", step.commit.oid, f"{change.subject} {what} after it was registered", change.subject
                )
            elif change.kind == "version_registered":
                yield from self._registered(step, change)
            elif change.kind == "version_deleted":
                yield from self._deleted(step, change)
            elif change.kind in {"model_registered", "model_deleted", "model_updated"}:
                yield from self._name(step, change)

    def _rename(self, old: str, new: str) -> None:
        self.numbers[new] = self.numbers.get(new, set()) | self.numbers.get(old, set())
        for (name, number), commit in list(self.registered.items()):
            if name == old:
                self.registered[new, number] = commit

    def _registered(self, step: Step, change: Change) -> Iterator[Breach]:
        """Numbers count up. The same facts again are a number that is used again too: in between it meant nothing."""
        ever = self.numbers.setdefault(change.model, set())
        path = paths.version_path(change.model, change.version)
        if change.version in ever:
            first = self.registered.get((change.model, change.version), "")
            message = (
                f"version {change.version} of {change.model} is registered again; the number was given in {first[:12]}"
            )
            yield Breach("numbering", step.commit.oid, message, path)
        elif ever and change.version < max(ever):
            message = f"version {change.version} of {change.model} comes after version {max(ever)}: numbers count up"
            yield Breach("numbering", step.commit.oid, message, path)
        ever.add(change.version)
        self.registered.setdefault((change.model, change.version), step.commit.oid)

    def _deleted(self, step: Step, change: Change) -> Iterator[Breach]:
        model = step.after.model(change.model)
        if model is None or change.version not in model.deleted:
            message = f"version {change.version} of {change.model} was removed, and its number is not kept as deleted"
            yield Breach("numbering", step.commit.oid, message, paths.model_path(change.model))

    def _may_be_named(self, step: Step, change: Change) -> bool:
        """Whether a name is new, or that of a deleted model which keeps every number that it ever gave."""
        ever = self.numbers.get(change.model, set())
        if change.before is None:
            return not ever
        before, after = step.before.model(change.model), step.after.model(change.model)
        if before is None or after is None or not before.removed:
            return False
        return {*before.deleted, *ever} <= {*after.deleted}

    def _name(self, step: Step, change: Change) -> Iterator[Breach]:
        path = paths.model_path(change.model)
        if change.kind == "model_deleted" and change.after is None:
            yield Breach("names", step.commit.oid, f"{change.model} was removed without a trace", path)
        elif change.kind == "model_registered" and not self._may_be_named(step, change):
            yield Breach("names", step.commit.oid, f"the name {change.model} was spent, and is given again", path)
        elif change.kind == "model_updated" and change.subject == "renamed_to":
            yield Breach("names", step.commit.oid, f"the tombstone of {change.model} was changed", path)
        elif change.kind == "model_updated" and change.subject == "deleted" and change.after is None:
            message = f"number {change.version} of {change.model} is no longer kept as deleted"
            yield Breach("numbering", step.commit.oid, message, path)
