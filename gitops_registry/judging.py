"""What a look at a change, a proposal or the whole registry says: the plan and the report.

The same rules on the same facts, whichever side is a branch, a commit or the work tree as its files lie there.
"""

from __future__ import annotations

from gitops_registry import proposals
from gitops_registry.changes import Change
from gitops_registry.difference import diff
from gitops_registry.evidence import gatherer
from gitops_registry.policy.check import check, check_whole
from gitops_registry.policy.report import Report
from gitops_registry.workplace import Workplace


def plan(place: Workplace, *, base: str | None, head: str | None) -> list[Change]:
    """Return what `head` would change on `base`; without a head, what the work tree changes (against HEAD)."""
    if head is None and place.repository.work_tree is not None:
        before, after, changed = place.work_tree(base)
    else:
        before, after, changed = place.landed(base or place.branch, head or "HEAD")
    return diff(before, after, changed)


def judge(place: Workplace, *, base: str | None, head: str | None) -> Report:
    """Judge `head` as it would land on `base`; without a base, the whole registry at `head`.

    Without a head the work tree is meant (HEAD in a bare repository); of the whole registry then also what the
    work tree changes against HEAD.
    """
    is_work_tree = head is None and place.repository.work_tree is not None
    if base is None:
        return _work_tree(place) if is_work_tree else _whole(place, head)
    if not is_work_tree:
        return proposals.examine(place, base, head or "HEAD")
    before, after, changed = place.work_tree(base)
    return check(before, after, changed, gatherer(place, place.commit(base)), place.engine)


def _whole(place: Workplace, head: str | None) -> Report:
    return check_whole(place.snapshot(head), place.files(head), gatherer(place, None), place.engine)


def _work_tree(place: Workplace) -> Report:
    before, after, changed = place.work_tree()
    files = {file.path: file for file in place.files("HEAD")}
    files |= {change.path: change for change in changed}
    whole = check_whole(after, [file for file in files.values() if file.new_oid], gatherer(place, None), place.engine)
    if not changed:
        return whole
    return whole.with_report(check(before, after, changed, gatherer(place, place.commit("HEAD")), place.engine))
