"""One model as its history tells it: each version with its life, its papers and what was said of it; nothing from a cache.

What cannot be known is said (`gaps`), never filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from gitops_registry import paths
from gitops_registry.audit.anchors import Anchor, anchor
from gitops_registry.audit.decision import Event, entries_of
from gitops_registry.audit.entries import DEPLOYED, Entry
from gitops_registry.audit.ledger import events, of_version
from gitops_registry.audit.proof import Approval, Author
from gitops_registry.auditing.exporting import decided
from gitops_registry.auditing.rejudging import verdicts
from gitops_registry.errors import RegistryError
from gitops_registry.history import departed
from gitops_registry.manifest.facts import Evaluation, Version
from gitops_registry.manifest.kinds import Card, Model
from gitops_registry.policy.data import measurements
from gitops_registry.policy.report import Verdict
from gitops_registry.reference import Reference
from gitops_registry.workplace import Workplace


@dataclass(frozen=True)
class Deployment:
    """One time that a version came to a stage that serves: the decision, and what policies say of it, judged again."""

    event: Event
    stage: str
    verdicts: tuple[Verdict, ...] | None

    @property
    def approvals(self) -> tuple[Approval, ...]:
        """The approvals that count."""
        return tuple(one for one in self.event.approvals or () if not one.problem and not one.is_rejection)


@dataclass
class Case:
    """One version. `facts`, `card` and `evaluations` are those that were last there, also of a version that was deleted."""

    number: int
    state: str
    decisions: list[Event] = field(default_factory=list)
    facts: Version | None = None
    card: Card = field(default_factory=Card)
    evaluations: list[Evaluation] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    problem: str = ""

    @property
    def entries(self) -> list[Entry]:
        """Its events, oldest first."""
        return [entry for event in self.decisions for entry in entries_of(event)]

    @property
    def registration(self) -> Event | None:
        """The decision that registered it; None where it is not in the history."""
        return next((e for e in self.decisions if any(c.kind == "version_registered" for c in e.changes)), None)

    @property
    def registrants(self) -> tuple[Author, ...]:
        """Who registered it: whoever wrote it, and not whoever merged that; none where nobody is known."""
        return self.registration.makers if self.registration else ()

    @property
    def is_proved(self) -> bool:
        """Whether everybody who registered it is known by their key."""
        return bool(self.registrants) and all(one.grade == "verified" for one in self.registrants)


class Casebook:
    """A model under all its names. Raises NotFound where there never was one."""

    def __init__(self, place: Workplace, name: str) -> None:
        self.place = place
        self.tip = decided(place)
        self._snapshot = place.snapshot(self.tip)
        self.name = self._snapshot.present_name(name)
        model = self._snapshot.model(self.name)
        if model is None or not model.removed:
            model = self._snapshot.known_model(self.name)
        self.model: Model = model
        self._walk_once(self.name)
        self.decisions = list(events(place.repository, self.tip, name=self.name, anew=True))[::-1]
        for former in self.former_names:
            self._walk_once(former)

    def _walk_once(self, name: str) -> None:
        """Have the history of a name read once, and not again for each deployment that is judged."""
        self.place.repository.walk_once(self.tip, f"{paths.MODELS}/{name}", f"cards/{name}")

    @property
    def registry(self) -> str:
        """The registry's name."""
        return self._snapshot.constitution.name

    @cached_property
    def anchor(self) -> Anchor:
        """What outside of the history says how it begins."""
        return anchor(self.place.repository, self.tip)

    @property
    def former_names(self) -> list[str]:
        """What the model was called before, oldest first."""
        return [change.model for event in self.decisions for change in event.changes if change.kind == "model_renamed"]

    @cached_property
    def cases(self) -> list[Case]:
        """Every version that there ever was, in order of their numbers."""
        numbers = {
            change.version
            for event in self.decisions
            for change in event.changes
            if change.kind in {"version_registered", "version_deleted"} and change.version
        } | set(self._snapshot.versions(self.name))
        return [self._case(number) for number in sorted(numbers)]

    def _case(self, number: int) -> Case:
        reference = Reference(self.name, number)
        own = list(of_version(self.decisions[::-1], reference))[::-1]
        case = Case(number, self._state(reference), own)
        try:
            where = self._papers(reference)
            if where is not None:
                snapshot, there = self.place.snapshot(where[0]), where[1]
                case.facts, case.card = snapshot.version(*there), snapshot.card(*there)
                case.evaluations = measurements(snapshot, there)
        except RegistryError as error:
            case.problem = error.message
        whole = {event.commit.oid: event for event in self.decisions}
        for event in own:
            for entry in entries_of(event):
                if entry.event == DEPLOYED:
                    case.deployments.append(self._deployment(whole[event.commit.oid], entry))
        return case

    def _deployment(self, event: Event, entry: Entry) -> Deployment:
        found = verdicts(self.place, event)
        own = (
            None
            if found is None
            else tuple(one for one in found if (one.model, one.version) == (entry.model, entry.version))
        )
        return Deployment(event, str(entry.after), own)

    def _state(self, reference: Reference) -> str:
        if reference.number not in self._snapshot.versions(self.name):
            return "deleted"
        return self.model.stage_of(reference.number) or self._snapshot.constitution.first_stage

    def _papers(self, reference: Reference) -> tuple[str, Reference] | None:
        if reference.number in self._snapshot.versions(self.name):
            return self.tip, reference
        return departed(self.place.repository, self.tip, *reference)


def signers_of(found: Sequence[Event]) -> set[str]:
    """Return the members who are proved to have made decisions."""
    return {event.signer for event in found if event.signer}
