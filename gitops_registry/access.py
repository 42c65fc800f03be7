"""Which permission each change needs, and who holds it.

The table is the one of the design: what no line of it names needs `administer`. Roles and members are read from
the base of a change, and a member is whoever a verified identity says, never an author line.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from gitops_registry.changes import Change
from gitops_registry.manifest.kinds import Access, Constitution
from gitops_registry.manifest.parts import Permission
from gitops_registry.paths import place_of
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot

_WRITE = frozenset({"model_registered", "version_registered", "evaluation_added"})
_DELETE = frozenset({"version_deleted", "model_deleted", "model_renamed"})


def permission_for(change: Change, before: Snapshot, law: Constitution, access: Access) -> Permission:
    """Return the permission a change needs, judged by what is serving before it."""
    if change.kind in _WRITE:
        is_made_again = change.kind == "model_registered" and change.before is not None
        return "delete" if is_made_again else "write"  # whoever may take a name away may bring it back
    if change.kind in _DELETE:
        return "delete"
    if change.kind == "stage_transition":
        return "deploy"
    if change.kind in {"alias_set", "alias_removed"}:
        protected = change.subject.lower() in {alias.lower() for alias in access.protected_aliases}
        return "deploy" if protected or _serves(before, law, change.model, change.before) else "write"
    if change.kind == "card_updated":
        return "deploy" if _serves(before, law, change.model, change.version) else "write"
    if change.kind == "model_updated":
        return (
            "delete"
            if change.subject in {"deleted", "name", "renamed_to"}
            else "deploy"
            if change.subject == "evaluation" or _model_serves(before, law, change.model)
            else "write"
        )
    return "administer"


def needed(
    changes: Sequence[Change], before: Snapshot, law: Constitution, access: Access
) -> list[tuple[Permission, str]]:
    """Return the distinct (permission, model) pairs a plan needs, in order; the model is empty for the registry itself.

    A rename needs its permissions on both names; to take away what serves needs `deploy` too.
    """
    pairs: set[tuple[Permission, str]] = set()
    for change in changes:
        names = {change.model if _is_models(change) else ""} | (
            {str(change.after)} if change.kind == "model_renamed" else set()
        )
        wanted = {permission_for(change, before, law, access)}
        if change.kind in _DELETE and _serves_at_all(before, law, change):
            wanted.add("deploy")
        pairs |= {(permission, name) for permission in wanted for name in names}
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))


def holds(access: Access, name: str, permission: Permission, model: str = "") -> bool:
    """Say whether a member holds a permission for a model (for the registry itself with an empty model)."""
    member = next((member for member in access.members if member.name == name), None)
    if member is None or permission not in access.roles.get(member.role, ()):
        return False
    return not member.models or (model != "" and any(fnmatchcase(model, pattern) for pattern in member.models))


def _is_models(change: Change) -> bool:
    return bool(change.model) and all(place_of(path.path).role != "unknown" for path in change.paths)


def _serves_at_all(before: Snapshot, law: Constitution, change: Change) -> bool:
    if change.kind == "version_deleted":
        return _serves(before, law, change.model, change.version)
    return _model_serves(before, law, change.model)


def _serves(before: Snapshot, law: Constitution, name: str, number: int | None) -> bool:
    model = before.model(name)
    if model is None or not number:
        return False
    stage = law.stage(before.stage_of(Reference(name, number)))
    return stage is not None and stage.serving


def _model_serves(before: Snapshot, law: Constitution, name: str) -> bool:
    model = before.model(name)
    serving = {stage.name for stage in law.stages if stage.serving}
    return model is not None and any(held for stage, held in model.stages.items() if stage in serving)
