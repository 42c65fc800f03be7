"""The annotated tags that GTO and `dvc artifacts get` go by, brought into agreement with the registry.

What is wanted follows from the registry as it is now, and what is there from the tags; only the difference is made, so that
whatever was missed is made up for by the next look at everything (`doctor --repair`, `release-tags`). No tag is moved or taken
away: a stage that is left, and a version that is deleted, get a tag that says so. Dates rise by whole seconds within a model, for DVC breaks ties without regard to the counter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gitops_registry import gto
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.git.tags import NewTag, Tagged, fetch_tags, make_tags, push_tags, tags, tags_at
from gitops_registry.paths import CONSTITUTION, DVC_YAML, MODELS, place_of
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

_MIRRORED = "origin"


@dataclass(frozen=True)
class Agreement:
    """What brings the tags into agreement: `wanted` by name in the order of their dates, which of them a remote lacks, and in
    words what GTO cannot say and which tags say something else.
    """

    wanted: Mapping[str, NewTag] = field(default_factory=dict)
    pushed: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "missing": [{"tag": name, "commit": tag.commit} for name, tag in self.wanted.items()],
            "pushed": list(self.pushed), "unsaid": list(self.unsaid), "wrong": list(self.wrong),
        }  # fmt: skip


def keep_tags(place: Workplace, since: str) -> None:
    """Tag what was decided after `since`, where the registry is kept in agreement with GTO.

    Where the branch follows a remote, tags wait for `push`: what is only here may still get another commit. A decision that
    has landed stays one whatever becomes of its tags: `doctor` finds what is missing, and mends it.
    """
    tip = place.tip()
    if tip == since or not gto.is_on(place.snapshot(tip)):
        return
    remote = _MIRRORED if place.mirror is not None else ""
    if remote or not place.follows:
        with suppress(RegistryError):
            agree(place, since=since, remote=remote)


def agree(place: Workplace, *, since: str = "", remote: str = "", dry_run: bool = False) -> Agreement:
    """Make the tags that are missing (of what was decided after `since`, where it is given), and push them to a `remote`.

    Raises RegistryError where git cannot sign or the remote refuses; the tags made here stay. Raises Moved where somebody else
    tags at the same time.
    """
    repository = place.repository
    there = tags_at(repository, remote) if remote else {}
    if remote and not dry_run:
        here = tags(repository)
        fetch_tags(repository, remote, [name for name in there if name not in here and gto.read_tag(name)])
    found = _Look(place, since).agreement()
    here = {**tags(repository), **{name: Tagged("", tag.commit, tag.time) for name, tag in found.wanted.items()}}
    lacking = [name for name in here if remote and name not in there and gto.read_tag(name)]
    pushed = tuple(name for name in lacking if repository.is_ancestor(here[name].commit, place.tip()))
    if not dry_run:
        make_tags(repository, found.wanted)
        push_tags(repository, remote, pushed, place.progress)
    return Agreement(found.wanted, pushed, found.unsaid, found.wrong)


def registered(place: Workplace) -> dict[Reference, str]:
    """Return for every version there is now the decision that brought it under its present name, in order of name and number.

    One read of the history of `models/`. Raises RegistryError in a shallow clone.
    """
    snapshot = place.snapshot(place.tip())
    waiting = {Reference(name, number) for name in snapshot.live_models() for number in snapshot.versions(name)}
    found: dict[Reference, str] = {}
    for oid, changed in place.repository.steps(place.tip(), MODELS):
        for change in changed:
            at = place_of(change.path)
            reference = Reference(at.model, at.version)
            if at.role == "version" and change.new_oid and not change.old_oid and reference in waiting:
                waiting.remove(reference)
                found[reference] = oid
        if not waiting:
            break
    return dict(sorted(found.items()))


class _Look:
    """One look at the tags: at those of all models, or of what was decided after a commit."""

    def __init__(self, place: Workplace, since: str) -> None:
        self.place = place
        self.since = since
        self.tip = place.tip()
        self.now: Snapshot = place.snapshot(self.tip)
        self.clock = place.repository.commit(self.tip).time
        self.there: dict[str, dict[str, tuple[gto.Tag, Tagged]]] = {}
        for name, tagged in tags(place.repository).items():
            said = gto.read_tag(name)
            if said is not None:
                self.there.setdefault(said.model, {})[name] = (said, tagged)
        self.wanted: dict[str, NewTag] = {}
        self.unsaid: list[str] = []
        self.wrong: list[str] = []
        self.mute: dict[Reference, str] = {}
        """Versions whose own decision has no dvc.yaml that speaks of their model."""
        touched = self._touched()
        self.is_whole = touched is None
        self.touched = touched or {}
        self.leading = self._all_leading() if self.is_whole else self._new_leading()

    def agreement(self) -> Agreement:
        """Return what is missing."""
        names = sorted({*self.now.models(), *self.there}) if self.is_whole else sorted(self.touched)
        for stage in self.now.constitution.stages[1:]:
            if not gto.is_sayable(stage.name):
                self._cannot_say(f"{stage.name}: GTO has no word for a stage of that name")
        for name in names:
            if gto.is_sayable(name):
                self._agree_on(name)
            elif self.now.versions(name):
                self._cannot_say(f"{name}: GTO has no word for a model of that name (letters, digits, - and _)")
        return Agreement(self.wanted, (), tuple(self.unsaid), tuple(self.wrong))

    def _touched(self) -> dict[str, set[int]] | None:
        """Return which versions of which models were registered or deleted since; None where everything is to be looked at."""
        if not self.since:
            return None
        found: dict[str, set[int]] = {}
        for change in self.place.repository.changed_paths(self.since, self.tip):
            at = place_of(change.path)
            if change.path == CONSTITUTION:
                return None
            if at.role in {"version", "model"}:
                found.setdefault(at.model, set()).update({at.version} - {0})
        return found

    def _new_leading(self) -> dict[Reference, str]:
        """Return version → the first decision since whose dvc.yaml leads to it."""
        found: dict[Reference, str] = {}
        for oid in self.place.repository.own_steps(self.tip, self.since):
            for reference in self._led_to(oid):
                found.setdefault(reference, oid)
        return found

    def _all_leading(self) -> dict[Reference, str]:
        """Return version → the decision that registered it, else the first one, whose dvc.yaml leads to it.

        Where neither has one that speaks of the model, the first: GTO shows it, and DVC says that it finds nothing.
        """
        found: dict[Reference, str] = {}
        for reference, oid in registered(self.place).items():
            led_to = gto.number_listed(self._dvc_yaml(oid), reference.name)
            if led_to == reference.number:
                found[reference] = oid
            elif not led_to:
                self.mute[reference] = oid
        if self.mute:
            for oid, _ in reversed(list(self.place.repository.steps(self.tip, DVC_YAML))):
                for reference in self._led_to(oid):
                    found.setdefault(reference, oid)
        return self.mute | found

    def _led_to(self, oid: str) -> Iterator[Reference]:
        content = self._dvc_yaml(oid)
        for name in gto.listed(content):
            if not self.touched or name in self.touched:
                yield Reference(name, gto.number_listed(content, name))

    def _dvc_yaml(self, oid: str) -> bytes | None:
        return self.place.snapshot(oid).read(DVC_YAML)

    def _called(self, reference: Reference) -> str:
        version = self.now.version(*reference)
        return str(gto.Tag(reference.name, gto.release_of(version.release if version else None, reference.number)))

    def _agree_on(self, name: str) -> None:
        """Want what is missing of one model: its versions, what was deleted, and where versions are."""
        there = self.there.get(name, {})
        state = self.now.model(name)
        numbers = self.now.versions(name) if state is not None and not state.is_gone else ()
        held = {number for stage in state.stages.values() for number in stage} if state and numbers else set()
        touched = self.touched.get(name, set())
        has_lost = bool(touched - {*numbers}) or not numbers
        asked = numbers if self.is_whole or has_lost else tuple(n for n in numbers if n in touched | held)
        commits = self._versions(name, asked, there)
        if self.is_whole or has_lost:
            self._deleted(name, {self._called(Reference(name, number)) for number in numbers}, there)
        stages = {stage.name for stage in self.now.constitution.stages[1:] if gto.is_sayable(stage.name)}
        coming: list[tuple[str, str, int]] = []
        for stage in sorted(stages | {said.stage for said, _ in there.values()} - {""}):
            here = state.stages.get(stage, ()) if state is not None and stage in stages and numbers else ()
            at = {commits[number]: number for number in here if number in commits}
            coming += [(stage, commit, at[commit]) for commit in self._left(name, stage, at, there)]
        for stage, commit, number in coming:  # behind all that left: GTO takes the last word about a version
            self._move(name, stage, commit, is_undone=False, words=f"{name}: version {number} to {stage}")

    def _versions(
        self, name: str, numbers: Collection[int], there: Mapping[str, tuple[gto.Tag, Tagged]]
    ) -> dict[int, str]:
        """Want a tag for each version that has none, and return number → the commit that it has or gets."""
        commits: dict[int, str] = {}
        for number in numbers:
            tag = self._called(Reference(name, number))
            decision = self.leading.get(Reference(name, number), "")
            mark = there[tag][1].commit if tag in there else "" if tag in self.wanted else decision
            led_to = gto.number_listed(self._dvc_yaml(mark), name) if mark and self.is_whole else number
            if tag in there and led_to not in (number, 0):
                self.wrong.append(f"{tag} marks {mark[:12]}, whose {DVC_YAML} leads to version {led_to}")
            elif not mark or mark in commits.values() or led_to not in (number, 0):
                self._cannot_say(
                    f"{name}@{number}: it came together with another version, or its release is another's, and GTO tells versions by their decisions"
                )
            else:
                commits[number] = mark
                if not led_to:
                    self._cannot_say(
                        f"{name}@{number}: registered before `interop: gto`, so GTO shows it, and `dvc artifacts get` does not find it"
                    )
                if tag not in there:
                    self._want(tag, mark, f"{name}: version {number}")
        return commits

    def _cannot_say(self, what: str) -> None:
        """Note it, where everything is looked at."""
        if self.is_whole:
            self.unsaid.append(what)

    def _deleted(self, name: str, alive: set[str], there: Mapping[str, tuple[gto.Tag, Tagged]]) -> None:
        gone = {said.release for said, _ in there.values() if said.release and said.is_undone}
        for tag, (said, tagged) in there.items():
            if said.release and not said.is_undone and said.release not in gone and tag not in alive:
                self._want(str(said._replace(is_undone=True)), tagged.commit, f"{name}: {said.release} is deleted")

    def _left(
        self, name: str, stage: str, here: Mapping[str, int], there: Mapping[str, tuple[gto.Tag, Tagged]]
    ) -> list[str]:
        """Want tags for what has left a stage, and return the commits that must come, so that the last that came is in it."""
        moves = [(tagged.time, said.counter, said, tagged) for said, tagged in there.values() if said.stage == stage]
        inside: dict[str, bool] = {}
        last = ""
        for _, _, said, tagged in sorted(moves):
            inside[tagged.commit] = not said.is_undone
            last = last if said.is_undone else tagged.commit
        for commit in [commit for commit, is_in in inside.items() if is_in and commit not in here]:
            self._move(name, stage, commit, is_undone=True, words=f"{name}: leaves {stage}")
        coming = [commit for commit in here if not inside.get(commit)]
        if here and not coming and last not in here:
            coming = [max(here, key=here.__getitem__)]  # DVC takes whoever came last, in the stage or not
        return sorted(coming, key=here.__getitem__)

    def _move(self, name: str, stage: str, commit: str, *, is_undone: bool, words: str) -> None:
        counters = [said.counter for said, _ in self.there.get(name, {}).values()]
        counters += [said.counter for tag in self.wanted if (said := gto.read_tag(tag)) and said.model == name]
        self._want(str(gto.Tag(name, "", stage, 1 + max(counters, default=0), is_undone)), commit, words)

    def _want(self, tag: str, commit: str, words: str) -> None:
        name = tag.partition("@")[0].partition("#")[0]
        times = [tagged.time for _, tagged in self.there.get(name, {}).values()]
        times += [one.time for other, one in self.wanted.items() if other.startswith((f"{name}@", f"{name}#"))]
        earliest = self.place.repository.commit(commit).time if "@" in tag else self.clock
        self.wanted[tag] = NewTag(commit, max(earliest, 1 + max(times, default=0)), words)


def since_of(place: Workplace) -> str:
    """Return the last decision; empty where there is none."""
    try:
        return place.tip()
    except NotFound:
        return ""
