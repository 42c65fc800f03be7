"""Tags on a server: made once, where what they say is true, and never moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from gitops_registry import paths
from gitops_registry.git import incoming
from gitops_registry.git.landing import NO_COMMIT
from gitops_registry.git.repository import EMPTY_TREE
from gitops_registry.gto import is_on, number_listed, read_tag, written
from gitops_registry.receiving import signers
from gitops_registry.receiving.updates import Refusal, TagName, Update, tag_name
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

_FIX = "push the decision that registered it first, then a tag on it: gitops-registry log NAME shows which"


def tag(place: Workplace, update: Update, tip: str, *, now: datetime, beside: Sequence[str] = ()) -> Iterator[Refusal]:
    """Yield why a tag is refused: it moves, it marks no decision, the registry says something else by now, or it has words
    of its own that no member signed. `beside` are all the refs that the push makes: counters go on from one tag to the next.
    """
    if not update.is_new:
        yield Refusal("tags", "is a tag, and tags are never moved or taken away", "make another one", update.ref)
        return
    named = tag_name(update.ref)
    commit = incoming.commit_of(place.repository, update.new)
    if named is None or commit is None or tip == NO_COMMIT or not place.repository.follows(tip, commit):
        yield Refusal("tags", "marks no decision", _FIX, update.ref)
    elif problem := _problem(place, named, commit, place.snapshot(tip), beside):
        yield Refusal("tags", problem, _FIX, update.ref)
    elif commit == update.new and read_tag(update.ref.removeprefix("refs/tags/")) and is_on(place.snapshot(tip)):
        yield Refusal("tags", "has no tag object, and GTO would not see it", "git tag -s", update.ref)
    elif (found := place.repository.objects.get(update.new)) and found.type == "tag":
        name = update.ref.removeprefix("refs/tags/")
        if problem := signers.tag_text(place.witnesses, found.data or b"", place.snapshot(tip), name, now=now):
            yield Refusal("tags", problem, "sign it: git tag -s; or push a plain tag: git tag NAME COMMIT", update.ref)


def _problem(place: Workplace, named: TagName, commit: str, now: Snapshot, beside: Sequence[str]) -> str:
    numbers = _registered(place, commit, named.model) | _led_to(place, commit, named.model)
    if not numbers:
        return f"marks a decision that registered no version of {named.model}"
    there = [number for number in numbers if now.version(named.model, number) is not None]
    if named.version and named.is_undone:
        return f"says that {named.model} has no {named.version} any more, and it has" if there else ""
    if named.version:
        spelled = {_numbered(named.version)} | {n for n in there if _release(now, named.model, n) == named.version}
        return "" if spelled & set(there) else f"marks a decision that registered another version than {named.version}"
    first = _next_count(place, named.model)
    counters = sorted(
        name.counter for name in map(tag_name, beside) if name and name.model == named.model and name.counter
    )
    if (counters or [named.counter]) != list(range(first, first + max(len(counters), 1))):
        return f"has the counter {named.counter}; the next one of {named.model} is {first}"
    held = now.in_stage(named.model, named.stage) if now.model(named.model) else ()
    if named.is_undone:
        return f"says that it left {named.stage}, and model.yaml does not" if there and set(there) <= set(held) else ""
    return "" if set(there) & set(held) else f"says {named.stage}, and model.yaml does not"


def _next_count(place: Workplace, model: str) -> int:
    """Return GTO's next counter of a model: one more than the highest of all its stages."""
    names = map(tag_name, place.repository.branches("refs/tags"))
    return 1 + max((name.counter for name in names if name and name.model == model), default=0)


def _numbered(text: str) -> int:
    """Return the number that `3` or `3.0.0` stands for; 0 for any other."""
    number = text.removesuffix(".0.0")
    return int(number) if number.isdigit() and len(number) < 10 else 0


def _release(now: Snapshot, name: str, number: int) -> str:
    version = now.version(name, number)
    return (version.release or "") if version else ""


def _registered(place: Workplace, commit: str, name: str) -> set[int]:
    """Return the numbers of the versions of a model that a decision registered."""
    parents = place.repository.commit(commit).parents
    folder = f"{paths.MODELS}/{name}/versions"
    changed = place.repository.changed_paths(parents[0] if parents else EMPTY_TREE, commit, folder)
    places = [paths.place_of(change.path) for change in changed if change.new_oid and not change.old_oid]
    return {at.version for at in places if at.role == "version"}


def _led_to(place: Workplace, commit: str, name: str) -> set[int]:
    """Return the number of the version that DVC finds at a decision through its dvc.yaml, where that is the registry's."""
    side = place.snapshot(commit)
    return {number_listed(written(side), name)} - {0} if is_on(side) else set()
