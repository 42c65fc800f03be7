"""The page of a version: its card, with charts, its life, and how it stands against the champion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitops_registry.card import card_data
from gitops_registry.drawing import Picture
from gitops_registry.policy.data import measurements
from gitops_registry.reference import Reference
from gitops_registry.site import figures, views
from gitops_registry.site.contents import Contents, ModelContents


def version_page(
    site: Contents, model: ModelContents, reference: Reference, beside: tuple[int | None, int | None],
    rival: Reference | None,
) -> dict[str, Any]:  # fmt: skip
    """Return one version: its card's data, its neighbours, the champion's metrics, and what was decided about it."""
    snapshot = site.snapshot
    version = snapshot.known_version(reference)
    found = model.by_number[reference.number]
    champion = model.by_number[rival.number] if rival and rival.number in model.by_number else None
    return {
        "title": model.title, "owners": list(model.state["owners"]), "stage": found.stage, "aliases": list(found.aliases),
        "is_serving": reference.number in model.serving, "is_champion": reference.number == model.champion,
        "previous": beside[0], "next": beside[1],
        "champion": {"version": champion.reference.number, "metrics": champion.metrics} if champion else None,
        "decisions": [views.decision(event, site) for event in model.decisions_about(reference.number)],
        **card_data(reference, version, snapshot.card(*reference), measurements(snapshot, reference)),
    }  # fmt: skip


def pictures(data: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Picture]:
    """Return the charts of a version's page by the section of the card they stand in."""
    version, champion = data["version"], data["champion"]
    own = f"v{data['number']}"
    other = words["champion_is"].format(champion["version"]) if champion else ""
    found: dict[str, Picture | None] = {
        "confusion_matrix": figures.confusion(version["confusion_matrix"], words),
        "metrics": figures.metrics(version["metrics"], own, champion["metrics"] if champion else None, other, words),
    }
    for number, part in enumerate(version["slices"]):
        found[f"slices-{number}"] = figures.slices(part, words)
    compared = next((one["formats"] for one in reversed(data["later"]) if one["formats"]), None)
    found["formats"] = figures.formats(compared, words) if compared else None
    return {place: picture for place, picture in found.items() if picture is not None}
