"""The policies that come with the package: what `init` starts a registry with, and the template of a new one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources

from gitops_registry import paths

_FOR_TEAMS = frozenset({"production-four-eyes.yaml"})
_PAPERWORK = "<paperwork>"


def policies(*, is_team: bool) -> dict[str, bytes]:
    """Return path → bytes of the policies a registry starts with.

    What asks for papers refuses in a team's registry and advises in that of one person, who would be asking themselves.
    """
    folder = resources.files("gitops_registry") / "templates" / "policies"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml") and (is_team or file.name not in _FOR_TEAMS):
            text = file.read_text(encoding="utf-8").replace(_PAPERWORK, "soft" if is_team else "advisory")
            found[f"{paths.POLICIES}/{file.name}"] = text.encode()
    return found


def new_policy(name: str, stage: str) -> bytes:
    """Return a commented policy to start from, with one rule and its tests."""
    file = resources.files("gitops_registry") / "templates" / "new-policy.yaml"
    return file.read_text(encoding="utf-8").replace("<name>", name).replace("<stage>", stage).encode()


def floors_policy(stage: str, floors: Mapping[str, Mapping[str, float]]) -> bytes:
    """Return the policy that says what `minimum_metrics` of a stage said in an older registry.yaml."""
    text = policies(is_team=False)[f"{paths.POLICIES}/production-metrics.yaml"].decode()
    start = text.index("  floors:")
    end = text.index("  max_drop:")
    told = "".join(f"    {task}: {json.dumps(dict(metrics))}\n" for task, metrics in floors.items())
    changed = text[:start] + "  floors:\n" + told + text[end:]
    return (
        changed.replace("production-metrics", f"{stage}-metrics").replace("to: [production]", f"to: [{stage}]").encode()
    )
