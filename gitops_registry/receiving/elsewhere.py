"""Other proposals on a server, where they bear on the one that lands: what was rejected, and what was added to it since."""

from __future__ import annotations

from collections.abc import Sequence

from gitops_registry.approving import contribution, own_commits, word
from gitops_registry.git import incoming
from gitops_registry.git.parsing import Commit, parse_commit
from gitops_registry.workplace import PREFIXES, Workplace

_LARGEST = 1 << 16


def rejections(place: Workplace, proposed: Sequence[str], tip: str, head: str, plan: str) -> list[Commit]:
    """Return the rejections on other open proposals that are about what lands: this very plan, or nothing but commits of it.

    `proposed` are the tips of proposals that come with the push. Whoever lands something chooses the commit, and could
    choose one without them.
    """
    repository = place.repository
    tips = {*proposed, *repository.branches(*(f"refs/heads/{prefix}" for prefix in PREFIXES), beyond=tip).values()}
    own = {commit.oid for commit in own_commits(repository, tip, head)}
    oids = [oid for oid in incoming.beyond(repository, sorted(tips), tip) if oid not in own]
    found = []
    for object_ in repository.objects.get_many(oids, limit=_LARGEST):
        commit = parse_commit(object_.oid, object_.data) if object_ and object_.data else None
        said = word(repository, commit) if commit and commit.trailer("Rejects-Plan") else None
        if commit and said and (said.plan == plan or _is_about(place, commit.oid, own, tip)):
            found.append(commit)
    return found


def _is_about(place: Workplace, rejection: str, own: set[str], tip: str) -> bool:
    """Say whether all that was rejected lands: who rejects something wider says nothing of its parts."""
    under = own_commits(place.repository, tip, rejection)
    rejected = {commit.oid for commit in under if word(place.repository, commit) is None}
    return bool(rejected) and rejected <= own


def added(place: Workplace, proposed: Sequence[str], decision: str, tip: str, head: str) -> Commit | None:
    """Return what somebody who wrote of a proposal has added to it since, where less than all of it lands.

    What was only said of it is no part, and neither is what was made on top of its landing, or by others on top of it.
    """
    repository = place.repository
    newest = contribution(repository, head).oid
    tips = {other for other in proposed if repository.is_ancestor(newest, other)}
    tips |= set(incoming.holding(repository, newest, PREFIXES).values())
    tips = {other for other in tips if not repository.is_ancestor(decision, other)}
    if any(contribution(repository, other).oid == newest for other in tips):
        return None
    before = place.snapshot(tip)
    writers = {place.witnesses.signature(commit.oid, before).member for commit in own_commits(repository, tip, newest)}
    more = [commit for other in tips for commit in own_commits(repository, newest, other)]
    rest = (commit for commit in more if word(repository, commit) is None)
    return next((commit for commit in rest if place.witnesses.signature(commit.oid, before).member in writers), None)
