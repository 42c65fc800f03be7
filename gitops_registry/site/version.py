"""The page of a version: its card, with charts, and how it stands against the champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitops_registry.biography import lived
from gitops_registry.card.content import card_content, moving
from gitops_registry.card.rendering import BODY
from gitops_registry.drawing import Picture
from gitops_registry.errors import ManifestError, RegistryError
from gitops_registry.manifest.facts import Evaluation
from gitops_registry.manifest.kinds import Card
from gitops_registry.policy.data import measurements
from gitops_registry.portrait import words_as_html
from gitops_registry.printing import Job, printed
from gitops_registry.printing.templates import templates_of
from gitops_registry.reference import Reference
from gitops_registry.site import figures
from gitops_registry.site.contents import Contents, ModelContents
from gitops_registry.snapshot import Snapshot


def version_page(
    site: Contents, model: ModelContents, reference: Reference,
    beside: tuple[int | None, int | None], rival: Reference | None,
) -> dict[str, Any]:  # fmt: skip
    """Return one version: everything on its card, its neighbours, and the champion's metrics."""
    snapshot = site.snapshot
    found = model.by_number[reference.number]
    champion = model.by_number.get(rival.number) if rival else None
    history, approvals = lived(model.decisions_about(reference.number))
    words, later, problems = _readable(snapshot, reference)
    around = moving(
        snapshot.known_model(model.name), reference.number, found.stage,
        history=history, approvals=approvals, later=later,
    )  # fmt: skip
    return {
        **card_content(reference, snapshot.known_version(reference), words, around),
        "is_serving": reference.number in model.serving, "is_champion": reference.number == model.champion,
        "problems": problems, "previous": beside[0], "next": beside[1],
        "champion": {"version": champion.reference.number, "metrics": champion.metrics} if champion else None,
    }  # fmt: skip


def _readable(snapshot: Snapshot, reference: Reference) -> tuple[Card, list[Evaluation], list[str]]:
    """Return the words and the later measurements of a version as far as they can be read, and what is wrong with the rest."""
    words, later, problems = Card(), list[Evaluation](), list[str]()
    try:
        words = snapshot.card(*reference)
    except ManifestError as error:
        problems.append(error.message)
    try:
        later = measurements(snapshot, reference)
    except ManifestError as error:
        problems.append(error.message)
    return words, later, problems


def pictures(data: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Picture]:
    """Return the charts of a version's page by the section of the card they stand in; those of slices are numbered."""
    champion = data["champion"]
    other = words["champion_is"].format(champion["version"]) if champion else ""
    found: dict[str, Picture | None] = {
        "metrics": figures.metrics(data["metrics"], f"v{data['version']}", champion["metrics"] if champion else None, other, words),
        "confusion-matrix": figures.confusion(data["confusion_matrix"], words),
    }  # fmt: skip
    for number, part in enumerate(data["slices"]):
        found[f"slices {number}"] = figures.slices(part, words)
    compared = next((one["formats"] for one in reversed(data["later"]) if one["formats"]), None)
    found["formats"] = figures.formats(compared, words) if compared else None
    return {section: picture for section, picture in found.items() if picture is not None}


def bodies(
    snapshot: Snapshot, shown: Sequence[Mapping[str, Any]], drawn: Sequence[Mapping[str, str]]
) -> list[str | RegistryError]:
    """Return what stands below the title of versions' pages, with their charts (safe HTML by section), in order; where the
    registry's own templates cannot be read, or fail at a version, the error in its place.

    Its template is run in one child for all of them. Raises RegistryError where what renders is missing or does not start.
    """
    try:
        templates = templates_of(snapshot)
    except RegistryError as error:
        return [error for _ in shown]
    jobs = []
    for data, charts in zip(shown, drawn, strict=True):
        sections: dict[str, str] = {}
        for name, fragment in charts.items():
            section = name.partition(" ")[0]
            sections[section] = sections.get(section, "") + fragment
        jobs.append(Job(dict(data), words_as_html(dict(data), templates), sections))
    return printed(BODY, templates, jobs)
