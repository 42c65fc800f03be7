"""Reading the history of a registry: the log, what there was on a day, and what auditors ask for.

A part of `Registry`, whose every method it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gitops_registry.paths import name_problem
from gitops_registry.reference import Reference, split_reference
from gitops_registry.workplace import Workplace

if TYPE_CHECKING:
    from gitops_registry.audit.anchors import Anchor
    from gitops_registry.audit.asked import Asked
    from gitops_registry.audit.decision import Event
    from gitops_registry.audit.entries import Entry
    from gitops_registry.audit.wanted import Wanted
    from gitops_registry.auditing.compliance import Answer
    from gitops_registry.auditing.exporting import Export
    from gitops_registry.auditing.outlets import Format
    from gitops_registry.auditing.verification import Verification


class Bookkeeping:
    """The history of one registry."""

    def __init__(self, place: Workplace) -> None:
        self._place = place

    def log(
        self, name: str = "", *, limit: int | None = None, wanted: Wanted | None = None, anew: bool = False
    ) -> Iterator[Event]:
        """Yield the decisions about a model, under all its names, or one version (`fraud@3`); about everything, without a name.

        Newest first, those that are `wanted`, at most `limit` of them. What was read before comes from a cache that whoever owns
        the disk can write; `anew` reads all of it from git. A deleted model and an old name have a history too. Raises NotFound
        for a model, a version, a stage or somebody that there never was.
        """
        from gitops_registry.audit.ledger import events, of_version
        from gitops_registry.audit.wanted import Wanted, moments_of

        asked, wanted = self._asked(), wanted or Wanted()
        known, number = self._named(name)
        if wanted.version:
            asked.version(known, wanted.version)
        if wanted.stage:
            wanted = replace(wanted, stage=asked.stage(wanted.stage))
        found = events(self._place.repository, self._place.commit(), name=known, anew=anew)
        if number:
            found = of_version(found, Reference(known, number))
        dated = moments_of(self._place.repository, self._place.commit()) if wanted.is_dated else {}
        found = wanted.of(found, dated)
        return islice(asked.by_somebody(found, wanted) if wanted.actor else found, limit)

    def _asked(self) -> Asked:
        from gitops_registry.audit.asked import Asked

        return Asked(self._place.repository, self._place.commit(), self._place.snapshot())

    def _named(self, text: str) -> tuple[str, int]:
        """Return the model that a name or a reference means, also one that was deleted, and the version; 0 for none."""
        if not text:
            return "", 0
        name, version = split_reference(text)
        asked = self._asked()
        known = asked.model(name)
        plain = version.lower().removeprefix("v")
        if plain.isascii() and plain.isdigit() and 0 < len(plain) < 10:
            return known, asked.version(known, int(plain))
        return known, self._place.snapshot().resolve(f"{known}@{version}").number if version else 0

    def at(self, moment: datetime) -> Self:
        """Return the registry as it was after the last decision by a moment. Raises NotFound where there was none yet."""
        from gitops_registry.audit.wanted import at

        place = self._place
        revision = at(place.repository, place.commit(), moment)
        return type(self)(Workplace(place.repository, revision=revision, progress=place.progress, mirror=place.mirror))

    def name_at(self, name: str, then: Self) -> str:
        """Return what a model that has a name now was called in the registry of a day (`at`); the name itself where it was not there."""
        from gitops_registry.history import called_at

        snapshot, earlier = self._place.snapshot(), then._place
        if name_problem(name) or earlier.snapshot().model(name) is not None:
            return name
        found = called_at(earlier.repository, self._place.commit(), snapshot.present_name(name), earlier.commit())
        return found or name

    def history(self, name: str, version: int | str = "", *, anew: bool = False) -> Iterator[Event]:
        """Yield the decisions about one version, newest first: registered, promoted, named, … Raises RegistryError in a
        shallow clone.
        """
        from gitops_registry.audit.ledger import life

        reference = self._place.snapshot().resolve_named(name, version)
        return life(self._place.repository, self._place.commit(), reference, anew=anew)

    def denials(self, name: str = "") -> Iterator[Entry]:
        """Yield the pushes that a hook turned away here, oldest first, as events; nothing in a repository that is no server's.

        With a name those about that model, whatever it was called then, or about one version (`fraud@3`): also those that say
        no more than which model. Raises NotFound.
        """
        from gitops_registry.audit.recorded import denied

        found = denied(self._place.repository)
        if not name:
            return found
        known, number = self._named(name)
        present = self._place.snapshot().present_name
        return (
            entry
            for entry in found
            if any(present(model) == known and (not number or its in {0, number}) for model, its in entry.about)
        )

    def judge_again(self, event: Event) -> list[Entry]:
        """Return the events of a decision, each with what the policies of its time say of it now."""
        from gitops_registry.audit.decision import entries_of
        from gitops_registry.auditing.rejudging import with_policies

        return with_policies(self._place, event, entries_of(event))

    def anchor(self, root: str = "") -> Anchor:
        """Return what outside of the history says how it begins: the root that git's configuration pins, or the one given."""
        from gitops_registry.audit.anchors import anchor

        return anchor(self._place.repository, self._place.commit(), root)

    # ── what auditors ask for; none of it reads a cache

    def export_log(
        self, form: Format = "jsonl", *, since: str | Path | None = None, root: str = "", judges: bool = False
    ) -> Export:
        """Return every event, oldest first, as lines of a format; with `since`, what came after the checkpoint in that file.

        `judges` has the policies of its time say of each move what they say now. Raises RegistryError where the history does not
        go on from the checkpoint, or is shallow.
        """
        from gitops_registry.auditing.checkpoint import read
        from gitops_registry.auditing.exporting import Export

        return Export(self._place, form, read(Path(since)) if since is not None else None, root, judges)

    def verify_log(
        self, *, checkpoint: str | Path | None = None, root: str = "", objects: bool = True, policies: bool = False,
        is_strict: bool = False,
    ) -> Verification:  # fmt: skip
        """Return a look at the whole history, whose `breaches()` are what it breaks: signatures, permissions, approvals,
        immutability, numbers, tags, the chain itself, and where it differs from a checkpoint.
        """
        from gitops_registry.auditing.checkpoint import read
        from gitops_registry.auditing.verification import Verification

        kept = read(Path(checkpoint)) if checkpoint is not None else None
        return Verification(self._place, kept, root, objects, policies, is_strict)

    def audit_report(self, name: str) -> dict[str, Any]:
        """Return the report of a model, also of one that was deleted, as JSON-ready data. Raises NotFound."""
        from gitops_registry.auditing.casebook import Casebook
        from gitops_registry.auditing.report import report

        return report(Casebook(self._place, name))

    def comply(self, name: str, profile: str | Path) -> list[Answer]:
        """Return what a profile (a shipped one by name, or a file) comes to for a model: met, not met, or not checked.

        Raises NotFound for no such model or profile, ManifestError for a file that is none.
        """
        from gitops_registry.auditing import compliance
        from gitops_registry.auditing.casebook import Casebook

        asked = compliance.profile(str(profile))
        return list(compliance.answers(Casebook(self._place, name), asked))
