"""The verbs that name and describe: aliases, tags and words, as intents."""

from __future__ import annotations

from typing import Any

from gitops_registry import edits, paths
from gitops_registry.deciding import Intent
from gitops_registry.edits import Tags
from gitops_registry.errors import RegistryError
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.workplace import Workplace


def new_alias(name: str, version: int | str, alias: str, *, reason: str = "") -> Intent:
    """Return the wish to let an alias name a version."""

    def wanted(before: Snapshot) -> Reference:
        return before.resolve_named(name, version)

    return Intent(
        edit=lambda before: edits.set_alias(before, wanted(before), alias),
        subject=lambda before: f"alias {wanted(before).name} {alias} to {wanted(before).number}",
        branch=lambda before: f"alias/{wanted(before).name}/{alias}",
        reason=reason,
    )


def no_alias(name: str, alias: str, *, reason: str = "") -> Intent:
    """Return the wish to take an alias away."""
    return Intent(
        edit=lambda before: edits.remove_alias(before, name, alias),
        subject=lambda _: f"alias {name} {alias} removed",
        branch=lambda _: f"alias/{name}/{alias}",
        reason=reason,
    )


def description(
    place: Workplace, name: str, version: int | str, *, tags: Tags, words: dict[str, Any], reason: str = ""
) -> Intent:
    """Return the wish to give a model, or one version of it, other words and tags; a tag of None goes.

    `words` are title, description and owners of a model, or fields of `card.yaml` of a version; None leaves one as it is.
    """
    said = {field: value for field, value in words.items() if value is not None}
    if not said and not tags:
        raise RegistryError("nothing to say was given", hint="give a text, --title, --owner or a tag KEY=VALUE")
    is_version = version != "" or "@" in name or name.startswith("models:/")
    strangers = set(said) - ({"description"} if is_version else {"title", "description", "owners"})
    if strangers:
        raise RegistryError(
            f"a version has no {sorted(strangers)[0]}", hint="those are the model's: name it without a version"
        )
    what = "tag" if not said else "describe"

    def edit(before: Snapshot) -> Edits:
        if not is_version:
            return edits.describe_model(before, name, tags=tags, **said)
        reference = before.resolve_named(name, version)
        written = dict(edits.describe_version(before, reference, tags=tags, **said))
        after = before.with_edits(written)
        return {**written, paths.rendered_card_path(*reference): place.card(after, reference)}

    def named(before: Snapshot) -> str:
        return "{0.name} {0.number}".format(before.resolve_named(name, version)) if is_version else name

    return Intent(
        edit=edit,
        subject=lambda before: f"{what} {named(before)}",
        branch=lambda before: f"{what}/{named(before).replace(' ', '/') if is_version else f'{name}/model'}",
        reason=reason,
    )
