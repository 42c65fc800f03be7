"""The rule about dvc.yaml: where registry.yaml says `interop: gto`, it is what the registry gives, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator

from gitops_registry.difference import is_unmanaged
from gitops_registry.gto import dvc_yaml, is_on, written
from gitops_registry.paths import CONSTITUTION, DVC_YAML, place_of
from gitops_registry.policy.report import Finding, Judgement, Spot


def interop(judgement: Judgement) -> Iterator[Finding]:
    """DVC and GTO are led to the newest version of each model, and nowhere else."""
    before, after = judgement.before, judgement.after
    if not is_on(after):
        return
    if is_unmanaged(DVC_YAML, after.constitution.unmanaged):
        message = f"interop: gto writes {DVC_YAML}, and unmanaged leaves it to others"
        yield Finding.error("interop", message, "take one of the two out", Spot(CONSTITUTION, 1, 1))
        return
    roles = {place_of(change.path).role for change in judgement.changed}
    if before is not None and not roles & {"interop", "version", "constitution"}:
        return
    is_agreed = before is not None and is_on(before)
    wanted = dvc_yaml(after, before if is_agreed else None, judgement.changed)
    there = written(after)
    if there != wanted and "interop" in roles:
        wanted = dvc_yaml(after)  # a change may mend what was wrong before it
    if there != wanted:
        message = "is missing" if there is None else "is not what models/ gives"
        hint = "gitops-registry doctor --repair writes it; in a commit of one's own: gitops-registry interop dvc-yaml > dvc.yaml"
        yield Finding.error("interop", f"{message}: DVC and GTO read there what a model is", hint, Spot(DVC_YAML, 1, 1))
