"""What one commit holds, arranged for pages: models, versions, decisions, and what the policies say of what serves.

The manifests come from the cache of search and the decisions from history; both only show. Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gitops_registry import paths
from gitops_registry.audit.decision import Event
from gitops_registry.audit.ledger import by_version, events
from gitops_registry.comparison import challenger, champion
from gitops_registry.errors import ManifestError, NotFound
from gitops_registry.policy.report import Verdict
from gitops_registry.reference import Reference
from gitops_registry.searching import FoundVersion, find_models, find_versions
from gitops_registry.site.asking import said_of
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

_HEADLINES = ("roc_auc", "f1", "accuracy", "r2", "rmse", "mae")
"""Metrics that speak for a model, the first one it has; else the first it was registered with."""


@dataclass(frozen=True)
class ModelContents:
    """One model: `state` is model.yaml as plain data, `versions` in order of number, `decisions` newest first.

    `headline` is the metric that speaks for it; empty where no version has one. `problem` says why its policies could not be
    asked.
    """

    name: str
    state: Mapping[str, Any]
    versions: tuple[FoundVersion, ...]
    decisions: tuple[Event, ...]
    verdicts: tuple[Verdict, ...]
    champion: int | None = None
    challenger: int | None = None
    serving: tuple[int, ...] = ()
    problem: str = ""

    @property
    def title(self) -> str:
        """What people call it; its name where nobody said."""
        return str(self.state["title"]) or self.name

    @cached_property
    def by_number(self) -> Mapping[int, FoundVersion]:
        """Its versions by number."""
        return {version.reference.number: version for version in self.versions}

    @cached_property
    def headline(self) -> str:
        """The metric that speaks for it; empty where it has none."""
        best = [self.by_number[number] for number in (*self.serving, self.champion or 0) if number in self.by_number]
        told = next((version.metrics for version in (*best, *reversed(self.versions)) if version.metrics), {})
        return next((name for name in _HEADLINES if name in told), next(iter(told), ""))

    def decisions_about(self, number: int) -> Sequence[Event]:
        """Return the decisions that did something to one version, newest first, each with what it did to that one alone."""
        return self._lives.get(number, ())

    @cached_property
    def _lives(self) -> Mapping[int, Sequence[Event]]:
        return by_version(self.decisions, self.name)


@dataclass(frozen=True)
class Contents:
    """A registry at one commit. `objects` are git's ids of its files by path; `commit_page` is what stands
    before a commit's id in the address that a forge shows it at; empty without a forge. `problems` say what cannot be shown.
    """

    commit: str
    snapshot: Snapshot = field(repr=False)
    objects: Mapping[str, str] = field(repr=False)
    models: tuple[ModelContents, ...]
    decisions: tuple[Event, ...] = field(repr=False)
    commit_page: str = ""
    problems: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the registry is called."""
        law = self.snapshot.constitution
        return law.title or law.name

    @property
    def language(self) -> str:
        """The language of its cards and of the site."""
        return self.snapshot.constitution.card.language

    @cached_property
    def _folders(self) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for path, oid in self.objects.items():
            at = paths.place_of(path)
            if at.model and at.version:
                found.setdefault(f"{at.model}/{at.version}", {})[path] = oid
        return found

    def files_of(self, reference: Reference) -> Mapping[str, str]:
        """Return git's ids of the files of one version, its rendered card too, by path."""
        return self._folders.get(f"{reference.name}/{reference.number}", {})


def contents(place: Workplace, *, commit_page: str = "", is_anew: bool = False) -> Contents:
    """Return what the newest commit of a registry (or the revision it was opened at) holds. Raises RegistryError.

    The policies are asked what is not remembered of an earlier time, and everything where that is asked for `anew`.
    """
    commit = place.commit()
    snapshot = place.snapshot(commit)
    place.tell("reading the manifests")
    found = find_models(place, "")
    versions: dict[str, list[FoundVersion]] = {model.name: [] for model in found}
    for version in sorted(find_versions(place, ""), key=lambda one: one.reference):
        versions[version.reference.name].append(version)
    place.tell("reading the history")
    # What changed nothing of the registry, as commits of code beside it, is no decision of it.
    decisions = tuple(event for event in events(place.repository, commit) if event.changes or event.problem)
    theirs = _by_model(decisions)
    place.tell("asking the policies")
    files = place.files(commit)
    said = said_of(place, snapshot, files, {model.name: theirs.get(model.name, ()) for model in found}, is_anew=is_anew)
    models = tuple(
        ModelContents(
            model.name, model.state, tuple(versions[model.name]), tuple(theirs.get(model.name, ())),
            said[model.name].verdicts, *_contest(snapshot, model.name),
            serving=_serving(snapshot, model.name), problem=said[model.name].problem,
        )
        for model in found
    )  # fmt: skip
    objects = {file.path: file.new_oid for file in files}
    place.tell("")
    unread = tuple(_problems(snapshot, models))
    return Contents(commit, snapshot, objects, models, decisions, commit_page, unread)


def _problems(snapshot: Snapshot, models: Sequence[ModelContents]) -> Iterator[str]:
    """Yield why models and versions that have a folder are not shown; what was deleted or renamed has no reason to be."""
    shown = {model.name: model for model in models}
    for name in snapshot.models():
        there = shown[name].by_number if name in shown else {}
        try:
            if name not in shown:
                snapshot.model(name)
        except ManifestError as error:
            yield error.message
        for number in snapshot.versions(name) if name in shown else ():
            try:
                if number not in there:
                    snapshot.version(name, number)
            except ManifestError as error:
                yield error.message


def _by_model(decisions: Sequence[Event]) -> dict[str, list[Event]]:
    """Return what each model that is there lived through, newest first, under all the names it had."""
    found: dict[str, list[Event]] = {}
    for event in reversed(decisions):
        named = dict.fromkeys(change.model for change in event.changes if change.model)
        for change in event.changes:
            if change.kind == "model_renamed":
                found[str(change.after)] = [*found.pop(change.model, []), event]
                named.pop(change.model, None)
                named.pop(str(change.after), None)
        for name in named:
            found.setdefault(name, []).append(event)
    return {name: lived[::-1] for name, lived in found.items()}


def _contest(snapshot: Snapshot, name: str) -> tuple[int | None, int | None]:
    found: list[int | None] = []
    for role in (champion, challenger):
        try:
            found.append(role(snapshot, name).number)
        except NotFound:
            found.append(None)
    return found[0], found[1]


def _serving(snapshot: Snapshot, name: str) -> tuple[int, ...]:
    stages = [stage.name for stage in reversed(snapshot.constitution.stages) if stage.serving]
    return tuple(number for stage in stages for number in reversed(snapshot.in_stage(name, stage)))
