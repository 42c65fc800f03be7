"""`migrate`: a registry that an older release made, brought to what this one would make, in one commit.

Manifests are read whatever version they were written for, so nothing waits for it; it lets older releases say that they
are too old, and editors complete what there is now. What is immutable stays as it was written.
"""

from __future__ import annotations

from gitops_registry import paths
from gitops_registry.deciding import Intent
from gitops_registry.manifest.reading import kind_at, plain_mapping
from gitops_registry.manifest.schema import schema_files
from gitops_registry.manifest.writing import renewed
from gitops_registry.policy.rulebook import rulebook
from gitops_registry.shipped import floors_policy
from gitops_registry.snapshot import Content, Edits, Snapshot
from gitops_registry.starting import with_our_lines
from gitops_registry.workplace import Workplace

_REWRITTEN = ("constitution", "model", "card", "access")
"""The roles of the manifests that may change; facts and measurements never do."""


def outdated(place: Workplace, snapshot: Snapshot) -> dict[str, Content | None]:
    """Return path → new content of everything in a registry that this release would write in another way."""
    found: dict[str, Content | None] = {}
    for path in _manifests(place, snapshot):
        kind, old = kind_at(path), snapshot.read(path)
        if kind is not None and old is not None and (new := renewed(old, path, kind)) != old:
            found[path] = new
    schemas = schema_files()
    if any(snapshot.oid(path) for path in schemas):
        found |= {path: new for path, new in schemas.items() if snapshot.read(path) != new}
    found |= _floors(snapshot)
    ignored = snapshot.read(".gitignore")
    if ignored is not None and (new := with_our_lines(ignored)) != ignored:
        found[".gitignore"] = new
    return found


def _floors(snapshot: Snapshot) -> dict[str, Content | None]:
    """Return a policy for each stage whose floors an older registry.yaml named, where no policy is about that stage yet."""
    law = snapshot.read(paths.CONSTITUTION)
    if law is None:
        return {}
    asked = {stage for sheet in rulebook(snapshot).sheets for stage in sheet.policy.match.to}
    found: dict[str, Content | None] = {}
    for stage in plain_mapping(law, paths.CONSTITUTION).get("stages", ()):
        name, floors = stage.get("name"), stage.get("minimum_metrics")
        path = paths.policy_path(f"{name}-metrics")
        if floors and name not in asked and snapshot.read(path) is None:
            found[path] = floors_policy(name, floors)
    return found


def _manifests(place: Workplace, snapshot: Snapshot) -> list[str]:
    known = [paths.CONSTITUTION, paths.ACCESS]
    models = [paths.model_path(name) for name in snapshot.models()]
    cards = [paths.card_path(name, number) for name in snapshot.models() for number in snapshot.versions(name)]
    place.tell(f"reading {len(models) + len(cards)} manifests")
    return [path for path in (*known, *models, *cards) if paths.place_of(path).role in _REWRITTEN]


def migration(place: Workplace, *, reason: str = "") -> Intent:
    """Return the wish to bring everything to what this release writes."""

    def edit(before: Snapshot) -> Edits:
        found = outdated(place, before)
        place.tell("")
        return found

    return Intent(
        edit=edit,
        subject=lambda _: "migrate to the present formats",
        branch=lambda _: "migrate/formats",
        reason=reason,
    )
