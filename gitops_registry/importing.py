"""`import`: the models of an MLflow registry become models of this one, one commit for each version.

Bytes reach the store before the commits that need them; commits land in small series, so whoever is killed loses at most
the last one, and the next import goes on from there. What is here already is not imported again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from gitops_registry.arrival import UNREAD, Arrival, artifact, bare_model, standing, steps
from gitops_registry.deciding import Outcome, about_branch, deciding
from gitops_registry.errors import Damaged, NotFound, RegistryError
from gitops_registry.foreign import HIGHEST, ForeignModel, ForeignVersion, our_names, our_stages
from gitops_registry.holding import Held, hold
from gitops_registry.manifest.facts import Version
from gitops_registry.mlflow_source import MlflowSource, address, opened
from gitops_registry.model_folder import described
from gitops_registry.reference import Reference
from gitops_registry.registering import made
from gitops_registry.series import Made, Step, decide_all, foresee_all
from gitops_registry.translation import Described, our_aliases, our_model, our_version
from gitops_registry.workplace import Workplace

State = Literal["imported", "present", "left out", "refused"]

_AT_ONCE = 25
_SECONDS = 2.0
"""A series ends after so many versions, or with the first one that is ready so long after its begin."""


@dataclass(frozen=True)
class Wish:
    """What to import and how. `models` are patterns of names as MLflow has them; all of them without any.

    `folders` hold artifacts on this machine, beside the folder of the database.
    """

    models: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    keep_stages: bool = False


@dataclass(frozen=True)
class Entry:
    """What became of one version (of a model as a whole, with number 0). `theirs` is the model's name in MLflow."""

    name: str
    number: int
    theirs: str
    state: State
    stage: str = ""
    commit: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON-ready data."""
        return {**self.__dict__, "notes": list(self.notes)}


@dataclass
class Imported:
    """What became of an import: true where nothing was left out or refused. A dry run says what would come."""

    source: str
    dry_run: bool = False
    notes: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def count(self, state: State) -> int:
        """Return how many versions there are of a state, and models that were refused as a whole."""
        return sum(entry.state == state and (entry.number > 0 or state == "refused") for entry in self.entries)

    def __bool__(self) -> bool:
        return all(entry.state in {"imported", "present"} for entry in self.entries)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        counts = {
            state.replace(" ", "_"): self.count(state) for state in ("imported", "present", "left out", "refused")
        }
        return {
            "source": self.source, "dry_run": self.dry_run, "complete": bool(self), **counts, "notes": self.notes,
            "versions": [entry.to_json() for entry in self.entries],
        }  # fmt: skip


def import_mlflow(place: Workplace, source: str, *, wish: Wish, dry_run: bool = False) -> Imported:
    """Import the models of an MLflow registry and return what became of each version, in order of name and number.

    Raises RegistryError where the other registry cannot be read or this one not be written; what was committed stays.
    """
    where = address(source)
    with deciding(place, dry_run=dry_run) as caught:
        told = list(caught)
    with opened(where, folders=wish.folders, progress=place.progress) as found:
        run = _Import(place, found, where.shown, wish, dry_run=dry_run)
        try:
            for model, name, versions in _wanted(found, wish):
                run.take(model, name, versions)
        finally:
            run.land()  # what is ready stays, also where something fails or somebody interrupts
            place.tell("")
    if run.result.count("imported") and not dry_run:
        told += about_branch(place)
    run.result.notes += told
    return run.result


def _wanted(source: MlflowSource, wish: Wish) -> Iterator[tuple[ForeignModel, str, list[ForeignVersion]]]:
    """Yield every model that is wanted with the name it gets and its versions in order; those without versions last."""
    models = {model.name: model for model in source.models()}
    names = our_names(list(models.values()))
    wanted = {name for name in models if not wish.models or any(fnmatchcase(name, p) for p in wish.models)}
    if wish.models and not wanted:
        raise NotFound(
            f"no model there is called {' or '.join(map(repr, wish.models))}", hint=f"{len(models)} are there"
        )
    for name, versions in groupby(source.versions(), lambda version: version.model):
        if name in wanted:
            wanted.discard(name)
            yield models[name], names[name], list(versions)
    for name in sorted(wanted):
        yield models[name], names[name], []


@dataclass(frozen=True)
class _Taken:
    """A model that is being imported: what it is there, its name and first state here, and its aliases to come."""

    theirs: ForeignModel
    name: str
    state: dict[str, Any]
    aliases: dict[str, int]


class _Import:
    """One run: takes models in turn, lands series of versions, keeps what became of them."""

    def __init__(self, place: Workplace, source: MlflowSource, shown: str, wish: Wish, *, dry_run: bool) -> None:
        self.result = Imported(shown, dry_run)
        self._place, self._source, self._wish, self._dry_run = place, source, wish, dry_run
        self._law = place.snapshot(place.tip()).constitution
        self._who = place.repository.identity()
        self._waiting: list[tuple[int, list[Step]]] = []
        self._began = 0.0

    def take(self, model: ForeignModel, name: str, versions: Sequence[ForeignVersion]) -> None:
        """Import a model with the versions that are not here yet."""
        snapshot = self._place.snapshot(self._place.tip())
        try:
            name, here = standing(snapshot, name, versions)
        except RegistryError as error:
            self._add(Entry(name, 0, model.name, "refused", notes=(_why(error),)))
            return
        known = snapshot.model(name)
        state, notes = our_model(model, name)
        aliases, kept = our_aliases(self._law, model, known.aliases if known else {})
        kept += [
            f"alias {a} names version {n} there: gitops-registry alias set {name}@{n} {a}"
            for a, n in aliases.items()
            if n in here
        ]
        notes = (*(notes if known is None else ()), *kept)
        if not versions or notes:
            is_new = known is None and not versions
            self._add(Entry(name, 0, model.name, "imported" if is_new else "present", notes=notes))
        if not versions and known is None:
            self._wait([bare_model(name, state, model.spent)])
        self._take_versions(_Taken(model, name, state, aliases), versions, here)

    def _take_versions(self, taken: _Taken, versions: Sequence[ForeignVersion], here: frozenset[int]) -> None:
        stages, moved = our_stages(self._law, {version.number: version.stage for version in versions})
        awaited = 0
        for version in versions:
            entry = Entry(taken.name, version.number, taken.theirs.name, "present")
            if version.number in here:
                self._add(entry)
            elif awaited:
                self._add(
                    replace(entry, state="left out", notes=(f"it waits for {awaited}, whose number it would spend",))
                )
            else:
                told = (moved[version.number],) if version.number in moved else ()
                awaited = 0 if self._take_version(taken, version, stages[version.number], told) else version.number

    def _take_version(self, taken: _Taken, version: ForeignVersion, stage: str, told: tuple[str, ...]) -> bool:
        """Import a version; False where it may come later, because nobody knows why its bytes could not be read.

        Raises RegistryError where this side cannot take it: whatever comes after it would spend its number.
        """
        if self._place.progress is not None:
            self._place.progress(f"{taken.name}@{version.number}", len(self.result.entries), self._source.count)
        entry = Entry(taken.name, version.number, taken.theirs.name, "imported", stage)
        try:
            arrival = self._arrival(taken, version, stage, told)
        except RegistryError as error:
            is_unknown = error.__cause__ is not None
            if not isinstance(error, NotFound) and (is_unknown or isinstance(error, Damaged)):
                raise
            waiting = [f"the alias {a} of it is left out too" for a, n in taken.aliases.items() if n == version.number]
            self._add(replace(entry, state="left out", stage="", notes=(_why(error), *waiting)))
            return not is_unknown
        self._add(replace(entry, notes=arrival.told))
        shown, keep = self.result.source, self._wish.keep_stages
        self._wait(steps(self._place, self._law, arrival, source=shown, keep_stages=keep))
        return True

    def _arrival(self, taken: _Taken, version: ForeignVersion, stage: str, told: tuple[str, ...]) -> Arrival:
        """Read what there is to know of a version, and put its bytes where others find them."""
        if not 1 <= version.number < HIGHEST:
            raise NotFound(f"{version.number} is no number that a version can have")
        run, lost = self._source.run(version)
        with self._source.folder(version, fetch=not self._dry_run) as folder:
            said = described(folder) if folder is not None else Described({})
            held = Held(UNREAD, {}) if self._dry_run or folder is None else hold(self._place, [folder])[0]
        translation = our_version(version, run, said, self._who)
        facts = made(Version, **translation.facts, artifacts=(artifact(held.digest),))
        return Arrival(
            taken.theirs, version, Reference(taken.name, version.number), facts, translation.card, held, stage, taken.state,
            aliases=tuple(alias for alias, number in taken.aliases.items() if number == version.number),
            told=(*told, *lost, *translation.notes, *self._large(held)),
        )  # fmt: skip

    def _large(self, held: Held) -> tuple[str, ...]:
        if held.digest.size <= self._law.storage.warn_above or not held.objects:
            return ()
        return (f"{held.digest.size / 1e6:.0f} MB are committed with git; a real store: dvc remote add -d storage URL",)

    # ── what became of it

    def _add(self, entry: Entry) -> None:
        self.result.entries.append(entry)

    def _wait(self, wanted: list[Step]) -> None:
        """Keep decisions about the last entry until their series lands."""
        self._began = self._began if self._waiting else time.monotonic()
        self._waiting.append((len(self.result.entries) - 1, wanted))
        if len(self._waiting) >= _AT_ONCE or time.monotonic() - self._began > _SECONDS:
            self.land()

    def land(self) -> None:
        """Land what waits."""
        waiting, self._waiting = self._waiting, []
        wanted = [step for _, found in waiting for step in found]
        if not wanted:
            return
        if self._dry_run:
            became = foresee_all(self._place, wanted)
        else:
            became = decide_all(self._place, wanted, is_caught_up=True)
        results = iter(became)
        for position, found in waiting:
            entries = self.result.entries
            entries[position] = self._became(entries[position], [next(results) for _ in found])

    def _became(self, entry: Entry, became: Sequence[Made]) -> Entry:
        """Return an entry with what became of its version, and of its move to a stage that serves."""
        first = became[0]
        if isinstance(first, RegistryError):
            return replace(entry, state="refused", stage="", notes=(*entry.notes, _why(first)))
        if first.is_refused:
            told = [f"{finding.rule}: {finding.message}" for finding in first.refusals[:3]]
            return replace(entry, state="refused", stage="", notes=(*entry.notes, *told))
        wanted, stage = entry.stage, _stage_in(first, entry.number) or (entry.stage and self._law.first_stage)
        notes = (*entry.notes, *first.notes)
        for move in became[1:]:
            if isinstance(move, Outcome) and not move.is_refused:
                stage, notes = wanted, (*notes, *move.notes)
            else:
                notes = (*notes, f"{wanted} refused it: {_why(move)}")
        if wanted != stage:
            how = "" if self._law.direct else ", for this registry takes moves as proposals only"
            command = f"gitops-registry promote {entry.name} {entry.number} --to {wanted}"
            notes = (*notes, f"it was in {wanted} and is in {stage} here{how}; {command}")
        return replace(entry, stage=stage, commit=first.commit, notes=notes)


def _stage_in(outcome: Outcome, number: int) -> str:
    """Return the stage that a decision puts a version into; empty for the first one."""
    moves = (c for c in outcome.changes if c.kind == "stage_transition" and c.version == number)
    return next((str(change.after) for change in moves), "")


def _why(told: RegistryError | Outcome) -> str:
    if isinstance(told, Outcome):
        return "; ".join(f"{finding.rule}: {finding.message}" for finding in told.refusals[:3])
    return f"{told.message} ({told.hint})" if told.hint else told.message
