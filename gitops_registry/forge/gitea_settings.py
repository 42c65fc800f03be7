"""How Gitea and Forgejo guard a branch and tags, and what that leaves open.

Whoever may read the repository reads how it merges and whether the branch is protected; the rules themselves are shown to
administrators alone. Forgejo lacks fields that Gitea has, and the other way round: it lets nobody force a push to a
protected branch, and says `apply_to_admins` where Gitea says `block_admin_merge_override`.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

from gitops_registry.errors import NotFound
from gitops_registry.forge.gitea_answers import count, names
from gitops_registry.forge.http import Api
from gitops_registry.forge.interface import Guarded, Refused, Setting
from gitops_registry.forge.reading import dig, part, text

_RULE = "Settings, Branches, the rule of that branch"
_RELEASES = ("a@1", "credit-risk@12", "Model_1.x@345")


def settings_of(api: Api, repository: str, guarded: Guarded) -> list[Setting]:
    """Return how a repository guards a branch and its tags; `repository` is its path in the API."""
    shown = api.get(repository)
    found = [_merges(shown), _manual(shown)]
    branch = api.find(f"{repository}/branches/{part(guarded.branch)}")
    if _is(branch, "protected"):
        rule = _rule(api, repository, guarded.branch, branch)
        found += [*_pushes(rule, guarded.branch), _required(rule or branch, guarded), _from_whom(rule, guarded)]
        found += [_up_to_date(rule), _approvals(rule or branch), _stale(rule), _bypass(rule)]
    else:
        told = f"{guarded.branch} is not protected" if branch else f"there is no branch {guarded.branch} yet"
        found.append(
            Setting(
                "pushes",
                True if branch else None,
                f"{told}: it takes pushes beside pull requests from whoever may write",
                "Settings, Branches, Add new rule",
            )
        )
    return [*found, _tags(api, repository)]


def _asked(api: Api, path: str) -> Any:
    """Return what only an administrator is shown; None for everybody else."""
    try:
        return api.get(path)
    except NotFound:
        return None
    except Refused as error:
        if error.status != 403:
            raise
        return None


def _rule(api: Api, repository: str, branch: str, shown: Any) -> dict[str, Any] | None:
    rules = _asked(api, f"{repository}/branch_protections")
    if not isinstance(rules, list):
        return None
    name = text(shown, "effective_branch_protection_name") or branch
    return next(
        (r for r in rules if isinstance(r, dict) and name in (text(r, "rule_name"), text(r, "branch_name"))), None
    )


def _said(what: str, is_open: bool | None, holds: str, opened: str, repair: str = _RULE) -> Setting:
    if is_open is None:
        return Setting(what, None, f"{what}: only the token of an administrator may read it", repair)
    return Setting(what, is_open, opened if is_open else holds, repair if is_open else "")


def _is(rule: Any, name: str) -> bool:
    return dig(rule, name) is True


def _who(rule: Any, kind: str) -> str:
    """Return whom a rule names, as people read it; empty where it names nobody."""
    return ", ".join([*names(rule, f"{kind}_usernames"), *(f"team {name}" for name in names(rule, f"{kind}_teams"))])


def _merges(repository: Any) -> Setting:
    ways = {
        "squash": dig(repository, "allow_squash_merge"),
        "rebase": dig(repository, "allow_rebase"),
        "rebase and merge": dig(repository, "allow_rebase_explicit"),
        "fast-forward": dig(repository, "allow_fast_forward_only_merge"),
    }
    allowed = [name for name, is_allowed in ways.items() if is_allowed is True]
    merge = dig(repository, "allow_merge_commits")
    if merge is None:
        allowed = []
    opened = f"it also merges by {', '.join(allowed)}: what lands so is not the commit that was judged"
    if merge is False:
        opened = "it makes no merge commits: no pull request can land as it was judged"
    return _said(
        "merges", None if merge is None else bool(allowed) or not merge,
        "a pull request lands as a merge commit and no other way", opened, "Settings, Units, Pull requests: merge styles",
    )  # fmt: skip


def _manual(repository: Any) -> Setting:
    """Return whether a push can pass for a merge: Gitea takes its merger from the author line, which whoever commits writes."""
    ways = [dig(repository, "autodetect_manual_merge"), dig(repository, "allow_manual_merge")]
    repair = "Settings, Units, Pull requests: no manual merges, and none that are autodetected"
    if None in ways:
        return Setting("manual merges", None, "whether a push can pass for a merge is not shown", repair)
    return _said(
        "manual merges", True in ways, "only a merge by the server itself is shown as one",
        "a push can pass for a merge by whoever its author line names", repair,
    )  # fmt: skip


def _pushes(rule: Any, branch: str) -> list[Setting]:
    if rule is None:
        return [_said("pushes", None, "", ""), _said("rewriting", None, "", "")]
    opened, closed = "", f"nobody pushes to {branch} directly"
    if _is(rule, "enable_push"):
        closed = f"only {_who(rule, 'push_whitelist') or 'nobody'} may push to {branch} directly"
        if not _is(rule, "enable_push_whitelist"):
            opened = f"whoever may write can push to {branch} directly"
        elif _is(rule, "push_whitelist_deploy_keys"):
            opened = f"every deploy key that may write can push to {branch} directly"
    if files := text(rule, "unprotected_file_patterns"):
        opened = opened or f"whoever may write can push changes of {files} to {branch} directly"
    forced = _is(rule, "enable_force_push")
    return [
        _said("pushes", bool(opened), closed, f"{opened}, past the check"),
        _said("rewriting", forced, f"nobody rewrites or deletes {branch}", f"the history of {branch} can be rewritten by a push"),
    ]  # fmt: skip


def _required(rule: Any, guarded: Guarded) -> Setting:
    # A pattern is met by any status that fits it, and no status at all is required where none is named.
    is_required = _is(rule, "enable_status_check") and guarded.status in names(rule, "status_check_contexts")
    return _said(
        "verdict", not is_required, f"nothing merges without a good {guarded.status}",
        f"the status {guarded.status} is not required by that very name: a pull request merges without the check",
    )  # fmt: skip


def _from_whom(rule: Any, guarded: Guarded) -> Setting:
    """Return whether a status that somebody made up lets a merge through: whoever may write may set one, under any name."""
    limited = None if rule is None else _is(rule, "enable_merge_whitelist")
    return _said(
        "workflow", None if limited is None else not limited,
        f"only {_who(rule, 'merge_whitelist') or 'nobody'} may merge, so that a status which somebody else set moves nothing",
        f"whoever may write can set the status {guarded.status} and then merge: let only those merge who judge by themselves",
        f"{_RULE}: merge whitelist",
    )  # fmt: skip


def _up_to_date(rule: Any) -> Setting:
    current = None if rule is None else _is(rule, "block_on_outdated_branch")
    return _said(
        "up to date", None if current is None else not current, "a branch must hold the newest decision before it merges",
        "a branch merges that was judged on an older decision", f"{_RULE}: block merge if the pull request is outdated",
    )  # fmt: skip


def _approvals(rule: Any) -> Setting:
    asked = count(rule, "required_approvals")
    return _said("reviews", asked < 1, f"{asked} approvals are required", "no approval is required to merge")


def _stale(rule: Any) -> Setting:
    if rule is None:
        return _said("stale reviews", None, "", "")
    is_open = not (_is(rule, "dismiss_stale_approvals") or _is(rule, "ignore_stale_approvals"))
    rejected = _is(rule, "block_on_rejected_reviews")
    opened = (
        "an approval goes on counting when other commits come" if is_open else "a rejection does not block the merge"
    )
    return _said(
        "stale reviews",
        is_open or not rejected,
        "an approval ends when the change is another, and a rejection blocks",
        opened,
    )


def _bypass(rule: Any) -> Setting:
    if rule is None:
        return _said("bypass", None, "", "")
    holds = _is(rule, "block_admin_merge_override") or _is(rule, "apply_to_admins")
    opened = "an administrator can merge past the check and the reviews"
    if _is(rule, "enable_bypass_allowlist") and (who := _who(rule, "bypass_allowlist")):
        holds, opened = False, f"{who} can merge past the check and the reviews"
    return _said("bypass", not holds, "the rule holds for administrators too", opened)


def _tags(api: Api, repository: str) -> Setting:
    repair = "Settings, Tags: protect *@*"
    rules = _asked(api, f"{repository}/tag_protections")
    if not isinstance(rules, list):
        return _said("tags", None, "", "", repair)
    fitting = [rule for rule in rules if _is_for_releases(text(rule, "name_pattern"))]
    # Gitea lets through whom any fitting rule names.
    who = ", ".join(filter(None, (_who(rule, "whitelist") for rule in fitting)))
    return _said(
        "tags", not fitting, f"only {who or 'nobody'} makes or moves a tag of a release",
        "whoever may write can make, move or delete the tag of a release", repair,
    )  # fmt: skip


def _is_for_releases(pattern: str) -> bool:
    """Whether a pattern, a glob or an expression between slashes, takes in every tag that a release can have."""
    if len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/"):
        try:
            expression = re.compile(pattern[1:-1])
        except re.error:
            return False
        return all(expression.search(tag) for tag in _RELEASES)
    return bool(pattern) and all(fnmatchcase(tag, pattern) for tag in _RELEASES)
