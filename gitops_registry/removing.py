"""The verbs that take names and versions away: rename and delete, as intents."""

from __future__ import annotations

from gitops_registry import edits
from gitops_registry.deciding import Intent
from gitops_registry.printing.cards import card_files
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Edits, Snapshot


def renaming(old: str, new: str, *, reason: str = "") -> Intent:
    """Return the wish to give a model another name; its cards are rendered anew, for they carry it."""

    def edit(before: Snapshot) -> Edits:
        written = dict(edits.rename(before, old, new))
        after = before.with_edits(written)
        cards = [Reference(new, number) for number in after.versions(new)]
        return {**written, **card_files(after, cards)}

    return Intent(
        edit=edit,
        subject=lambda _: f"rename {old} to {new}",
        branch=lambda _: f"rename/{old}/{new}",
        reason=reason,
    )


def deletion(name: str, version: int | str, *, force: bool, reason: str = "") -> Intent:
    """Return the wish to take away a version, or a whole model where no version is named."""
    is_version = version != "" or "@" in name or name.startswith("models:/")

    def edit(before: Snapshot) -> Edits:
        if is_version:
            return edits.delete_version(before, before.resolve_named(name, version), force=force)
        return edits.delete_model(before, name, force=force)

    def named(before: Snapshot) -> str:
        return "{0.name} {0.number}".format(before.resolve_named(name, version)) if is_version else name

    return Intent(
        edit=edit,
        subject=lambda before: f"delete {named(before)}",
        branch=lambda before: f"delete/{named(before).replace(' ', '/') if is_version else f'{name}/model'}",
        reason=reason,
    )
