"""What GitLab's answers mean where it says little: why it does not merge, whose token it is, what is a draft, when a head came."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.forge.http import Api
from gitops_registry.forge.interface import Refused
from gitops_registry.forge.reading import moment, number, short, text

_DRAFT = re.compile(r"\s*(?:draft:|\[draft\]|\(draft\))\s*", re.IGNORECASE)
_REASONS = {
    "broken_status": "it conflicts with its target",
    "conflict": "it conflicts with its target",
    "cannot_be_merged": "it conflicts with its target",
    "ci_must_pass": "its pipeline has not succeeded",
    "ci_still_running": "its pipeline still runs",
    "discussions_not_resolved": "threads on it are not resolved",
    "draft_status": "it is a draft",
    "need_rebase": "it is behind its target",
    "not_approved": "approvals are missing",
    "not_open": "it is not open",
    "requested_changes": "a reviewer asks for changes",
    "merge_request_blocked": "another one has to land first",
    "policies_denied": "a policy of the group denies it",
    "security_policy_violations": "a policy of the group denies it",
    "status_checks_must_pass": "status checks of other services have not passed",
    "checking": "GitLab still finds out whether it merges",
    "unchecked": "GitLab still finds out whether it merges",
    "preparing": "GitLab still prepares it",
    "approvals_syncing": "GitLab still counts its approvals",
}
"""What `detailed_merge_status` says, in words; the refusal itself is no more than a number."""


def why_not_merged(error: RegistryError, status: str) -> RegistryError:
    """Return the error of a merge that was refused, with the reason that GitLab has shown beside it."""
    if not isinstance(error, Refused):
        return error
    if error.status == 401:  # it shows the merge request to this token, so the token is not what is wrong
        told = "this account may not merge into that branch, or its token may only read"
        return Refused(
            f"GitLab does not merge it: {told}", hint="ask who may merge, or use a token with api", status=401
        )
    reason = _REASONS.get(status)
    return Refused(f"GitLab does not merge it: {reason}", hint=error.hint, status=error.status) if reason else error


def own_account(api: Api) -> int:
    """Return the number of this token's own account. Raises RegistryError for a job's own token, which may not write notes."""
    try:
        return number(api.get("user"), "id")
    except (NotFound, Refused) as error:
        if isinstance(error, Refused) and error.status not in {401, 403}:
            raise
        raise Refused(
            f"{error.message}: a token that may comment has an account, and CI_JOB_TOKEN has none",
            hint="give the job GITLAB_TOKEN, a project access token with the scope api",
            status=error.status if isinstance(error, Refused) else 404,
        ) from error


def drafted(there: str, wanted: str, limit: int) -> str:
    """Return a wanted title, as a draft where somebody made it one: with GitLab that is a part of the title."""
    if not _DRAFT.match(there) or _DRAFT.match(wanted):
        return wanted
    return short(f"Draft: {wanted}", limit)


def heads(versions: Iterable[Any]) -> list[tuple[datetime, str]]:
    """Return when each head came and its commit, oldest first: in the order of their numbers, whatever clocks said."""
    found = []
    for one in versions:
        created = text(one, "created_at")
        if not created:
            raise RegistryError(
                "GitLab shows a version of a merge request without its time", hint="try again in a while"
            )
        found.append((number(one, "id"), moment(created), text(one, "head_commit_sha")))
    return [(created, oid) for _, created, oid in sorted(found)]
