"""One registry, opened once and shared by the threads of a process: what is decided, read at one moment, and one writer.

A process that was forked opens it anew, for pipes to git must not be shared. What is on another machine is looked at again
when the last look is two seconds old.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from gitops_registry import deciding, moving
from gitops_registry.deciding import Intent, Outcome
from gitops_registry.manifest.kinds import Constitution, Model
from gitops_registry.mlflow_store.entities import Told, newest_of_stages, told_version
from gitops_registry.mlflow_store.moments import Moments
from gitops_registry.mlflow_store.naming import found_model
from gitops_registry.mlflow_store.refusing import insist, no_model, no_version
from gitops_registry.mlflow_store.uris import registry_address
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

_FRESH_FOR = 2.0


@dataclass(frozen=True)
class View:
    """The registry at one decision: its value, what reads it through the cache, and when things changed last."""

    snapshot: Snapshot
    registry: Registry
    moments: Moments

    @property
    def law(self) -> Constitution:
        """registry.yaml."""
        return self.snapshot.constitution

    def model(self, theirs: str) -> Model:
        """Return a model by MLflow's name. Raises MlflowException where there is none."""
        name = found_model(self.snapshot, theirs)
        return self.snapshot.known_model(name) if name else no_model(theirs)

    def version(self, theirs: str, number: int) -> tuple[Model, Told]:
        """Return a version by MLflow's name of its model. Raises MlflowException where there is none."""
        name = found_model(self.snapshot, theirs)
        if name is None or number < 1 or self.snapshot.version(name, number) is None:
            no_version(theirs, number)
        model = self.snapshot.known_model(name)
        return model, self.told(model, number)

    def newest(self, model: Model) -> list[Told]:
        """Return the newest version of each stage of a model."""
        stages = {number: stage for stage, numbers in model.stages.items() for number in numbers}
        held = [(n, stages.get(n, self.law.first_stage)) for n in self.snapshot.versions(model.name)]
        return [self.told(model, number) for number in newest_of_stages(held)]

    def told(self, model: Model, number: int) -> Told:
        """Return a version as its files say it."""
        reference = Reference(model.name, number)
        facts = self.snapshot.known_version(reference)
        moment = self.moments.of_version(*reference)
        return told_version(
            reference, model, facts, self.snapshot.card(*reference), first=self.law.first_stage, moment=moment
        )


class Desk:
    """Reads and decides, one at a time."""

    def __init__(self, uri: str) -> None:
        self._address = registry_address(uri)
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._writer: Registry | None = None
        self._inherited: list[Registry | None] = []
        self._looked = 0.0

    def open(self) -> None:
        """Open the registry. Raises RegistryError where there is none, or it cannot be reached."""
        with self.looking() as view:
            view.law  # noqa: B018 - it must be one

    @contextmanager
    def _alone(self) -> Iterator[Registry]:
        if self._process != os.getpid():  # whoever held the lock is in the process that was forked
            self._process = os.getpid()
            self._lock = threading.RLock()
            self._inherited.append(self._writer)  # kept, for closing it would end what the other process reads from
            self._writer = None
        with self._lock:
            if self._writer is None:
                self._writer = Registry.open(self._address)
                self._moments, self._branch = Moments(), ""
                self._looked = time.monotonic()
            yield self._writer

    @contextmanager
    def looking(self) -> Iterator[View]:
        """Look at what is decided by now; nobody else of this process does anything meanwhile."""
        with self._alone() as writer:
            if writer.place.mirror is not None and time.monotonic() - self._looked > _FRESH_FOR:
                writer.refresh()
                self._looked = time.monotonic()
            yield self._view(writer)

    def _view(self, writer: Registry) -> View:
        place = writer.place
        tip = place.commit() if place.revision else place.tip()
        branch = place.revision or f"refs/heads/{place.branch}"
        if branch != self._branch:  # decisions count, whichever branch is checked out
            self._reader = Registry(Workplace(place.repository, revision=branch, mirror=place.mirror))
            self._branch = branch
        self._moments.read(self._reader, tip)
        return View(self._reader.place.snapshot(tip), self._reader, self._moments)

    @contextmanager
    def place(self) -> Iterator[Workplace]:
        """Work with the repository and the bytes; nobody else of this process does anything meanwhile."""
        with self._alone() as registry:
            yield registry.place

    def decide(self, intent: Intent, *, registers: bool = False) -> Outcome:
        """Make a change, as a commit or as a proposal, as the registry says. Raises MlflowException where it is not done.

        Where changes come as proposals only, a new model or version (`registers`) is committed all the same. What counts is
        what the registry says on the tip that the commit follows, not what it said when it was looked at.
        """

        def allows(law: Constitution) -> bool:
            return law.mlflow == "commit" and (law.direct or registers)

        with self._alone() as registry:
            place = registry.place
            if allows(place.snapshot(place.tip()).constitution):
                with suppress(moving.ProposalsOnly):
                    return insist(deciding.decide(place, moving.at_once(intent, allows)))
            forge = registry.forge(os.environ) if registry.is_on_forge else None
            return insist(moving.change(place, intent, direct=False, dry_run=False, forge=forge))
