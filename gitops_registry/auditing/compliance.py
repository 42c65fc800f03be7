"""A model held to a profile: for each requirement and each version met, not met, or not checked, with what was found.

What nobody can know here is not checked, and never met. A profile is somebody's list: that all of it is met says no more than
that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from gitops_registry.audit.decision import Event, entries_of
from gitops_registry.audit.entries import DEPLOYED, TYPES, Entry
from gitops_registry.auditing.casebook import Case, Casebook
from gitops_registry.card.words import unfinished
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.manifest.facts import Version
from gitops_registry.manifest.kinds import Card, Model
from gitops_registry.manifest.parts import Document
from gitops_registry.manifest.profiles import ApprovalsNeeded, EventNeeded, Profile, Requirement, RetentionNeeded
from gitops_registry.manifest.reading import MAX_BYTES, parse
from gitops_registry.reference import did_you_mean
from gitops_registry.workplace import digest_of

Outcome = Literal["met", "not met", "not checked"]
Found = tuple[Outcome, str]


@dataclass(frozen=True)
class Answer:
    """What one requirement came to for one version (0: for the model as a whole), and why."""

    requirement: Requirement
    version: int
    outcome: Outcome
    found: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "requirement": self.requirement.id, "title": self.requirement.title, "source": self.requirement.source or None,
            "version": self.version or None, "outcome": self.outcome, "found": self.found,
        }  # fmt: skip


def shipped() -> dict[str, bytes]:
    """Return name → text of the profiles that come with the package, in order of name."""
    folder = resources.files("gitops_registry") / "templates" / "profiles"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file.read_bytes() for file in files if file.name.endswith(".yaml")}


def profile(named: str) -> Profile:
    """Return the profile of that name that is shipped, or the one in a file.

    Raises NotFound where there is neither, ManifestError for a file that is none.
    """
    known = shipped()
    if named in known:
        return parse(known[named], named, Profile).document
    file = Path(named)
    try:
        if not file.is_file():
            raise NotFound(
                f"no profile is called {named!r}, and there is no such file", hint=did_you_mean(named, tuple(known))
            )
        with file.open("rb") as reader:
            found = parse(reader.read(MAX_BYTES + 1), named, Profile).document
    except OSError as error:
        raise RegistryError(
            f"cannot read the profile {named}: {error.strerror}", hint="name a file that can be read"
        ) from error
    _know(found, named)
    return found


_SIDES: dict[str, type[Document]] = {"card": Card, "version": Version, "model": Model}


def _know(found: Profile, named: str) -> None:
    """Raise NotFound where a profile asks for an event or a field that there is none of."""
    fields = tuple(f"{side}.{name}" for side, kind in _SIDES.items() for name in kind.model_fields)
    for one in found.requirements:
        events = [one.policies, one.approvals.of if one.approvals else None]
        events += [one.event.type, one.event.before] if one.event else []
        for asked, known, what in ((events, TYPES, "event"), (one.documentation, fields, "field")):
            for word in filter(None, asked):
                if word not in known:
                    message = f"{named}: requirement {one.id!r}: there is no {what} {word}"
                    raise NotFound(message, hint=did_you_mean(word, known))


def answers(book: Casebook, asked: Profile, *, now: datetime | None = None) -> Iterator[Answer]:
    """Yield what each requirement comes to for each version that the profile is about, in order of the profile."""
    judge = _Judge(book, now or datetime.now(UTC))
    cases = [case for case in book.cases if _is_meant(case, asked, book)]
    for requirement in asked.requirements:
        if requirement.elsewhere:
            yield Answer(requirement, 0, "not checked", requirement.elsewhere)
        elif not cases:
            yield Answer(requirement, 0, "not checked", f"no version of {book.name} {_NOBODY[asked.versions]}")
        for case in cases if not requirement.elsewhere else ():
            yield Answer(requirement, case.number, *judge.found(requirement, case))


_NOBODY = {"all": "was ever registered", "deployed": "was ever deployed", "serving": "serves"}


def _is_meant(case: Case, asked: Profile, book: Casebook) -> bool:
    if asked.versions == "all":
        return True
    if asked.versions == "deployed":
        return bool(case.deployments)
    law = book.place.snapshot(book.tip).constitution
    stage = law.stage(case.state)
    return stage is not None and stage.serving


@dataclass(frozen=True)
class _Judge:
    book: Casebook
    now: datetime

    def found(self, asked: Requirement, case: Case) -> Found:
        ways: tuple[tuple[Any, Callable[[Any, Case], Found]], ...] = (
            (asked.event, self._event), (asked.approvals, self._approvals), (asked.documentation, self._documentation),
            (asked.policies, self._policies), (asked.retention, self._retention),
        )  # fmt: skip
        wanted, way = next((wanted, way) for wanted, way in ways if wanted)
        return way(wanted, case)

    def _event(self, wanted: EventNeeded, case: Case) -> Found:
        entries = case.entries
        last = len(entries)
        if wanted.before:
            last = next((at for at, entry in enumerate(entries) if entry.event == wanted.before), last)
            limit = next((entry.commit for entry in entries if entry.event == wanted.before), "")
            entries = [entry for at, entry in enumerate(entries) if at < last or entry.commit == limit]
            if wanted.type != "version_registered":  # what comes with the deployment came before nothing
                entries = [entry for entry in entries if entry.commit != limit]
        found = next(
            (e for e in entries if e.event == wanted.type and (wanted.to is None or e.after == wanted.to)), None
        )
        when = f" before {wanted.before}" if wanted.before else ""
        if found is None:
            return "not met", f"there is no {wanted.type}{f' to {wanted.to}' if wanted.to else ''}{when}"
        return "met", f"{_said(found)}"

    def _approvals(self, wanted: ApprovalsNeeded, case: Case) -> Found:
        decisions = [event for event in case.decisions if any(entry.event == wanted.of for entry in entries_of(event))]
        if not decisions:
            return "not checked", f"there is no {wanted.of}"
        outcomes = [self._approved(wanted, case, event) for event in decisions]
        worst = next((o for kind in ("not met", "not checked") for o in outcomes if o[0] == kind), None)
        return worst or ("met", "; ".join(found for _, found in outcomes))

    def _approved(self, wanted: ApprovalsNeeded, case: Case, event: Event) -> Found:
        where = f"in {event.commit.oid[:9]}"
        if event.approvals is None:
            return "not checked", f"who approved {where} cannot be read"
        given = [one for one in event.approvals if not one.problem and not one.is_rejection]
        counted = {
            one.member: one
            for one in given
            if one.grade in wanted.grades and (not wanted.roles or one.role in wanted.roles)
        }
        if wanted.independent:
            if counted and not case.is_proved:
                return (
                    "not checked",
                    f"nobody proved who registered version {case.number}, so nobody knows who is somebody else",
                )
            for one in case.registrants:
                counted.pop(one.name, None)
        if len(counted) >= wanted.count:
            names = ", ".join(f"{one.member} ({one.role or 'no role'}, {one.grade})" for one in counted.values())
            return "met", f"approved by {names} {where}"
        if event.attested is not None:
            return "not checked", f"{event.proof}: reviews {where} are for {event.attested.forge} to show"
        return "not met", f"{len(counted)} of {wanted.count} approvals {where}"

    def _documentation(self, fields: tuple[str, ...], case: Case) -> Found:
        if case.facts is None:
            return "not checked", case.problem or "its files are not in the history"
        sides: dict[str, Document] = {"card": case.card, "version": case.facts, "model": self.book.model}
        empty = []
        for path in fields:
            side, _, name = path.partition(".")
            is_prose = side == "card" and isinstance(getattr(sides[side], name), str)
            if (is_prose and unfinished(_card(sides[side]), [name])) or not getattr(sides[side], name):
                empty.append(path)
        return (
            ("not met", f"nothing is in {', '.join(empty)}") if empty else ("met", f"{', '.join(fields)} say something")
        )

    def _policies(self, of: str, case: Case) -> Found:
        if of != DEPLOYED:
            return "not checked", "policies are judged again for deployments alone"
        if not case.deployments:
            return "not checked", "it was never deployed"
        told = []
        for one in case.deployments:
            where = f"in {one.event.commit.oid[:9]}"
            if one.verdicts is None:
                return "not checked", f"the decision {where} cannot be judged again"
            failed = [f"{v.policy}/{v.rule}" for v in one.verdicts if v.is_in_the_way and v.result != "not-checked"]
            unknown = [
                f"{v.policy}/{v.rule}"
                for v in one.verdicts
                if v.result == "not-checked" and v.enforcement != "advisory"
            ]
            if failed:
                return "not met", f"{', '.join(failed)} refuse it {where}"
            if unknown or not one.verdicts:
                return (
                    "not checked",
                    f"{', '.join(unknown) or 'no policy'} {'cannot be judged' if unknown else 'was about it'} {where}",
                )
            waived = [f"{v.policy}/{v.rule} until {v.until}" for v in one.verdicts if v.result == "waived"]
            told.append(f"{len(one.verdicts)} rules {where}{', waived: ' + ', '.join(waived) if waived else ''}")
        return "met", "; ".join(told)

    def _retention(self, wanted: RetentionNeeded, case: Case) -> Found:
        start = case.registration
        if start is None:
            return "not met", "its registration is not in the history"
        if start.time < self.now - timedelta(days=wanted.days):
            return "met", f"it was registered more than {wanted.days} days ago"
        if wanted.bytes:
            if case.facts is None:
                return "not checked", case.problem or "its files are not in the history"
            store = self.book.place.store(self.book.place.snapshot(self.book.tip))
            for artifact in case.facts.artifacts:
                try:
                    state = store.presence(digest_of(artifact))
                except RegistryError as error:
                    return "not checked", f"the store cannot be asked: {error.message}"
                if state is None:
                    return "not checked", "the store cannot be asked for its bytes"
                if state != "present":
                    return "not met", f"{artifact.file} is {state} in the store"
        if not self.book.anchor.is_there:
            return "not checked", f"its events and files are there; {self.book.anchor}"
        return "met", "its events and files are there, in a history with an anchor"


def _card(side: object) -> Card:
    assert isinstance(side, Card)
    return side


def _said(entry: Entry) -> str:
    who = entry.signer or f"{entry.actor} (claimed)"
    return f"{entry.time[:10]} by {who}, {entry.commit[:9]}"
