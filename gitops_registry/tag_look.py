"""One look at the tags that GTO and `dvc artifacts get` read: which are wanted, which are wrong, and what cannot be said.

What is wanted follows from the registry as it is now, and what is there from the tags; only the difference is made. A stage that is
left, and a version that is deleted, get a tag that says so. DVC and `gto show` take the last tag of a stage, so that is always one of
the newest version in it. Dates rise by whole seconds within a model, for DVC breaks ties without regard to the counter. A tag counts
where GTO reads it and it marks a decision; tags of artifacts that are no models of the registry are nobody's business here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from gitops_registry import gto
from gitops_registry.git.landing import NO_COMMIT
from gitops_registry.git.tags import NewTag, Tagged, tags, tags_within
from gitops_registry.milestones import Milestones, milestones, milestones_since
from gitops_registry.paths import CONSTITUTION, DVC_YAML, place_of
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace


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


class There(NamedTuple):
    """A tag that there is: what it says, and what it marks."""

    said: gto.Tag
    tagged: Tagged


@dataclass
class ModelTags:
    """The tags of one model that GTO reads, by name; and the highest counter and last date of all, those to be made included."""

    tags: dict[str, There] = field(default_factory=dict)
    unread: dict[str, Tagged] = field(default_factory=dict)
    """Those that GTO does not read, or not as what they are called."""
    counter: int = 0
    time: int = 0

    def note(self, name: str, said: gto.Tag, tagged: Tagged) -> None:
        """Note a tag that there is."""
        if tagged.is_annotated:
            self.tags[name] = There(said, tagged)
        else:
            self.unread[name] = tagged
        self.counter = max(self.counter, said.counter)
        self.time = max(self.time, tagged.time)


class Look:
    """One look at the tags: at those of all models, or of what was decided after a commit."""

    def __init__(self, place: Workplace, since: str) -> None:
        self.place = place
        self.since = since
        self.tip = place.tip()
        self.now: Snapshot = place.snapshot(self.tip)
        self.clock = place.repository.commit(self.tip).time
        self.models = {name: ModelTags() for name in self.now.models()}
        for name, tagged in tags(place.repository).items():
            said = gto.read_tag(name)
            if said is not None and said.model in self.models:
                self.models[said.model].note(name, said, tagged)
        self.wanted: dict[str, NewTag] = {}
        self.unsaid: list[str] = []
        self.wrong: dict[str, str] = {}
        """Tag → what is wrong with it."""
        touched = self._touched()
        self.is_whole = touched is None
        self.touched = touched or {}
        self.milestones: Milestones = (
            milestones(place)
            if self.is_whole
            else milestones_since(place, since, {n for n, m in self.touched.items() if m})
        )

    def agreement(self) -> Agreement:
        """Return what is missing."""
        for stage in self.now.constitution.stages[1:]:
            if not gto.is_sayable(stage.name):
                self._cannot_say(f"{stage.name}: GTO has no word for a stage of that name")
        for name in sorted(self.models if self.is_whole else self.touched.keys() & self.models.keys()):
            if gto.is_sayable(name):
                self._agree_on(name)
            elif self.now.versions(name):
                self._cannot_say(
                    f"{name}: GTO has no word for a model of that name (letters, digits, - and _; 100 of them at most)"
                )
        return Agreement(self.wanted, (), tuple(self.unsaid), tuple(self.wrong.values()))

    def all_tags(self) -> dict[str, There]:
        """Return the tags that there are of models of the registry, by name."""
        return {name: there for model in self.models.values() for name, there in model.tags.items()}

    def lacking(self, found: Agreement, there: Mapping[str, Tagged]) -> tuple[str, ...]:
        """Return the names of the tags that a remote lacks of those here and those wanted.

        What marks a commit outside of the history of decisions only where the remote has a tag on it, which is then taken back.
        """
        within = tags_within(self.place.repository, self.tip)
        marked = {tagged.commit for tagged in there.values()}
        names = [name for name in self.all_tags() if name in within and name not in self.wrong]
        names += [name for name, tag in found.wanted.items() if tag.commit in self.decisions or tag.commit in marked]
        return tuple(dict.fromkeys(name for name in names if name not in there))

    @cached_property
    def decisions(self) -> frozenset[str]:
        """All decisions: no tag on another commit says anything of the registry."""
        return frozenset(self.place.repository.own_steps(self.tip, NO_COMMIT))

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

    def _led_to(self, oid: str, name: str) -> int:
        return gto.number_listed(gto.written(self.place.snapshot(oid)), name)

    def _called(self, reference: Reference) -> gto.Tag:
        version = self.now.version(*reference)
        return gto.Tag(reference.name, gto.release_of(version.release if version else None, reference.number))

    def _agree_on(self, name: str) -> None:
        """Want what is missing of one model: its versions, what was deleted, and where versions are."""
        model = self.models[name]
        state = self.now.model(name)
        numbers = self.now.versions(name) if state is not None and not state.is_gone else ()
        held = {number for stage in state.stages.values() for number in stage} if state and numbers else set()
        touched = self.touched.get(name, set())
        is_all = self.is_whole or bool(touched - {*numbers}) or not numbers
        commits = self._versions(name, numbers if is_all else [n for n in numbers if n in touched | held])
        if is_all:
            alive = {(commit, self._called(Reference(name, number)).release) for number, commit in commits.items()}
            self._crowded(name, alive)
            self._deleted(name, alive)
        stages = {stage.name for stage in self.now.constitution.stages[1:] if gto.is_sayable(stage.name)}
        coming: list[tuple[str, str, int]] = []
        for stage in sorted(stages | {said.stage for said, _ in model.tags.values()} - {""}):
            here = state.stages.get(stage, ()) if state is not None and stage in stages and numbers else ()
            at = {commits[number]: number for number in here if number in commits}
            coming += [(stage, commit, at[commit]) for commit in self._left(name, stage, at)]
        for stage, commit, number in coming:  # behind all that left: GTO takes the last word about a version
            self._move(name, stage, commit, is_undone=False, words=f"{name}: version {number} to {stage}")
        self._misread(name, is_alive=bool(numbers))

    def _misread(self, name: str, *, is_alive: bool) -> None:
        """Note the tags of a model that mislead GTO whatever is made now."""
        model = self.models[name]
        for tag, tagged in model.unread.items():
            if tagged.time:
                self.wrong[tag] = (
                    f"{tag} names another tag, or marks no commit: GTO reads something else there, or fails"
                )
        versions = self._tagged_versions(name)
        last = max(model.tags.values(), key=lambda there: there.tagged.time, default=None)
        for tag, there in model.tags.items():
            said, tagged = there
            if said.stage and tagged.commit not in versions:
                self.wrong[tag] = (
                    f"{tag} marks {tagged.commit[:12]}, where no version of {name} is, and GTO shows it as one"
                )
            elif not said.stage and not said.release and not said.is_undone:
                self.wrong[tag] = f"{tag} is a tag that GTO fails at"
            elif not said.stage and not said.release and there is last and is_alive and not self.wanted_of(name):
                self.wrong[tag] = f"{tag} says that {name} is no more, and GTO does not show it"

    def _tagged_versions(self, name: str) -> set[str]:
        """Return the commits that are a version of a model to GTO, or were one. Of another it hears no tag that takes back."""
        found = {there.tagged.commit for there in self.models[name].tags.values() if there.said.release}
        return found | {tag.commit for called, tag in self.wanted_of(name).items() if "@" in called}

    def wanted_of(self, name: str) -> dict[str, NewTag]:
        """Return the tags of a model that are wanted."""
        return {tag: new for tag, new in self.wanted.items() if tag.startswith((f"{name}@", f"{name}#"))}

    def _versions(self, name: str, numbers: Collection[int]) -> dict[int, str]:
        """Want a tag for each version that has none, and return number → the commit that it has or gets."""
        commits: dict[int, str] = {}
        by_release: dict[str, dict[str, There]] = {}
        for tag, there in sorted(self.models[name].tags.items(), key=lambda one: one[1].tagged.time):
            by_release.setdefault(there.said.release, {})[tag] = there
        for number in numbers:
            reference = Reference(name, number)
            called = self._called(reference)
            own = by_release.get(called.release)
            if own:
                mark = self._marked(reference, called, own)
            else:
                mark = self.milestones.leading.get(reference, self.milestones.mute.get(reference, ""))
            if own and not mark:
                continue
            if not own and str(called) in self.models[name].unread:
                self.wrong[str(called)] = f"{called} is no annotated tag on a commit, and GTO reads no other"
            elif not mark or mark in commits.values() or str(called) in self.wanted:
                self._shares(reference)
            else:
                commits[number] = mark
                if reference in self.milestones.mute:
                    self._cannot_say(
                        f"{name}@{number}: registered before `interop: gto`, so GTO shows it, and `dvc artifacts get` does not find it"
                    )
                if not own:
                    self._want(name, called, mark, f"{name}: version {number}")
        return commits

    def _marked(self, reference: Reference, called: gto.Tag, own: Mapping[str, There]) -> str:
        """Return the commit that the tags of a version's release say it is at; empty where the release is another version's.

        Notes what is wrong: a tag that marks no decision or one that leads elsewhere, and one that says that the version is gone.
        """
        tag, there = (str(called), own[str(called)]) if str(called) in own else next(iter(own.items()))
        mark = there.tagged.commit
        led_to = self._led_to(mark, reference.name) if mark in self.decisions else -1
        if led_to != reference.number and not (led_to == 0 and reference not in self.milestones.leading):
            other = Reference(reference.name, led_to)
            if led_to > 0 and (
                self._called(other) == called if self.now.version(*other) else led_to in self._spent(other.name)
            ):
                self._shares(reference)
            else:
                leads = (
                    f"whose {DVC_YAML} leads to version {led_to}" if led_to > 0 else f"whose {DVC_YAML} leads to none"
                )
                self.wrong[tag] = f"{tag} marks {mark[:12]}, {leads if led_to >= 0 else 'which is no decision'}"
            return ""
        for tag, (said, tagged) in own.items():
            if tagged.commit != mark:
                self.wrong[tag] = f"{tag} marks {tagged.commit[:12]}, and version {reference.number} is at {mark[:12]}"
            elif said.is_undone and tag == max(
                (t for t in own if own[t].tagged.commit == mark), key=lambda t: own[t].tagged.time
            ):
                self.wrong[tag] = f"{tag} says that version {reference.number} is deleted, and it is there"
        return mark

    def _shares(self, reference: Reference) -> None:
        self._cannot_say(
            f"{reference}: it came together with another version, or its release is or was another's, and GTO tells versions by their decisions"
        )

    def _spent(self, name: str) -> frozenset[int]:
        model = self.now.model(name)
        return frozenset(model.deleted) if model else frozenset()

    def _cannot_say(self, what: str) -> None:
        """Note it, where everything is looked at."""
        if self.is_whole:
            self.unsaid.append(what)

    def _crowded(self, name: str, alive: Collection[tuple[str, str]]) -> None:
        """Note the tags that say another version of a commit than the one that is there: GTO fails where there are two."""
        first = dict(sorted(alive))
        for tag, (said, tagged) in sorted(self.models[name].tags.items(), key=lambda one: one[1].tagged.time):
            if said.release and first.setdefault(tagged.commit, said.release) != said.release:
                self.wrong.setdefault(
                    tag, f"{tag} marks {tagged.commit[:12]}, where v{first[tagged.commit]} is, and GTO fails at two"
                )

    def _deleted(self, name: str, alive: Collection[tuple[str, str]]) -> None:
        """Want a tag for each version that GTO shows and that is not there."""
        last: dict[tuple[str, str], str] = {}
        tags = self.models[name].tags
        for tag, (said, tagged) in sorted(tags.items(), key=lambda one: one[1].tagged.time):
            if said.release:
                last[tagged.commit, said.release] = tag
        for (commit, release), tag in last.items():
            if tags[tag].said.is_undone or (commit, release) in alive or tag in self.wrong:
                continue
            gone = gto.Tag(name, release, is_undone=True)
            if str(gone) in {*tags, *self.models[name].unread, *self.wanted}:
                gone = gone._replace(counter=self.models[name].counter + 1)
            self._want(name, gone, commit, f"{name}: {release} is deleted")

    def _left(self, name: str, stage: str, here: Mapping[str, int]) -> list[str]:
        """Want tags for what has left a stage, and return the commits that must come: the last tag is to be the newest version's."""
        moves = [there for there in self.models[name].tags.values() if there.said.stage == stage]
        moves.sort(key=lambda there: (there.tagged.time, there.said.counter))
        inside = {tagged.commit: not said.is_undone for said, tagged in moves}
        versions = self._tagged_versions(name)
        left = [commit for commit, is_in in inside.items() if is_in and commit not in here and commit in versions]
        for commit in left:
            self._move(name, stage, commit, is_undone=True, words=f"{name}: leaves {stage}")
        coming = {commit for commit in here if not inside.get(commit)}
        newest = max(here, key=here.__getitem__, default="")
        is_last = (
            moves and not moves[-1].said.is_undone and moves[-1].tagged.commit == newest
            and sum(there.tagged.time == moves[-1].tagged.time for there in moves) == 1
        )  # fmt: skip
        if newest and (coming or left or not is_last):
            coming.add(newest)
        return sorted(coming, key=here.__getitem__)

    def _move(self, name: str, stage: str, commit: str, *, is_undone: bool, words: str) -> None:
        self._want(name, gto.Tag(name, "", stage, self.models[name].counter + 1, is_undone), commit, words)

    def _want(self, name: str, tag: gto.Tag, commit: str, words: str) -> None:
        model = self.models[name]
        earliest = self.clock if tag.stage else self.place.repository.commit(commit).time
        model.time = max(earliest, model.time + 1)
        model.counter = max(model.counter, tag.counter)
        self.wanted[str(tag)] = NewTag(commit, model.time, words)
