"""`verify --changed`: the bytes that a change brings or lets serve, fetched by hash, and measured again on what the base pins.

Two steps that may run on two machines. The first reaches the store and opens nothing; the second opens verified bytes of the
cache and reaches nothing. Where bytes are looked for, what may be built of them and on which data they are measured is
said by the base.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gitops_registry import evaluating, paths
from gitops_registry.artifact import Store
from gitops_registry.difference import diff
from gitops_registry.digests import Digest
from gitops_registry.dossier import kept_rows
from gitops_registry.errors import RegistryError
from gitops_registry.evaluating import Remeasured, Wish
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace, digest_of

_BRINGING = frozenset({"version_registered", "immutable_violated", "alias_set", "evaluation_added"})


@dataclass(frozen=True)
class Fetched:
    """An artifact of a version, or the data that a model's versions are measured on (`what`); `problem` is empty where it is right."""

    what: str
    file: str
    size: int
    sha256: str
    problem: str = ""


@dataclass(frozen=True)
class _Changed:
    """What a change is about: the base, the registry as it would be, and the versions, in order of name and number."""

    before: Snapshot
    after: Snapshot
    references: tuple[Reference, ...]
    pinned: tuple[str, ...]
    """The models for which it pins other evaluation data, in order."""

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose data the base pins, in order."""
        names = sorted({reference.name for reference in self.references})
        return tuple(n for n in names if (model := self.before.model(n)) is not None and model.evaluation is not None)


def _changed(place: Workplace, base: str, head: str) -> _Changed:
    before, after, files = place.landed(base, head)
    _require_law(place, before, base)
    serving = {stage.name for stage in before.constitution.stages if stage.serving}
    changes = [change for change in diff(before, after, files) if not paths.name_problem(change.model)]
    found = {
        Reference(change.model, change.version)
        for change in changes
        if change.kind in _BRINGING or (change.kind == "stage_transition" and change.after in serving)
    }
    pinned = {change.model for change in changes if change.subject == "evaluation" and change.after}
    there = (one for one in found if after.version(*one) is not None)
    return _Changed(before, after, tuple(sorted(there)), tuple(sorted(pinned)))


def _require_law(place: Workplace, before: Snapshot, base: str) -> None:
    """Raise RegistryError where a proposal that is checked out says where bytes are looked for, or where the cache is.

    What the user changed in the file is the user's own word. A bare repository has the configuration of the branch of decisions.
    """
    tree, sides = place.repository.work_tree, ("heads", "remotes/origin")
    if tree is None:
        return
    tips = filter(None, (place.repository.tip(f"refs/{side}/{place.branch}") for side in sides))
    laws, checked_out = [before, *map(place.snapshot, tips)], place.snapshot("HEAD")
    for path in (paths.DVC_CONFIG, f"{paths.DVC_CONFIG}.local"):
        lawful = {law.read(path) for law in laws}
        if checked_out.read(path) not in lawful and _content(tree / path) not in lawful:
            raise RegistryError(
                f"{path} of what is checked out is not that of {base}", hint=f"git switch {place.branch}, then again"
            )


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def fetch_changed(place: Workplace, *, base: str, head: str) -> list[Fetched]:
    """Bring the bytes of what a change is about from the store into the cache, and compare size, MD5, SHA-256 and pointer.

    Nothing is opened. In order of version and file, then the data that the base pins, then what the change would pin. Good bytes of the
    cache do not stand for those of the store. Raises Conflict where the head does not land on the base, RegistryError
    where a proposal is checked out that says where bytes are looked for.
    """
    change = _changed(place, base, head)
    store, old = place.store(change.after), place.store(change.before)
    found = []
    for reference in change.references:
        for artifact in change.after.known_version(reference).artifacts:
            path = paths.pointer_path(*reference, artifact.file)
            problem = "" if change.after.read(path) == pointer(artifact) else f"{path} does not agree with version.yaml"
            problem = problem or _problem(store, digest_of(artifact), f"{reference} {artifact.file}")
            found.append(Fetched(str(reference), artifact.file, artifact.size, artifact.sha256, problem))
    found += [_data(old, change.before, name, f"data of {name}") for name in change.models]
    found += [_data(store, change.after, name, f"new data of {name}") for name in change.pinned]
    place.tell("")
    return found


def _data(store: Store, snapshot: Snapshot, name: str, what: str) -> Fetched:
    pinned = snapshot.known_model(name).evaluation
    assert pinned is not None
    problem = _problem(store, digest_of(pinned.as_artifact()), f"the evaluation data of {name}")
    return Fetched(what, pinned.file, pinned.size, pinned.sha256, problem)


def _problem(store: Store, digest: Digest, what: str) -> str:
    """Fetch an artifact, and say what is wrong with it in the store; empty where nothing is."""
    try:
        is_here = store.held(digest) == "present"
        if not is_here:
            store.fetch(digest, what)
    except RegistryError as error:
        return error.message
    if not is_here and not store.is_embedded:  # where it came from the store this very moment
        return ""
    state = store.presence(digest, deep=True)
    if state is None:
        return f"{what}: the store cannot be reached ({store.location or 'none is configured'})"
    return "" if state == "present" else f"{what} is {state} in the store {store.location}"


class _CacheAlone(Workplace):
    """A registry whose bytes come from the cache and from nowhere else, whatever happens to the cache meanwhile."""

    def store(self, snapshot: Snapshot | None = None) -> Store:
        found = super().store(snapshot)
        found.is_cache_alone = True
        return found


def measure_changed(place: Workplace, *, base: str, head: str) -> list[Remeasured]:
    """Measure what a change is about, on the data that the base pins and on the rows that versions keep, from the cache alone.

    A version is wrong where its bytes are not there, or a metric that it was registered with, or that somebody recorded later, is
    another one on the same data. Rows that a version brings itself can show that it is wrong, and are no proof that it is right.
    One that cannot be measured is told with the reason. Raises Conflict where the head does not land on the base.
    """
    alone = _CacheAlone(
        place.repository, revision=place.revision, progress=place.progress, mirror=place.mirror, decided=place.decided
    )
    change = _changed(alone, base, head)
    measured = [one for one in change.references if not _unmeasured(change, one)]
    found = evaluating.remeasure(alone, change.after, measured, Wish(keeps=True), pinned_by=change.before)
    found += [Remeasured(one, reason=_unmeasured(change, one)) for one in change.references if one not in measured]
    return sorted(found, key=lambda one: one.reference)


def _unmeasured(change: _Changed, reference: Reference) -> str:
    """Say why a version cannot be measured; empty where it can be tried."""
    if reference.name not in change.models and kept_rows(change.after.known_version(reference)) is None:
        return f"the base pins no evaluation data for {reference.name}"
    if not evaluating.readable(change.after, reference):
        return "nothing here reads its format without running what is in it"
    return ""
