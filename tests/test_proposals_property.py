"""Whatever is proposed at the same time, and in whatever order it lands: what lands is what was shown, or nothing is.

Proposals are drawn at random, made on the same or on different tips of one real repository, and merged in every
order (in some orders, where there are many). The same laws hold for values alone, without git, many times faster.
"""

from __future__ import annotations

import collections
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from builder import CREATED, FINISHED_CARD, World, git, together
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops_registry import edits, paths
from gitops_registry.cel import CommonExpressions
from gitops_registry.changes import Change, meaning
from gitops_registry.difference import diff
from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.git.landing import NO_COMMIT, move_branches, write_commit, writer
from gitops_registry.history import before_present
from gitops_registry.manifest.facts import Artifact, Evaluation, EvaluationData, Person, Version
from gitops_registry.manifest.kinds import Model
from gitops_registry.manifest.reading import parse
from gitops_registry.manifest.writing import dump
from gitops_registry.merging import land, landed_paths
from gitops_registry.pointer import pointer
from gitops_registry.policy.check import check
from gitops_registry.policy.report import Facts
from gitops_registry.printing.cards import committed_cards
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry
from gitops_registry.snapshot import FILE_MODE, PathChange, Snapshot, blob_id
from gitops_registry.workplace import Workplace

STAGES = ("development", "staging", "production", "archived")
Step = Callable[[Snapshot], Mapping[str, Any]]


# ── what people do, as edits of whatever they see


@dataclass(frozen=True)
class Deed:
    """One thing somebody does to one model; the same words make the same edit on the same registry."""

    verb: str
    name: str
    number: int = 1
    word: str = ""

    def __call__(self, seen: Snapshot) -> Mapping[str, Any]:
        return _VERBS[self.verb](seen, self)


def _state(seen: Snapshot, deed: Deed, **update: Any) -> Mapping[str, Any]:
    return edits.rewritten(seen, seen.known_model(deed.name).model_copy(update=update))


def _tag(seen: Snapshot, deed: Deed) -> Mapping[str, Any]:
    tags = dict(seen.known_model(deed.name).tags)
    if tags.pop("domain", None) != deed.word:
        tags["domain" if deed.number % 2 else "region"] = deed.word
    return _state(seen, deed, tags=tags)


def _alias(seen: Snapshot, deed: Deed) -> Mapping[str, Any]:
    seen.known_version(Reference(deed.name, deed.number))
    aliases = dict(seen.known_model(deed.name).aliases)
    if aliases.pop(deed.word, None) != deed.number:
        aliases[deed.word] = deed.number
    return _state(seen, deed, aliases=aliases)


def _delete(seen: Snapshot, deed: Deed) -> Mapping[str, Any]:
    seen.known_version(Reference(deed.name, deed.number))
    model = seen.known_model(deed.name)
    gone: dict[str, Any] = {
        f"{paths.version_folder(deed.name, deed.number)}/{child}": None
        for child in seen.children(paths.version_folder(deed.name, deed.number))
        if child != "evaluations"
    }
    folder = f"{paths.version_folder(deed.name, deed.number)}/evaluations"
    gone |= {f"{folder}/{child}": None for child in seen.children(folder)}
    gone[paths.rendered_card_path(deed.name, deed.number)] = None
    stages = {stage: tuple(n for n in held if n != deed.number) for stage, held in model.stages.items()}
    return gone | dict(
        _state(
            seen,
            deed,
            stages={stage: held for stage, held in stages.items() if held},
            aliases={alias: n for alias, n in model.aliases.items() if n != deed.number},
            deleted=tuple(sorted({*model.deleted, deed.number})),
        )
    )


def _register(seen: Snapshot, deed: Deed) -> Mapping[str, Any]:
    payload = f"{deed.name} {deed.number} {deed.word}\n".encode() * 9
    md5, sha256 = hashlib.md5(payload).hexdigest(), hashlib.sha256(payload).hexdigest()
    artifact = Artifact(name="model", file="model.bin", format="bytes", size=len(payload), md5=md5, sha256=sha256)
    version = Version(
        created=CREATED, author=Person(name="Bob"), task="binary-classification",
        metrics={"accuracy": 0.95}, artifacts=(artifact,),
    )  # fmt: skip
    written = dict(
        edits.register(seen, deed.name, version, card=FINISHED_CARD, files={"model.bin.dvc": pointer(artifact)})
    )
    reference = Reference(deed.name, edits.next_number(seen, deed.name))
    written[paths.rendered_card_path(*reference)] = _card(seen.with_edits(written), reference)
    return written | {paths.store_path(md5): payload}


def _words(seen: Snapshot, deed: Deed) -> Mapping[str, Any]:
    reference = Reference(deed.name, deed.number)
    seen.known_version(reference)
    words = FINISHED_CARD.model_copy(update={"limitations": deed.word})
    written = {paths.card_path(*reference): dump(words, paths.card_path(*reference))}
    return written | {paths.rendered_card_path(*reference): _card(seen.with_edits(written), reference)}


def _measure(seen: Snapshot, deed: Deed) -> Mapping[str, Any]:
    seen.known_version(Reference(deed.name, deed.number))
    path = f"{paths.version_folder(deed.name, deed.number)}/evaluations/{deed.word}.yaml"
    found = Evaluation(
        created=CREATED, author=Person(name="Bob"), dataset=EvaluationData(dataset=deed.word), metrics={"accuracy": 0.9}
    )
    return {path: dump(found, path)}


def _card(seen: Snapshot, reference: Reference) -> bytes:
    (made,) = committed_cards(seen, [reference])
    assert isinstance(made, bytes)
    return made


_VERBS: dict[str, Callable[[Snapshot, Deed], Mapping[str, Any]]] = {
    "promote": lambda seen, deed: edits.promote(seen, Reference(deed.name, deed.number), deed.word),
    "describe": lambda seen, deed: _state(seen, deed, description=deed.word),
    "entitle": lambda seen, deed: _state(seen, deed, title=deed.word),
    "own": lambda seen, deed: _state(seen, deed, owners=(deed.word,)),
    "tag": _tag,
    "alias": _alias,
    "delete": _delete,
    "register": _register,
    "words": _words,
    "measure": _measure,
}

NAMES = st.sampled_from(["fraud", "fraud", "churn"])
NUMBERS = st.integers(1, 4)
WORDS = st.sampled_from(["Retail only.", "日本語の説明", "a: b # c\nsecond line"])
DEEDS = st.one_of(
    st.builds(Deed, st.just("promote"), NAMES, NUMBERS, st.sampled_from(STAGES)),
    st.builds(Deed, st.just("promote"), NAMES, NUMBERS, st.sampled_from(["production", "staging"])),
    st.builds(Deed, st.just("alias"), NAMES, NUMBERS, st.sampled_from(["champion", "best", "Best"])),
    st.builds(Deed, st.just("tag"), NAMES, NUMBERS, st.sampled_from(["credit", "retail"])),
    st.builds(Deed, st.sampled_from(["describe", "entitle", "own"]), NAMES, NUMBERS, WORDS),
    st.builds(Deed, st.just("delete"), NAMES, NUMBERS),
    st.builds(Deed, st.just("register"), st.sampled_from(["fraud", "churn", "fresh", "Fresh"]), NUMBERS),
    st.builds(Deed, st.just("words"), NAMES, NUMBERS, WORDS),
    st.builds(Deed, st.just("measure"), NAMES, NUMBERS, st.sampled_from(["holdout", "live"])),
    st.builds(Deed, st.just("rollback"), NAMES, NUMBERS, st.sampled_from(["production", "staging"])),
)
PLANS = st.lists(DEEDS, min_size=1, max_size=2).map(tuple)
"""A proposal: one deed or two."""


# ── what holds at every tip


def broken_laws(snapshot: Snapshot) -> list[str]:
    """Return what is not as it must be in any registry, found without our rules."""
    found = []
    names = snapshot.children(paths.MODELS)
    if len({name.lower() for name in names}) != len(names):
        found.append(f"names differ only in case: {names}")
    for name in names:
        state = yaml.safe_load(snapshot.read(paths.model_path(name)) or b"{}")
        folders = {int(number) for number in snapshot.children(f"models/{name}/versions")}
        there = {n for n in folders if snapshot.read(paths.version_path(name, n)) is not None}
        if folders != there:
            found.append(f"{name}: folders without a version: {folders - there}")
        listed = [number for held in state.get("stages", {}).values() for number in held]
        if len(listed) != len(set(listed)):
            found.append(f"{name}: a version is in two stages: {state}")
        if len(state.get("stages", {}).get("production", [])) > 1:
            found.append(f"{name}: two versions in production")
        if not set(state.get("stages", {})) <= set(STAGES):
            found.append(f"{name}: unknown stages {state['stages']}")
        named = {*listed, *state.get("aliases", {}).values()}
        if named - there or named & set(state.get("deleted", [])):
            found.append(f"{name}: names versions that are not there: {named - there}")
        if there & set(state.get("deleted", [])):
            found.append(f"{name}: deleted and there: {state['deleted']}")
        folded = [alias.lower() for alias in state.get("aliases", {})]
        if len(folded) != len(set(folded)):
            found.append(f"{name}: aliases differ only in case: {state['aliases']}")
    return found


# ── with git


@dataclass(frozen=True)
class Proposed:
    """One proposal: its commit, and the plan that was shown when it was made."""

    commit: str
    changes: tuple[Change, ...]


class Arena:
    """One bare repository that every example starts anew from the same commit."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = Registry.open(root)
        self.place: Workplace = self.registry.place
        self.seed = self.place.tip()
        self.told: list[str] = []

    def refs(self) -> dict[str, str]:
        return self.place.repository.branches("refs/heads")

    def move(self, **refs: str) -> None:
        """Make these the only branches."""
        wanted = {f"refs/heads/{name}": oid for name, oid in refs.items()}
        lines = [f"delete {ref}" for ref in self.refs() if ref not in wanted]
        lines += [f"update {ref} {oid}" for ref, oid in wanted.items()]
        self.place.repository.run("update-ref", "--stdin", stdin="\n".join([*lines, ""]).encode())

    def step(self, deed: Deed) -> Step:
        """A rollback reads history; every other deed needs the registry only."""
        if deed.verb != "rollback":
            return deed

        def back(seen: Snapshot) -> Mapping[str, Any]:
            tip = self.place.tip()
            known = self.place.snapshot(tip)
            known.known_model(deed.name)
            to = before_present(self.place.repository, tip, known, name=deed.name, stage=deed.word)
            return edits.restore(seen, to.reference, deed.word, to.back)

        return back

    def propose(self, plan: Sequence[Deed], branch: str) -> Proposed | None:
        """Propose all deeds of a plan; None where one of them cannot be done or nothing would change."""
        tip = self.place.tip()
        before = self.place.snapshot(tip)
        try:
            after = before.with_edits(together(*(self.step(deed) for deed in plan))(before))
            changes = diff(before, after, after.changed_paths())
        except RegistryError:
            return None
        if not changes:
            return None
        repository = self.place.repository
        with writer(repository):
            commit, scratch = write_commit(repository, after.edits, parents=[tip], message=branch)
            move_branches(repository, {f"refs/heads/{branch}": (NO_COMMIT, commit)}, scratch=scratch, follow=None)
        return Proposed(commit, tuple(changes))

    def differing(self, before: str, after: str) -> list[Change]:
        changed = self.place.repository.changed_paths(before, after)
        return diff(self.place.snapshot(before), self.place.snapshot(after), changed)

    def land(self, tip: str, branch: str, proposed: Proposed) -> str | None:
        """Merge one proposal on a tip, see that all laws hold, and return the new tip (None where it cannot land)."""
        self.move(main=tip, **{branch: proposed.commit})
        before = self.refs()
        try:
            outcome = self.registry.merge(branch)
        except Conflict as error:
            conflict = error
            outcome = None
        if outcome is None:
            self.told.append("conflict")
            assert conflict.message
            assert conflict.hint
            assert self.refs() == before
            return None
        if outcome.is_refused:
            self.told.append("refused")
            assert all(finding.message for finding in outcome.refusals)
            assert outcome.commit is None
            assert self.refs() == before
            return None
        self.told.append("landed")
        landed = outcome.commit
        assert landed is not None
        assert self.refs() == {"refs/heads/main": landed}
        assert self.place.repository.commit(landed).parents == (tip, proposed.commit)
        assert meaning(self.differing(tip, landed)) == meaning(proposed.changes) == meaning(outcome.changes)
        assert broken_laws(self.place.snapshot(landed)) == []
        assert [finding for finding in self.registry.check().findings if finding.result == "error"] == []
        return landed


@pytest.fixture(scope="module")
def arena(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Arena:
    """Two models with versions in every stage and a history of who served."""
    folder = tmp_path_factory.mktemp("arena")
    world = World(folder / "world", template=template)
    good, weak = {"accuracy": 0.95}, {"accuracy": 0.5}
    fraud = world.model("fraud", description="Scores payments.", tags={"domain": "payments"}, aliases={"champion": 2})
    fraud.version(metrics=good).version(metrics=good).version(metrics=good).version(metrics=weak)
    fraud.in_stage("production", 1).in_stage("staging", 2, 3).commit()
    world.model("churn").version(metrics=weak).version(metrics=good).in_stage("production", 1).commit()
    for name, stages in {"fraud": {1: "archived", 2: "production"}, "churn": {1: "archived", 2: "production"}}.items():
        world.commit(edits.moved(world.registry.snapshot, name, stages), f"serve {name}")
    git(folder, "clone", "--quiet", "--bare", world.root.as_uri(), "arena.git")
    return Arena(folder / "arena.git")


def _gathered(arena: Arena, plans: Sequence[tuple[bool, tuple[Deed, ...]]]) -> tuple[str, dict[str, Proposed]]:
    """Make the proposals one after the other; a step that is `decided` moves the tip for those after it."""
    arena.move(main=arena.seed)
    tip, proposals = arena.seed, dict[str, Proposed]()
    for position, (decided, plan) in enumerate(plans):
        branch = f"promote/{position}"
        made = arena.propose(plan, branch)
        if made is not None and decided:
            kept = {name.removeprefix("refs/heads/"): oid for name, oid in arena.refs().items()}
            tip = arena.land(tip, branch, made) or tip
            kept.pop(branch)
            arena.move(**{**kept, "main": tip})
        elif made is not None:
            proposals[branch] = made
    return tip, proposals


def _land_in_every_order(arena: Arena, tip: str, waiting: Mapping[str, Proposed]) -> int:
    count = 0
    for branch, proposed in waiting.items():
        landed = arena.land(tip, branch, proposed)
        rest = {name: other for name, other in waiting.items() if name != branch}
        count += 1 + _land_in_every_order(arena, landed or tip, rest)
    return count


_GIT = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), print_blob=False
)


@settings(_GIT, max_examples=4)
@given(st.lists(st.tuples(st.sampled_from([False, False, False, True]), PLANS), min_size=2, max_size=3))
def test_up_to_three_proposals_land_in_every_order_as_they_were_shown_or_not_at_all(
    arena: Arena, plans: list[tuple[bool, tuple[Deed, ...]]]
) -> None:
    tip, waiting = _gathered(arena, plans)
    tried = _land_in_every_order(arena, tip, waiting)
    assert tried == sum(_ways(len(waiting), taken) for taken in range(1, len(waiting) + 1))


def _ways(count: int, taken: int) -> int:
    return len(list(itertools.permutations(range(count), taken)))


@settings(_GIT, max_examples=4)
@given(st.lists(st.tuples(st.booleans(), PLANS), min_size=5, max_size=8), st.randoms(use_true_random=False))
def test_many_proposals_of_different_tips_land_in_a_random_order_as_they_were_shown_or_not_at_all(
    arena: Arena, plans: list[tuple[bool, tuple[Deed, ...]]], chance: Any
) -> None:
    tip, waiting = _gathered(arena, plans)
    order = list(waiting)
    chance.shuffle(order)
    for branch in order:
        tip = arena.land(tip, branch, waiting[branch]) or tip
    assert broken_laws(arena.place.snapshot(tip)) == []


def test_the_three_ends_of_a_proposal_are_all_met_and_leave_a_sound_git_repository(arena: Arena) -> None:
    deeds = (
        Deed("register", "fraud"), Deed("promote", "churn", 1, "production"), Deed("promote", "fraud", 3, "production"),
        Deed("promote", "fraud", 1, "production"), Deed("promote", "fraud", 4, "production"), Deed("delete", "churn", 1),
    )  # fmt: skip
    tip, waiting = _gathered(arena, [(False, (deed,)) for deed in deeds])
    assert len(waiting) == len(deeds)
    arena.told.clear()
    for branch, proposed in waiting.items():
        tip = arena.land(tip, branch, proposed) or tip
    assert arena.told == ["landed", "landed", "landed", "conflict", "conflict", "conflict"]
    arena.told.clear()
    arena.land(arena.seed, "promote/4", waiting["promote/4"])
    assert arena.told == ["refused"]
    assert git(arena.root, "fsck", "--strict", "--no-dangling", "--no-progress") == ""


# ── as values


class Files:
    """The files of a registry in memory, as a source of snapshots."""

    def __init__(self, files: Mapping[str, bytes], label: str = "memory") -> None:
        self.files = dict(files)
        self.label = label
        self._oids: dict[str, str] = {}

    def read(self, path: str, limit: int) -> bytes | None:
        return self.files.get(path)

    def read_object(self, oid: str, path: str, limit: int) -> bytes | None:
        return _OBJECTS.get(oid)

    def oid(self, path: str) -> str:
        if path in self.files and path not in self._oids:
            self._oids[path] = _remember(self.files[path])
        return self._oids.get(path, "")

    def children(self, folder: str) -> tuple[str, ...]:
        start = folder + "/"
        return tuple(sorted({path[len(start) :].split("/")[0] for path in self.files if path.startswith(start)}))

    def after(self, written: Mapping[str, Any]) -> Files:
        """Return the files with edits applied."""
        files = dict(self.files)
        for path, content in written.items():
            files.pop(path, None)
            if content is not None:
                files[path] = content if isinstance(content, bytes) else _OBJECTS[content.oid]
                _remember(files[path])
        return Files(files)


_OBJECTS: dict[str, bytes] = {}


def _remember(content: bytes) -> str:
    oid = blob_id(content)
    _OBJECTS[oid] = content
    return oid


def between(before: Files, after: Files) -> list[PathChange]:
    """Return the paths that differ."""
    found = []
    for path in sorted({*before.files, *after.files}):
        old, new = before.oid(path), after.oid(path)
        if old != new:
            found.append(PathChange(path, FILE_MODE if old else "", FILE_MODE if new else "", old, new))
    return found


def changes_between(before: Files, after: Files) -> list[Change]:
    """Return the semantic difference."""
    return diff(Snapshot(before), Snapshot(after), between(before, after))


@pytest.fixture(scope="module")
def files(arena: Arena) -> Files:
    """The same two models, in memory."""
    snapshot = arena.place.snapshot(arena.seed)
    names = [file.path for file in arena.place.files(arena.seed)]
    return Files({path: snapshot.read(path) or b"" for path in names})


def _done(files: Files, plan: Sequence[Deed]) -> Files:
    steps = [deed for deed in plan if deed.verb != "rollback"]
    try:
        after = files.after(together(*steps)(Snapshot(files)))
        assert all(Snapshot(after).model(deed.name) for deed in steps)
        return after
    except RegistryError:
        return files  # it cannot be done here, or what it would write is no manifest


_VALUES = settings(_GIT, max_examples=12)


@settings(_VALUES, max_examples=8)
@given(st.lists(PLANS, min_size=2, max_size=4))
def test_values_land_in_every_order_as_they_were_meant_or_not_at_all(
    files: Files, plans: list[tuple[Deed, ...]]
) -> None:
    heads = [_done(files, plan) for plan in plans]
    ends = list(_ends(files, files, heads))
    assert ends
    complete = {frozenset((path, _meaning_of(path, data)) for path, data in tip.files.items()) for tip in ends if tip}
    assert len(complete) <= 1, "the order of landings that all succeed must not matter"


def _ends(base: Files, tip: Files, heads: Sequence[Files]) -> Iterator[Files | None]:
    """Land the heads in every order and yield where each order ends; None where not all of them could land."""
    if not heads:
        yield tip
    for position, head in enumerate(heads):
        after = _landed(base, head, tip)
        for end in _ends(base, after or tip, [*heads[:position], *heads[position + 1 :]]):
            yield end if after else None


def _landed(base: Files, head: Files, tip: Files) -> Files | None:
    """Return the tip with the proposal landed; None where it conflicts, or where our rules would refuse the result."""
    ours, theirs = between(base, head), between(base, tip)
    before = Snapshot(tip)
    try:
        written = land(Snapshot(base), Snapshot(head), before, ours=ours, theirs=theirs)
    except Conflict:
        return None
    after = before.with_edits(written)
    landed = tip.after(written)
    assert landed_paths(after, ours, theirs) == between(tip, landed)
    report = check(before, after, between(tip, landed), _facts, CommonExpressions())
    if broken_laws(Snapshot(landed)):
        assert [finding for finding in report.findings if finding.result == "error"]
        return None  # what only the rules of the registry can see, such as two models whose names differ in case
    assert meaning(changes_between(tip, landed)) == meaning(changes_between(base, head))
    return landed


def _facts(after: Snapshot, changes: Sequence[Change]) -> Facts:
    """Everything is there, nobody approved, and the cards are what they must be."""
    touched = {Reference(change.model, change.version) for change in changes if change.version}
    there = [reference for reference in touched if after.version(*reference) is not None]
    cards = {paths.rendered_card_path(*reference): _card(after, reference) for reference in there}
    return Facts(presence=collections.defaultdict(lambda: "present"), approvals=(), history={}, cards=cards)


def _meaning_of(path: str, data: bytes) -> Any:
    if paths.place_of(path).role == "model":
        model = parse(data, path, Model).document
        return repr(model.model_copy(update={"tags": {}})), repr(sorted(model.tags.items()))
    return data


@settings(_VALUES)
@given(st.lists(DEEDS, max_size=5), st.lists(DEEDS, max_size=5))
def test_the_difference_back_is_the_inverse_of_the_difference_there(
    files: Files, one: list[Deed], other: list[Deed]
) -> None:
    left, right = files, files
    for deed in one:
        left = _done(left, [deed])
    for deed in other:
        right = _done(right, [deed])
    there, back = changes_between(left, right), changes_between(right, left)
    key = repr
    assert sorted(back, key=key) == sorted((change.inverse() for change in there), key=key)
    assert [change.inverse().inverse() for change in there] == there
    assert changes_between(left, left) == []
    assert diff(Snapshot(left), Snapshot(left), _everything(left)) == []


def _everything(files: Files) -> list[PathChange]:
    """Every manifest, said to differ although it does not: git may say so for a change of mode."""
    return [
        PathChange(path, FILE_MODE, FILE_MODE, files.oid(path), files.oid(path))
        for path in files.files
        if paths.place_of(path).role == "model"
    ]


@settings(_VALUES, max_examples=10)
@given(DEEDS, st.randoms(use_true_random=False), st.sampled_from([2, 4, 7]), st.booleans())
def test_reformatting_a_manifest_and_the_order_of_its_keys_change_nothing(
    files: Files, deed: Deed, chance: Any, indent: int, flow: bool
) -> None:
    there = _done(files, [deed])
    other = dict(there.files)
    for path, data in there.files.items():
        if paths.place_of(path).role == "model":
            other[path] = _reformatted(data, chance, indent=indent, flow=flow)
    assert changes_between(there, Files(other)) == []
    assert meaning(changes_between(files, Files(other))) == meaning(changes_between(files, there))


def _reformatted(data: bytes, chance: Any, *, indent: int, flow: bool) -> bytes:
    value = _shuffled(yaml.safe_load(data), chance)
    text = yaml.safe_dump(value, sort_keys=False, indent=indent, default_flow_style=flow, allow_unicode=True)
    return f"# a comment\n\n{text}\n# the end\n".encode()


def _shuffled(value: Any, chance: Any) -> Any:
    if isinstance(value, dict):
        items = [(key, _shuffled(item, chance)) for key, item in value.items()]
        chance.shuffle(items)
        return dict(items)
    return value
