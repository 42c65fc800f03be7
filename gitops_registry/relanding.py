"""Decisions that were made here while others landed elsewhere: put on top of theirs, one by one, as values.

A remote that could not be reached leaves two histories. Ours is landed again step by step: each step means what it
meant, is judged on the newer state, and keeps its author, its time and the proposal it came from. A version whose
number was taken meanwhile gets the next one, which is a move, because no file repeats its number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gitops_registry import paths
from gitops_registry.edits import next_number
from gitops_registry.errors import Conflict
from gitops_registry.evidence import gatherer
from gitops_registry.git.landing import NO_COMMIT, move_branches, write_commit
from gitops_registry.manifest.kinds import Model
from gitops_registry.manifest.writing import dump
from gitops_registry.merging import land, landed_paths
from gitops_registry.paths import place_of
from gitops_registry.policy.check import check
from gitops_registry.policy.report import DECISION
from gitops_registry.reference import Reference
from gitops_registry.snapshot import FILE_MODE, Content, PathChange, Snapshot, Stored
from gitops_registry.workplace import Workplace

Numbers = Mapping[Reference, int]
"""Versions of ours whose number was taken → the number they have now."""


def reland(place: Workplace, theirs: str) -> str:
    """Put the decisions that only this repository has on top of the commit `theirs`; return what to tell the user.

    The caller holds the writers' lock. Raises Conflict where one of them cannot land there or is refused; then nothing
    moves.
    """
    mine, tip = place.tip(), theirs
    numbers: dict[Reference, int] = {}
    made: dict[str, str] = {}
    steps = place.repository.own_steps(mine, theirs)
    for step in steps:
        tip, scratch = _land_again(place, step, tip, numbers)
        made[scratch] = tip
    drafts = {scratch: (commit, NO_COMMIT) for scratch, commit in made.items()}
    move_branches(place.repository, {place.ref: (mine, tip), **drafts}, scratch="", follow=place.ref)
    told = f"{len(steps)} decision(s) of yours were put on top of what others decided meanwhile"
    return "; ".join([told, *(f"{ours} is {ours.name}@{number} now" for ours, number in sorted(numbers.items()))])


def _land_again(place: Workplace, step: str, tip: str, numbers: dict[Reference, int]) -> tuple[str, str]:
    """Land one decision on `tip` and return the new commit and its scratch ref; `numbers` learns what was renumbered."""
    repository = place.repository
    commit = repository.commit(step)
    base, now = commit.parents[0], place.snapshot(tip)
    ours, theirs = repository.changed_paths(base, step), repository.changed_paths(base, tip)
    _renumber(now, ours, numbers)
    old, new = (_renumbered(place, place.snapshot(side), numbers) for side in (base, step))
    old = _with_new_models(old, now, ours)
    ours, theirs = _between(old, new, ours), _between(old, now, theirs)
    why = f"{commit.subject!r} of yours does not fit what others decided meanwhile"
    hint = f"look at it: git show {step[:12]}; to give yours up: git reset --keep {tip[:12]}"
    try:
        landed = dict(land(old, new, now, ours=ours, theirs=theirs))
    except Conflict as error:
        raise Conflict(f"{why}: {error.message}", hint=hint) from error
    edits = {path: _content(new, path, content) for path, content in landed.items()}
    after = now.with_edits(edits)
    refusals = check(now, after, landed_paths(after, ours, theirs), gatherer(place, tip)).refusals(DECISION)
    if refusals:
        raise Conflict(f"{why}: {refusals[0].message}", hint=hint)
    parents, message = [tip, *commit.parents[1:]], _said(commit.body, numbers)
    return write_commit(repository, edits, parents=parents, message=message, author=commit.author_line)


def _renumber(now: Snapshot, ours: Sequence[PathChange], numbers: dict[Reference, int]) -> None:
    """Note the next number of every version that a step registers under one that is taken by now."""
    registered = [place_of(change.path) for change in ours if change.new_oid and not change.old_oid]
    for place in sorted(place for place in registered if place.role == "version"):
        wanted = next_number(now, place.model)
        taken = [number for reference, number in numbers.items() if reference.name == place.model]
        wanted = max([wanted, *(number + 1 for number in taken)]) if wanted <= max(taken, default=0) else wanted
        if wanted > place.version:
            numbers[Reference(place.model, place.version)] = wanted


def _renumbered(place: Workplace, side: Snapshot, numbers: Numbers) -> Snapshot:
    """Return a registry of ours as it would be had its versions the numbers they have now."""
    gone: dict[str, Content | None] = {}
    moved: dict[str, Content | None] = {}
    for reference, number in numbers.items():
        folder = paths.version_folder(*reference)
        for path in side.files(folder):
            gone[path] = None
            moved[paths.version_folder(reference.name, number) + path.removeprefix(folder)] = _as_stored(side, path)
        gone[paths.rendered_card_path(*reference)] = None
    for name in {reference.name for reference in numbers}:
        model = side.model(name)
        if model is not None:
            moved[paths.model_path(name)] = dump(_with_numbers(model, numbers), paths.model_path(name))
    after = side.with_edits({**gone, **moved})
    cards = [Reference(reference.name, number) for reference, number in numbers.items()]
    rendered = {paths.rendered_card_path(*card): place.card(after, card) for card in cards if after.version(*card)}
    return after.with_edits(rendered)


def _with_numbers(model: Model, numbers: Numbers) -> Model:
    def new(number: int) -> int:
        return numbers.get(Reference(model.name, number), number)

    return model.model_copy(
        update={
            "stages": {stage: tuple(sorted(map(new, held))) for stage, held in model.stages.items()},
            "aliases": {alias: new(number) for alias, number in model.aliases.items()},
            "deleted": tuple(sorted(map(new, model.deleted))),
        }
    )


def _with_new_models(old: Snapshot, now: Snapshot, ours: Sequence[PathChange]) -> Snapshot:
    """Return what a step started from with the empty model that both sides made since, so that their values can be merged."""
    added = [
        place_of(change.path).model for change in ours if place_of(change.path).role == "model" and not change.old_oid
    ]
    both = [name for name in added if now.model(name) is not None]
    return old.with_edits({paths.model_path(name): dump(Model(name=name), paths.model_path(name)) for name in both})


def _between(left: Snapshot, right: Snapshot, raw: Sequence[PathChange]) -> list[PathChange]:
    """Return the paths that differ, in order; `raw` are those that differ where neither side was renumbered."""
    modes = {change.path: (change.old_mode or FILE_MODE, change.new_mode or FILE_MODE) for change in raw}
    found = []
    for path in sorted({*modes, *left.edits, *right.edits}):
        old, new = left.oid(path), right.oid(path)
        before, after = modes.get(path, (FILE_MODE, FILE_MODE))
        if (old, before) != (new, after):
            found.append(PathChange(path, before if old else "", after if new else "", old, new))
    return found


def _as_stored(side: Snapshot, path: str) -> Content:
    return Stored(side.oid(path), FILE_MODE)


def _content(new: Snapshot, path: str, content: Content | None) -> Content | None:
    """Return what lands at a path: bytes that git does not have yet where renumbering wrote them."""
    if isinstance(content, Stored) and isinstance(new.edits.get(path), bytes):
        return new.edits[path]
    return content


def _said(message: str, numbers: Numbers) -> str:
    """Return a commit's message with the numbers of now in its subject."""
    subject, line, rest = message.partition("\n")
    for reference, number in numbers.items():
        subject = re.sub(
            rf"(?<!\S){re.escape(reference.name)} {reference.number}(?!\S)", f"{reference.name} {number}", subject
        )
    return subject + line + rest
