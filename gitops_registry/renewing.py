"""Cards as a whole: which ones lack words or are old, and one change that renders all those anew that are.

A card is old where the template, the labels or the language are others by now than when it was rendered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gitops_registry import paths
from gitops_registry.card.rendering import template_of
from gitops_registry.card.words import PROSE, REQUIRED, empty, thin
from gitops_registry.deciding import Intent
from gitops_registry.errors import RegistryError
from gitops_registry.policy.report import serving_versions
from gitops_registry.printing.cards import card_files, committed_cards
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Edits, Snapshot

Rendered = Literal["up to date", "old", "not up to date", "missing", "failed"]


@dataclass(frozen=True)
class Status:
    """What the card of a version lacks. `missing` and `short` are the required fields that say nothing, or too little;
    `optional` the others that say nothing; `rendered` how the committed card is to what it should be.
    """

    reference: Reference
    stage: str
    serves: bool
    missing: tuple[str, ...]
    short: tuple[str, ...]
    optional: tuple[str, ...]
    rendered: Rendered

    @property
    def is_finished(self) -> bool:
        """Whether it has the words that a version needs to serve."""
        return not self.missing and not self.short

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        lists = {"missing": list(self.missing), "short": list(self.short), "optional": list(self.optional)}
        told = {"version": str(self.reference), "stage": self.stage, "serves": self.serves, **lists}
        return {**told, "rendered": self.rendered, "finished": self.is_finished}


def statuses(snapshot: Snapshot, wanted: Sequence[Reference]) -> list[Status]:
    """Return what the cards of versions lack, in order."""
    serving = {stage.name for stage in snapshot.constitution.stages if stage.serving}
    found = []
    for reference, made in zip(wanted, committed_cards(snapshot, wanted), strict=True):
        card, stage = snapshot.card(*reference), snapshot.stage_of(reference)
        rest = [field for field in PROSE if field not in REQUIRED]
        optional = [field for field in rest if field in empty(card, rest) or not getattr(card, field).strip()]
        lacks = (tuple(empty(card)), tuple(thin(card)), tuple(optional))
        found.append(Status(reference, stage, stage in serving, *lacks, _rendered(snapshot, reference, made)))
    return found


def live_serving(snapshot: Snapshot) -> list[Reference]:
    """Return the versions of live models that serve, in order of model and stage."""
    return serving_versions(snapshot, snapshot.constitution, snapshot.live_models())


def _rendered(snapshot: Snapshot, reference: Reference, made: bytes | RegistryError) -> Rendered:
    there = snapshot.read(paths.rendered_card_path(*reference))
    if isinstance(made, RegistryError):
        return "failed"
    if there is None:
        return "missing"
    if there == made:
        return "up to date"
    return "old" if template_of(there) != template_of(made) else "not up to date"


def renewal() -> Intent:
    """Return the wish to render all cards anew that are not what they should be. Raises RegistryError where one cannot be."""
    made: dict[int, Edits] = {}

    def renewed(before: Snapshot) -> Edits:
        if id(before) not in made:
            made[id(before)] = _renewed(before)
        return made[id(before)]

    def subject(before: Snapshot) -> str:
        count = len(renewed(before))
        return f"render {count} card{'' if count == 1 else 's'} anew"

    return Intent(edit=renewed, subject=subject, branch=lambda _: "card/templates")


def _renewed(before: Snapshot) -> Edits:
    wanted = [Reference(name, number) for name in before.live_models() for number in before.versions(name)]
    return {path: made for path, made in card_files(before, wanted).items() if before.read(path) != made}
