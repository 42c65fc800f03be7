"""Decisions that were made here while others landed elsewhere: put on top of theirs, one by one, as values.

A remote that could not be reached leaves two histories. Ours is landed again step by step: each step means what it
meant, is judged on the newer state, and keeps its author, its time and the proposal it came from. A version whose
number was taken meanwhile gets the next one, which is a move, because no file repeats its number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gitops_registry import paths
from gitops_registry.card.rendering import MARKDOWN, template_of
from gitops_registry.changes import DIRECT
from gitops_registry.difference import diff, meaning_the_same
from gitops_registry.edits import next_number
from gitops_registry.errors import Conflict
from gitops_registry.evidence import gatherer, said_by
from gitops_registry.git.landing import NO_COMMIT, move_branches, write_commit
from gitops_registry.git.parsing import Commit
from gitops_registry.git.worktree import is_checked_out
from gitops_registry.gto import agreed
from gitops_registry.manifest.kinds import Model
from gitops_registry.manifest.writing import dump
from gitops_registry.merging import land, landed_paths
from gitops_registry.paths import place_of
from gitops_registry.policy.check import check
from gitops_registry.policy.report import DECISION
from gitops_registry.printing.cards import card_files
from gitops_registry.printing.templates import templates_of
from gitops_registry.reference import Reference
from gitops_registry.snapshot import FILE_MODE, Content, PathChange, Snapshot, Stored
from gitops_registry.workplace import PREFIXES, Workplace

Numbers = Mapping[Reference, int]
"""Versions of ours whose number was taken → the number they have now."""


def reland(place: Workplace, theirs: str) -> str:
    """Put the decisions that only this repository has on top of the commit `theirs`; return what to tell the user.

    Open proposals that were made on top of them go along. The caller holds the writers' lock. Raises Conflict where a
    decision cannot land there or is refused; then nothing moves.
    """
    repository, mine, tip = place.repository, place.tip(), theirs
    numbers: dict[Reference, int] = {}
    made: dict[str, str] = {}
    steps = repository.own_steps(mine, theirs)
    joins = [
        step for step in steps if any(repository.is_ancestor(p, theirs) for p in repository.commit(step).parents[1:])
    ]
    landed = 0
    for step in steps:
        if step in joins:  # git's own merge of what others decided: they are below us now
            continue
        again = _land_again(place, step, tip, numbers, gone=steps)
        if again is not None:
            tip, scratch = again
            made[scratch] = tip
            landed += 1
    if joins:
        _refuse_unlike(place, mine, tip)
    proposals, notes = _proposals_again(place, steps, tip, numbers)
    drafts = {scratch: (commit, NO_COMMIT) for scratch, commit in made.items()}
    drafts |= {scratch: (commit, NO_COMMIT) for _, commit, scratch in proposals.values()}
    moves = {place.ref: (mine, tip), **{ref: (old, new) for ref, (old, new, _) in proposals.items()}}
    move_branches(repository, {**moves, **drafts}, scratch="", follow=place.ref)
    told = f"{landed} decision(s) of yours were put on top of what others decided meanwhile"
    renumbered = [f"{ours} is {ours.name}@{number} now" for ours, number in sorted(numbers.items())]
    return "; ".join([told, *renumbered, *notes])


def _refuse_unlike(place: Workplace, mine: str, tip: str) -> None:
    """Raise Conflict where a merge of git's that is taken apart held more than both of its sides."""
    unlike = place.repository.changed_paths(mine, tip)
    if unlike:
        raise Conflict(
            f"{place.branch} merged the remote's with git, and holds more than both sides: {unlike[0].path}",
            hint=f"make that change again as a decision of its own; look at it: git diff {tip[:12]} {mine[:12]}",
        )


def _proposals_again(
    place: Workplace, steps: Sequence[str], tip: str, numbers: dict[Reference, int]
) -> tuple[dict[str, tuple[str, str, str]], list[str]]:
    """Make open proposals again that stand on decisions which were landed again: ref → (old, new, scratch), and notes."""
    repository, found, notes = place.repository, {}, []
    for ref, head in repository.branches(*(f"refs/heads/{prefix}" for prefix in PREFIXES), beyond=place.tip()).items():
        base = repository.merge_base(head, place.tip())
        if base not in steps:
            continue
        if is_checked_out(repository, ref):
            notes.append(
                f"{ref.removeprefix('refs/heads/')} is checked out, and stands on decisions that were landed again"
            )
            continue
        try:
            again = _land_again(place, head, tip, dict(numbers), base=base, gone=steps, is_judged=False)
        except Conflict as error:
            notes.append(
                f"{ref.removeprefix('refs/heads/')} does not fit what others decided meanwhile: {error.message}"
            )
            continue
        if again is not None:
            found[ref] = (head, *again)
    return found, notes


def _land_again(
    place: Workplace,
    step: str,
    tip: str,
    numbers: dict[Reference, int],
    *,
    gone: Sequence[str],
    base: str | None = None,
    is_judged: bool = True,
) -> tuple[str, str] | None:
    """Land one decision (or, from a `base`, a proposal) on `tip` and return the new commit and its scratch ref.

    None where others decided the very same meanwhile. `numbers` learns what was renumbered; `gone` are commits that no
    new one may have among its parents, for what they decided is decided anew.
    """
    repository = place.repository
    commit = repository.commit(step)
    base, now = base or commit.parents[0], place.snapshot(tip)
    ours, theirs = repository.changed_paths(base, step), repository.changed_paths(base, tip)
    _renumber(now, ours, numbers)
    old, new = (_renumbered(place.snapshot(side), numbers) for side in (base, step))
    old = _with_new_models(old, now, ours)
    ours, theirs = _between(old, new, ours), _between(old, now, theirs)
    why = f"{commit.subject!r} of yours does not fit what others decided meanwhile"
    hint = f"look at it: git show {step[:12]}; to give yours up: git reset --keep {tip[:12]}"
    try:
        landed = dict(land(old, new, now, ours=ours, theirs=theirs))
    except Conflict as error:
        if all(now.oid(change.path) == new.oid(change.path) for change in ours):
            return None
        raise Conflict(f"{why}: {error.message}", hint=hint) from error
    both = {change.path for change in ours} & {change.path for change in theirs}
    if both and not diff(old, new, ours):
        raise Conflict(f"{why}: both changed the wording of {min(both)}", hint=hint)
    edits = {path: _content(new, path, content) for path, content in landed.items()}
    edits |= _with_this_template(now.with_edits(edits), now, ours)
    edits = dict(agreed(now, edits))
    after = now.with_edits(edits)
    others = [p for p in commit.parents[1:] if not any(repository.is_ancestor(one, p) for one in gone)]
    gather = gatherer(place, tip, said=said_by(place, tip, others[0] if others else ""))
    report = check(now, after, landed_paths(after, ours, theirs), gather, place.engine)
    if is_judged:
        is_words = bool(meaning_the_same(now, report.changes, ours))
        if not others and (is_words or any(change.kind not in DIRECT for change in report.changes)):
            _refuse_direct(place, now, commit, tip)
        if refusals := report.refusals(DECISION):
            raise Conflict(f"{why}: {refusals[0].message}", hint=hint)
    message = _said(commit.body, numbers)
    parents = [tip, *(others if is_judged else ())]
    return write_commit(repository, edits, parents=parents, message=message, author=commit.author_line)


def _refuse_direct(place: Workplace, now: Snapshot, commit: Commit, tip: str) -> None:
    """Raise Conflict for a decision without a proposal, where what others decided meanwhile is that there has to be one."""
    if not now.constitution.direct:
        raise Conflict(
            f"{commit.subject!r} of yours was committed, and the registry takes changes as proposals only by now (direct: false)",
            hint=f"make it one: git branch change/mine {place.branch}; git reset --keep {tip[:12]}; gitops-registry push",
        )


def _with_this_template(after: Snapshot, now: Snapshot, ours: Sequence[PathChange]) -> dict[str, bytes]:
    """Return the cards of a step anew that another template made than the one others have by now."""
    templates = templates_of(now)
    places = [place_of(change.path) for change in ours if change.new_oid]
    cards = [Reference(place.model, place.version) for place in places if place.role == "rendered_card"]
    there = {card: after.read(paths.rendered_card_path(*card)) for card in cards if after.version(*card)}
    old = [card for card, text in there.items() if text and template_of(text) != templates.digest(MARKDOWN)]
    return card_files(after, old, templates) if old else {}


def _renumber(now: Snapshot, ours: Sequence[PathChange], numbers: dict[Reference, int]) -> None:
    """Note the next number of every version that a step registers under one that is taken by now."""
    registered = [place_of(change.path) for change in ours if change.new_oid and not change.old_oid]
    for place in sorted(place for place in registered if place.role == "version"):
        wanted = next_number(now, place.model)
        taken = [number for reference, number in numbers.items() if reference.name == place.model]
        wanted = max([wanted, *(number + 1 for number in taken)]) if wanted <= max(taken, default=0) else wanted
        if wanted > place.version:
            numbers[Reference(place.model, place.version)] = wanted


def _renumbered(side: Snapshot, numbers: Numbers) -> Snapshot:
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
    return after.with_edits(card_files(after, [card for card in cards if after.version(*card)]))


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
    """Return a commit's message with the numbers of now in its subject, all of them at once."""
    subject, line, rest = message.partition("\n")
    for name in {reference.name for reference in numbers}:
        mine = {str(ours.number): str(number) for ours, number in numbers.items() if ours.name == name}
        behind = rf"(?<!\S){re.escape(name)} (?P<number>\d+)(?!\S)"
        pointed = rf"(?<=^alias ){re.escape(name)} \S+ to (?P<number>\d+)$|(?<=^rollback ){re.escape(name)} \S+ to (?P<other>\d+)$"
        for pattern in (behind, pointed):
            subject = re.sub(pattern, lambda found, mine=mine: _renamed(found, mine), subject)  # type: ignore[misc]
    return subject + line + rest


def _renamed(found: re.Match[str], numbers: Mapping[str, str]) -> str:
    """Return what was found with the number at its end as it is now."""
    number = next(value for value in found.groupdict().values() if value)
    return found[0].removesuffix(number) + numbers.get(number, number)
