"""Rules about cards: rendered by the template that counts, finished before the version serves, and templates that can be read.

The template that counts is the base's. A card that was rendered by another one and that the change does not touch is
pointed out and refuses nothing: a new template, or a new release of this package, makes all cards old at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitops_registry import paths
from gitops_registry.card.rendering import template_of
from gitops_registry.card.words import empty, unfinished
from gitops_registry.errors import RegistryError
from gitops_registry.policy.report import Finding, Judgement, Spot
from gitops_registry.reference import Reference

_OLD = "the card was rendered by another template than the one there is now"
_RENEW = "renew all that are old: gitops-registry card --all"
_MOST_OLD = 3
"""Old cards that are told one by one."""


def cards(judgement: Judgement) -> Iterator[Finding]:
    """The rendered card is the one we would render, and finished before the version serves."""
    yield from _orphaned(judgement)
    for path, what, hint in judgement.facts.templates:
        yield Finding.error("cards", what, hint, Spot(path, 1, 1))
    touched = _touched(judgement)
    for reference in judgement.versions:
        if judgement.after.version(*reference) is not None:
            yield from _rendered(judgement, reference, is_touched=reference in touched)
            yield from _unfinished(judgement, reference)


def _touched(judgement: Judgement) -> frozenset[Reference]:
    """Return the versions whose cards the change writes, or should have written."""
    if judgement.before is None:
        return frozenset()
    places = [paths.place_of(change.path) for change in judgement.changed]
    found = {Reference(p.model, p.version) for p in places if p.role in {"version", "card", "rendered_card"}}
    renamed = set(judgement.renamed)
    return frozenset(found | {reference for reference in judgement.versions if reference.name in renamed})


def _rendered(judgement: Judgement, reference: Reference, *, is_touched: bool) -> Iterator[Finding]:
    gathered = judgement.facts.cards
    path = paths.rendered_card_path(*reference)
    spot = Spot(path, 1, 1, *reference)
    if gathered is None or path not in gathered:
        yield Finding.unchecked(
            "cards", "cards", "nobody rendered the card to compare", "", spot._replace(line=0, column=0)
        )
        return
    there = judgement.after.read(path)
    try:
        wanted = gathered[path]
    except RegistryError as error:
        tell = Finding.error if is_touched else Finding.warning
        yield tell("cards", f"the card cannot be rendered: {error.message}", error.hint, spot)
        return
    if there == wanted:
        return
    is_old = there is not None and template_of(there) != template_of(wanted)
    if is_old and not is_touched:
        yield Finding.warning("cards", _OLD, _RENEW, spot)
    else:
        again = "; one that a proposal brings is proposed again" if is_old else ""
        message, hint = "the rendered card is not up to date", f"gitops-registry card {reference} --update{again}"
        yield Finding.error("cards", message, hint, spot)


def _unfinished(judgement: Judgement, reference: Reference) -> Iterator[Finding]:
    """Tell what a card lacks. Of a whole registry, words that are only short refuse nothing: they were taken as they are."""
    serving = {stage.name for stage in judgement.law.stages if stage.serving}
    ways_out = {judgement.law.stages[-1].name} - serving
    moves = [change for change in judgement.changes if change.kind == "stage_transition" and change.after in ways_out]
    if reference in {Reference(move.model, move.version) for move in moves}:
        return
    card = judgement.after.card(*reference)
    missing = unfinished(card)
    if not missing or judgement.after.model(reference.name) is None:
        return
    serves = judgement.after.stage_of(reference) in serving
    refuses = serves and (judgement.before is not None or bool(empty(card)))
    short = "; what it says there is too short to tell anybody anything" if not empty(card) else ""
    hint = f"write them in card.yaml, then: gitops-registry card {reference} --update"
    spot = Spot(paths.card_path(*reference), 1, 1, *reference)
    yield Finding(
        "cards", "error" if refuses else "warning", f"the card lacks {', '.join(missing)}{short}", hint, *spot
    )


def _orphaned(judgement: Judgement) -> Iterator[Finding]:
    """Rendered cards of versions that do not exist, or that this change deletes."""
    written = [paths.place_of(change.path) for change in judgement.changed if change.new_oid]
    touched = {Reference(place.model, place.version) for place in written if place.role == "rendered_card"}
    touched |= {Reference(c.model, c.version) for c in judgement.changes if c.kind == "version_deleted"}
    for reference in sorted(touched):
        path = paths.rendered_card_path(*reference)
        if judgement.after.version(*reference) is None and judgement.after.read(path) is not None:
            message = f"is the card of {reference}, which does not exist"
            yield Finding.error("cards", message, "remove it", Spot(path, 1, 1, *reference))


def together(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with many old cards told in one: where all of a registry are old, nobody reads a line for each."""
    old = [finding for finding in findings if finding.rule == "cards" and finding.message == _OLD]
    if len(old) <= _MOST_OLD:
        return list(findings)
    some = ", ".join(f"{one.model}@{one.version}" for one in old[:_MOST_OLD])
    message = f"{len(old)} cards were rendered by another template than the one there is now: {some}, …"
    return [*(one for one in findings if one not in set(old)), Finding.warning("cards", message, _RENEW, Spot("cards"))]
