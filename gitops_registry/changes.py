"""Typed changes: what the semantic difference of two registries is made of, in words, as data and as a digest.

A list of them is the plan in a pull request, what permissions and policies judge, and an event of the log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gitops_registry.paths import place_of
from gitops_registry.snapshot import PathChange

Kind = Literal[
    "model_registered", "model_updated", "model_renamed", "model_deleted",
    "version_registered", "version_deleted", "stage_transition", "alias_set", "alias_removed",
    "card_updated", "evaluation_added", "policy_changed", "permission_changed", "registry_changed",
    "immutable_violated", "unknown_file_changed",
]  # fmt: skip

_OPPOSITE: dict[Kind, Kind] = {
    "model_registered": "model_deleted",
    "model_deleted": "model_registered",
    "version_registered": "version_deleted",
    "version_deleted": "version_registered",
}
DIRECT: frozenset[Kind] = frozenset({"model_registered", "version_registered"})
"""What a registry that takes proposals only takes directly: a new version, which serves nobody yet."""
_TOLD = 5
"""As many fields of a rule that changed are told in one line."""


@dataclass(frozen=True)
class Change:
    """One typed difference. `before` and `after` are what `subject` was and is; None where it was or is not there.

    Of the constitution and the access rules they hold the fields that differ, by their path.

    `subject` is a stage transition's version as text, an alias, a field (`tags.domain` for one tag, `deleted` for one
    number that is spent), or a path. `paths` holds every path that belongs to this change with its old and new
    object id, and is what a plan's digest binds.
    """

    kind: Kind
    model: str = ""
    version: int = 0
    subject: str = ""
    before: Any = None
    after: Any = None
    paths: tuple[PathChange, ...] = ()

    def inverse(self) -> Change:
        """Return the change that undoes this one."""
        kind, version = _OPPOSITE.get(self.kind, self.kind), self.version
        if self.kind in {"alias_set", "alias_removed"}:
            kind = "alias_removed" if self.before is None else "alias_set"
            version = self.before or self.after
        if self.kind in {"evaluation_added", "immutable_violated"} and place_of(self.subject).role == "evaluation":
            kind = "evaluation_added" if self.before is not None and self.after is None else "immutable_violated"
        swapped = tuple(PathChange(p.path, p.new_mode, p.old_mode, p.new_oid, p.old_oid) for p in self.paths)
        return replace(self, kind=kind, version=version, before=self.after, after=self.before, paths=swapped)

    def __str__(self) -> str:
        """One line as a reviewer wants to read it: `credit-risk: version 3 staging → production`."""
        return _SENTENCES[self.kind](self)


def _changed(change: Change) -> str:
    return "added" if change.before is None else "removed" if change.after is None else "changed"


def _stranger(path: str) -> str:
    is_object = place_of(path).role == "store_object"
    return "an object of the store that no version brings" if is_object else "a file the registry does not know"


def _in_what(change: Change) -> str:
    if not isinstance(change.before, dict) or not isinstance(change.after, dict):
        return ""
    keys = list(dict.fromkeys((*change.before, *change.after)))
    told = [f"{key} {_shown(change.before.get(key))} → {_shown(change.after.get(key))}" for key in keys[:_TOLD]]
    more = [f"{len(keys) - _TOLD} more"] if len(keys) > _TOLD else []
    return f": {'; '.join((*told, *more))}" if keys else " in its wording only"


_SENTENCES = {
    "model_registered": lambda c: f"{c.model}: new model",
    "model_updated": lambda c: (
        f"{c.model}: evaluation data {_data(c.before)} → {_data(c.after)}"
        if c.subject == "evaluation"
        else f"{c.model}: {c.subject} {_shown(c.before)} → {_shown(c.after)}"
        if c.subject != "deleted"
        else f"{c.model}: number {c.version} {'never given again' if c.after else 'no longer recorded as deleted'}"
    ),
    "model_renamed": lambda c: f"{c.before} → {c.after}: model renamed",
    "model_deleted": lambda c: f"{c.model}: model deleted",
    "version_registered": lambda c: f"{c.model}: version {c.version} registered",
    "version_deleted": lambda c: f"{c.model}: version {c.version} deleted",
    "stage_transition": lambda c: f"{c.model}: version {c.version} {c.before} → {c.after}",
    "alias_set": lambda c: f"{c.model}: alias {c.subject} {'' if c.before is None else f'{c.before} '}→ {c.after}",
    "alias_removed": lambda c: f"{c.model}: alias {c.subject} removed (was {c.before})",
    "card_updated": lambda c: f"{c.model}: card of version {c.version} {_changed(c)}",
    "evaluation_added": lambda c: f"{c.model}: evaluation of version {c.version} added",
    "policy_changed": lambda c: f"{c.subject} {_changed(c)}{_in_what(c)}",
    "permission_changed": lambda c: f"{c.subject} {_changed(c)}{_in_what(c)}",
    "registry_changed": lambda c: f"{c.subject} {_changed(c)}{_in_what(c)}",
    "immutable_violated": lambda c: f"{c.subject} {_changed(c)}, but it must never change",
    "unknown_file_changed": lambda c: f"{c.subject} {_changed(c)}, {_stranger(c.subject)}",
}


def _data(pinned: Any) -> str:
    return f"{pinned['file']} ({pinned['rows']} rows, {pinned['sha256'][:12]})" if pinned else "(none)"


def _shown(value: Any) -> str:
    if value in (None, "", (), {}):
        return "(empty)"
    text = json.dumps(value, ensure_ascii=False, default=list)
    return text if len(text) <= 60 else text[:57] + "…"


def plan_digest(changes: Sequence[Change], others: Sequence[PathChange] = ()) -> str:
    """Return the SHA-256 of the canonical plan: every change with the old and new object id of each path.

    Two plans with the same digest do the same to the same contents; an approval binds to it. `others` are files that change
    too and stand in no plan, because the registry leaves them to others.
    """
    lines: list[list[Any]] = [
        [
            c.kind,
            c.model,
            c.version,
            c.subject,
            c.before,
            c.after,
            sorted((p.path, p.old_mode, p.new_mode, p.old_oid, p.new_oid) for p in c.paths),
        ]
        for c in changes
    ]
    lines += [["", *other] for other in sorted(others)]
    return hashlib.sha256(
        json.dumps(lines, sort_keys=True, ensure_ascii=False, default=list).encode(errors="surrogateescape")
    ).hexdigest()


def meaning(changes: Sequence[Change]) -> list[tuple[str, str, int, str, Any, Any]]:
    """Return what the changes mean, without the object ids of the files that carry them.

    A proposal that lands on a newer tip writes other bytes and means the same; two lists are then equal here.
    """
    carriers = {"model_registered", "model_deleted"}
    return [
        (c.kind, c.model, c.version, c.subject, *((None, None) if c.kind in carriers else (c.before, c.after)))
        for c in changes
    ]


def to_json(change: Change) -> dict[str, Any]:
    """Return a change as JSON-ready data."""
    data: dict[str, Any] = {"kind": change.kind, "text": str(change)}
    for key in ("model", "version", "subject"):
        if getattr(change, key):
            data[key] = getattr(change, key)
    data |= {"before": change.before, "after": change.after, "paths": [p.path for p in change.paths]}
    return data
