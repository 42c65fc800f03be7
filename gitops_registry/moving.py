"""The verbs that move versions between stages and give them other words, as intents: what each edits, says and is called.

Every verb reads its version and stage on the tip it is made on, never on what its caller looked at before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gitops_registry import deciding, edits, paths, proposals, requesting
from gitops_registry.deciding import Intent, Outcome
from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.forge.interface import Forge
from gitops_registry.history import Return, before_present
from gitops_registry.manifest.kinds import Card, Constitution
from gitops_registry.manifest.reading import parse
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.workplace import Workplace


class ProposalsOnly(RegistryError):
    """The registry takes such a change as a proposal only."""


def at_once(intent: Intent, allows: Callable[[Constitution], bool] = lambda law: law.direct) -> Intent:
    """Return the same wish for a decision: on a tip whose registry.yaml does not allow it, its edit raises ProposalsOnly.

    So the tip that the commit follows is asked, and not one that somebody looked at before.
    """

    def edit(before: Snapshot) -> Edits:
        if not allows(before.constitution):
            raise ProposalsOnly(
                "this registry takes changes as proposals only (direct: false in registry.yaml)",
                hint="leave out --direct",
            )
        return intent.edit(before)

    return replace(intent, edit=edit)


def change(
    place: Workplace,
    intent: Intent,
    *,
    direct: bool | None,
    dry_run: bool,
    draft: bool = False,
    forge: Forge | None = None,
) -> Outcome:
    """Propose what is wanted (as a pull request on a `forge`, where one is given), or commit it at once with `direct`; with None
    as the registry says, and as a pull request where a forge is given.

    Raises ProposalsOnly for a direct change where the registry takes proposals only.
    """
    if forge is not None:
        if direct:
            raise RegistryError("--direct and a pull request are two ways", hint="leave out one of them")
        return requesting.request(place, intent, forge, dry_run=dry_run, draft=draft)
    if direct or (direct is None and place.snapshot(place.tip()).constitution.direct):
        try:
            return deciding.decide(place, at_once(intent), dry_run=dry_run)
        except ProposalsOnly:
            if direct:
                raise
    return deciding.propose(place, intent, dry_run=dry_run, draft=draft)


def promotion(name: str, version: int | str, to: str, *, reason: str = "") -> Intent:
    """Return the wish to move a version to a stage."""

    def wanted(before: Snapshot) -> tuple[Reference, str]:
        return before.resolve_named(name, version), before.known_stage(to).name

    return Intent(
        edit=lambda before: edits.promote(before, *wanted(before)),
        subject=lambda before: "promote {0.name} {0.number} to {1}".format(*wanted(before)),
        branch=lambda before: proposals.promote_branch(*wanted(before)),
        reason=reason,
    )


def archival(name: str, version: int | str, *, reason: str = "") -> Intent:
    """Return the wish to move a version to the last stage."""

    def edit(before: Snapshot) -> Edits:
        return edits.promote(before, before.resolve_named(name, version), before.constitution.stages[-1].name)

    return Intent(
        edit=edit,
        subject=lambda before: "archive {0.name} {0.number}".format(before.resolve_named(name, version)),
        branch=lambda before: "archive/{0.name}/{0.number}".format(before.resolve_named(name, version)),
        reason=reason,
    )


def rollback(place: Workplace, name: str, stage: str, to: int | None, *, reason: str = "") -> Intent:
    """Return the wish to give a stage back to whoever held it before, or to version `to`."""
    found: dict[int, Return] = {}

    def back(before: Snapshot) -> Return:
        if id(before) not in found:
            before.known_model(name)
            known = before.known_stage(stage).name
            found[id(before)] = before_present(place.repository, place.tip(), before, name=name, stage=known, to=to)
        return found[id(before)]

    return Intent(
        edit=lambda before: edits.restore(before, back(before).reference, stage, back(before).back),
        subject=lambda before: f"rollback {name} {before.known_stage(stage).name} to {back(before).reference.number}",
        branch=lambda before: f"rollback/{name}/{before.known_stage(stage).name}",
        reason=reason,
    )


def new_words(place: Workplace, reference: str, words: bytes, source: str, *, since: str | None = None) -> Intent:
    """Return the wish to give a version other words and the card rendered from them.

    Raises ManifestError, with `source` as the file, where the words cannot be read. With `since`, git's id of the card.yaml
    that they are an edit of, the edit raises Conflict where the version has other words by then.
    """
    parse(words, source, Card)

    def edit(before: Snapshot) -> Edits:
        found = before.resolve(reference)
        before.known_version(found)
        if since is not None and before.oid(paths.card_path(*found)) != since:
            raise Conflict(f"somebody changed the words of {found} meanwhile", hint=f"look at them: {source}")
        written: dict[str, Any] = {paths.card_path(*found): words}
        return written | {paths.rendered_card_path(*found): place.card(before.with_edits(written), found)}

    return Intent(
        edit=edit,
        subject=lambda before: "card of {0.name} {0.number}".format(before.resolve(reference)),
        branch=lambda before: "card/{0.name}/{0.number}".format(before.resolve(reference)),
    )
