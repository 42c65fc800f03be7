"""The rule about docs/CODEOWNERS: a forge asks those people who may decide, and nobody who no longer may."""

from __future__ import annotations

from collections.abc import Iterator

from gitops_registry.codeowners import SHADOWS, codeowners, is_ours
from gitops_registry.errors import ManifestError
from gitops_registry.paths import ACCESS, CODEOWNERS
from gitops_registry.policy.report import Finding, Judgement, Spot
from gitops_registry.snapshot import Snapshot


def owners(judgement: Judgement) -> Iterator[Finding]:
    """The code owners that forges ask are those that policies/access.yaml gives, and were written from it."""
    after = judgement.after
    touched = {change.path for change in judgement.changed}
    if judgement.before is not None and not touched & {ACCESS, CODEOWNERS, *SHADOWS}:
        return
    access = after.access
    wanted = None if access is None else codeowners(access)
    there = _bytes(after)
    if wanted is None and there is not None and is_ours(there):
        hint = f"git rm {CODEOWNERS}"
        yield _refused(f"names owners, and nobody in {ACCESS} can be one", hint, 1)
    if wanted is None:
        return
    if there != wanted:
        command = f"gitops-registry access codeowners > {CODEOWNERS}"
        hint = command if after.children("docs") else f"mkdir -p docs && {command}"
        if there is None:
            yield _refused(f"is missing: forges read there whom {ACCESS} lets decide", hint, 0)
        else:
            yield _refused(f"is not what {ACCESS} gives", hint, 1)
    for path in SHADOWS:
        if after.oid(path):
            yield Finding.warning(
                "codeowners",
                f"is read by forges instead of {CODEOWNERS}, and follows nobody's role",
                f"bring its lines to an end: git rm {path}",
                Spot(path, 1, 1),
            )


def _bytes(after: Snapshot) -> bytes | None:
    """Return what is there; what is too large to be read is nothing that we wrote."""
    try:
        return after.read(CODEOWNERS)
    except ManifestError:
        return b""


def _refused(message: str, hint: str, line: int) -> Finding:
    return Finding.error("codeowners", message, hint, Spot(CODEOWNERS, line, line))
