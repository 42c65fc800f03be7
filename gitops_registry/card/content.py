"""What is on a card, as JSON-ready data: facts that commands wrote, words that people wrote, and what history says.

Facts and words have keys of their own and none in common, so nothing that somebody writes into `card.yaml` stands where
a fact does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitops_registry.card.words import PROSE
from gitops_registry.manifest.facts import Evaluation, Version
from gitops_registry.manifest.kinds import Card, Model
from gitops_registry.manifest.parts import plain
from gitops_registry.reference import Reference

Content = dict[str, Any]
"""What a card says. `name`, `version` (its number), `title`; `date` and `authors` (who registered it, then those whom the
words name); the facts of version.yaml by their names there; the words of card.yaml by their names there and `tags`; `later`
(measurements since) and `formats` (the newest comparison of formats among them); `owners`, `stage`, `aliases`, `history` and
`approvals`, which are empty on a card that is committed (`history` and `approvals` are None where nobody can know them).
"""
_FACTS = (
    "release", "task", "model_type", "framework", "params", "metrics", "claimed", "confusion_matrix", "slices", "evaluation",
    "training", "signature", "classes", "artifacts", "environment", "lineage",
)  # fmt: skip


@dataclass(frozen=True)
class Moving:
    """What the registry says of a version beside its folder. `history`: the decisions about its stages and names, newest first;
    `approvals`: who agreed to them; None where the history is not here.
    """

    title: str = ""
    owners: tuple[str, ...] = ()
    stage: str = ""
    aliases: tuple[str, ...] = ()
    history: Sequence[Mapping[str, Any]] | None = ()
    approvals: Sequence[Mapping[str, Any]] | None = ()
    later: Sequence[Evaluation] = field(default=())


def moving(model: Model, number: int, stage: str, **more: Any) -> Moving:
    """Return what a model's state says of a version; `more` is the rest."""
    aliases = tuple(alias for alias, named in model.aliases.items() if named == number)
    return Moving(model.title, model.owners, stage, aliases, **more)


def card_content(reference: Reference, version: Version, card: Card, beside: Moving | None = None) -> Content:
    """Return everything on a card; without what stands `beside` the version's folder, what is on a committed one."""
    beside = beside or Moving()
    facts, words = plain(version), plain(card)
    return {
        "name": reference.name, "version": reference.number, "title": beside.title, "date": facts["created"],
        "authors": [facts["author"], *({"name": name, "email": ""} for name in words["authors"])],
        **{key: facts[key] for key in _FACTS}, **{key: words[key] for key in PROSE}, "tags": words["tags"],
        "later": [plain(one) for one in beside.later], "formats": _newest_formats(beside.later),
        "owners": list(beside.owners), "stage": beside.stage, "aliases": list(beside.aliases),
        "history": None if beside.history is None else [dict(one) for one in beside.history],
        "approvals": None if beside.approvals is None else [dict(one) for one in beside.approvals],
    }  # fmt: skip


def _newest_formats(later: Sequence[Evaluation]) -> list[dict[str, Any]]:
    found = next((one.formats for one in reversed(later) if one.formats), ())
    return [plain(figures) for figures in found]
