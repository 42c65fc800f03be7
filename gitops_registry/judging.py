"""What a look at a change, a proposal or the whole registry says: the plan and the report.

The same rules on the same facts, whichever side is a branch, a commit or the work tree as its files lie there.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitops_registry import proposals
from gitops_registry.changes import Change
from gitops_registry.difference import diff
from gitops_registry.evidence import gatherer
from gitops_registry.git import graph
from gitops_registry.history import read_past
from gitops_registry.policy.check import check, check_whole
from gitops_registry.policy.report import Report
from gitops_registry.snapshot import PathChange, Snapshot
from gitops_registry.verdicts import verdicts
from gitops_registry.workplace import Workplace


def plan(place: Workplace, *, base: str | None, head: str | None) -> list[Change]:
    """Return what `head` would change on `base`; without a head, what the work tree changes (against HEAD)."""
    if head is None and place.repository.work_tree is not None:
        before, after, changed = place.work_tree(base)
    else:
        before, after, changed = place.landed(base or place.branch, head or "HEAD")
    return diff(before, after, changed)


def judge(place: Workplace, *, base: str | None, head: str | None, is_anew: bool = False) -> Report:
    """Judge `head` as it would land on `base`; without a base, the whole registry at `head`.

    Without a head the work tree is meant (HEAD in a bare repository); of the whole registry then also what the
    work tree changes against HEAD. Of a whole registry, versions that were found without fault and are as they were then
    are not judged again, unless all is to be judged `anew`; a change always is.
    """
    is_work_tree = head is None and place.repository.work_tree is not None
    if base is None:
        return _work_tree(place, is_anew=is_anew) if is_work_tree else _at(place, head, is_anew=is_anew)
    if not is_work_tree:
        return proposals.examine(place, base, head or "HEAD")
    before, after, changed = place.work_tree(base)
    return check(before, after, changed, gatherer(place, place.commit(base)), place.engine)


def _at(place: Workplace, head: str | None, *, is_anew: bool) -> Report:
    return _whole(place, place.snapshot(head), place.files(head), is_anew=is_anew)


def _work_tree(place: Workplace, *, is_anew: bool) -> Report:
    before, after, changed = place.work_tree()
    files = {file.path: file for file in place.files("HEAD")}
    files |= {change.path: change for change in changed}
    there = [file._replace(old_mode="", old_oid="") for file in files.values() if file.new_oid]
    whole = _whole(place, after, there, is_anew=is_anew)
    if not changed:
        return whole
    return whole.with_report(check(before, after, changed, gatherer(place, place.commit("HEAD")), place.engine))


def _whole(place: Workplace, after: Snapshot, files: Sequence[PathChange], *, is_anew: bool) -> Report:
    with verdicts(place.repository, is_anew=is_anew) as known:
        if not place.repository.is_shallow:
            before, known.past = known.past, read_past(place.repository, place.commit(), known.past)
            if known.past != before or not graph.has_changed_paths(place.repository):
                graph.renew(place.repository)
        return check_whole(after, files, gatherer(place, None, past=known.past), place.engine, known.clean)
