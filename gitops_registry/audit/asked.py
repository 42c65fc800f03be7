"""Whether what a question about the log names is, or ever was, there: an empty answer to a misspelt question would mislead.

What is spent keeps its history: a deleted or renamed model, a deleted version, a stage that an older registry.yaml had, a member
who left. Only what never was there is refused, with what is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitops_registry import paths
from gitops_registry.audit.decision import Event
from gitops_registry.audit.ledger import events, life
from gitops_registry.audit.recorded import denied
from gitops_registry.audit.wanted import Wanted
from gitops_registry.errors import ManifestError, NotFound
from gitops_registry.git.repository import Repository
from gitops_registry.manifest.kinds import Constitution
from gitops_registry.manifest.reading import MAX_BYTES, parse
from gitops_registry.reference import Reference, did_you_mean, there_are
from gitops_registry.snapshot import Snapshot


@dataclass(frozen=True)
class Asked:
    """One registry at its last decision, and everything that it ever had."""

    repository: Repository
    tip: str
    snapshot: Snapshot

    def model(self, name: str) -> str:
        """Return what a model is called now, also one that was deleted. Raises NotFound where there never was one."""
        known = self.snapshot.present_name(name)
        model = self.snapshot.model(known) if not paths.name_problem(known) else None
        if model is not None and model.removed:
            return known
        try:
            self.snapshot.known_model(known)
        except NotFound:
            if paths.name_problem(known) or next(events(self.repository, self.tip, name=known, limit=1), None) is None:
                raise
        return known

    def version(self, name: str, number: int) -> int:
        """Return the number of a version that a model (or any, without a name) has or had, or that a push was refused for.

        Raises NotFound.
        """
        there = self.snapshot.versions(name) if name else ()
        models = (name,) if name else self.snapshot.live_models()
        if any(number in self.snapshot.versions(model) for model in models):
            return number
        if name:
            found = life(self.repository, self.tip, Reference(name, number))
        else:
            found = Wanted(version=number).of(events(self.repository, self.tip), {})
        if next(found, None) is not None or self._is_denied(name, number):
            return number
        hint = there_are(name, there) if name else "see which there are: gitops-registry list"
        raise NotFound(f"no version {number} of {name or 'any model'}, and there never was", hint=hint)

    def _is_denied(self, name: str, number: int) -> bool:
        present = self.snapshot.present_name
        return any(
            its == number and (not name or present(model) == name)
            for entry in denied(self.repository)
            for model, its in entry.about
        )

    def stage(self, name: str) -> str:
        """Return a stage as the registry spells it, or spelled it when it had one. Raises NotFound."""
        found = self.snapshot.constitution.stage(name)
        if found is not None:
            return found.name
        former = next((stage for stage in self._former_stages() if stage.lower() == name.lower()), "")
        return former or self.snapshot.known_stage(name).name

    def _former_stages(self) -> Iterator[str]:
        """Yield the stages of every registry.yaml that there was, those of the newest first."""
        source = self.repository.source(self.tip)
        for _, changed in self.repository.steps(self.tip, paths.CONSTITUTION):
            for oid in (change.old_oid for change in changed if change.old_oid):
                try:
                    data = source.read_object(oid, paths.CONSTITUTION, MAX_BYTES)
                    law = parse(data, paths.CONSTITUTION, Constitution).document if data else None
                except ManifestError:
                    continue
                yield from (stage.name for stage in law.stages) if law else ()

    def by_somebody(self, found: Iterator[Event], wanted: Wanted) -> Iterator[Event]:
        """Yield those decisions. Raises NotFound where there are none because nobody is called as `wanted.actor` says."""
        first = next(found, None)
        if first is None:
            self._know(wanted.actor)
            return
        yield first
        yield from found

    def _know(self, actor: str) -> None:
        names: dict[str, None] = {}
        asked = Wanted(actor=actor)
        for event in events(self.repository, self.tip):
            if asked.is_by(event.signer, event.commit.author, event.commit.email):
                return
            names[event.signer or event.commit.author] = None
        for entry in denied(self.repository):
            if asked.has(entry):
                return
            names[entry.signer or entry.actor] = None
        raise NotFound(f"nobody is called {actor!r} here", hint=did_you_mean(actor, tuple(filter(None, names))))
