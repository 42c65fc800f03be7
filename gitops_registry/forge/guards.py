"""What GitHub's settings let through: rulesets, the older branch protection, and how it merges."""

from __future__ import annotations

from typing import Any

from gitops_registry.errors import NotFound
from gitops_registry.forge.http import Api
from gitops_registry.forge.interface import Guarded, Refused, Setting
from gitops_registry.forge.reading import dig, entries, part, text


def github_settings(api: Api, here: str, guarded: Guarded, page: str) -> list[Setting]:
    """Return the settings of a repository (`here` is its path in the API, `page` that of its settings for people)."""
    repository = api.get(here)
    rules = list(api.pages(f"{here}/rules/branches/{part(guarded.branch)}", per_page=100))
    protection, may_read = _protection(api, here, guarded.branch)
    found = [_merges(repository, rules, page)]
    found += _pushes(rules, protection, may_read, guarded, page)
    found += _status(rules, protection, may_read, guarded, page)
    found.append(_up_to_date(rules, protection, may_read, page))
    found.append(_reviews(rules, protection, may_read, page))
    found.append(_bypass(api, here, rules, protection, may_read, page))
    found.append(_tags(api, here, page))
    return found


def _protection(api: Api, here: str, branch: str) -> tuple[Any, bool]:
    """Return the older kind of protection (None without any), and whether the token may read it."""
    try:
        return api.get(f"{here}/branches/{part(branch)}/protection"), True
    except NotFound:
        return None, True
    except Refused as error:
        if error.status not in {401, 403}:
            raise
        return None, False


def _of(rules: list[Any], kind: str) -> list[Any]:
    return [dig(rule, "parameters") or {} for rule in rules if text(rule, "type") == kind]


def _known(is_open: bool, may_read: bool) -> bool | None:
    """What is not seen to hold is open, or not known where not everything could be read."""
    return is_open if may_read or not is_open else None


def _unread(message: str, is_open: bool | None) -> str:
    return f"{message} (not seen: this token may not read branch protection)" if is_open is None else message


def _merges(repository: Any, rules: list[Any], page: str) -> Setting:
    allowed = [methods for rule in _of(rules, "pull_request") if (methods := entries(rule, "allowed_merge_methods"))]
    ways = [way for way in ("squash", "rebase") if dig(repository, f"allow_{way}_merge") is True]
    ways = [way for way in ways if all(way in methods for methods in allowed)]
    if dig(repository, "allow_squash_merge") is None:
        return Setting("merges", None, "how pull requests may be merged is not shown to this token", page)
    if ways:
        message = (
            f"pull requests may be merged by {' and '.join(ways)}, which leaves what was reviewed out of the history"
        )
        return Setting("merges", True, message, f"{page}: allow merge commits only")
    return Setting("merges", False, "pull requests land as merge commits only")


def _pushes(rules: list[Any], protection: Any, may_read: bool, guarded: Guarded, page: str) -> list[Setting]:
    branch, where = guarded.branch, f"{page}/rules: a ruleset for {guarded.branch}"
    through = bool(_of(rules, "pull_request")) or dig(protection, "required_pull_request_reviews") is not None
    is_open = _known(not through, may_read)
    told = (
        f"{branch} takes pushes beside pull requests"
        if is_open is not False
        else f"{branch} changes through pull requests only"
    )
    found = [
        Setting(
            "pushes", is_open, _unread(told, is_open), "" if is_open is False else f"{where}: require a pull request"
        )
    ]
    for what, rule, old in (
        ("rewriting", "non_fast_forward", "allow_force_pushes"),
        ("deletion", "deletion", "allow_deletions"),
    ):
        held = bool([one for one in rules if text(one, "type") == rule])
        held = held or (protection is not None and dig(protection, old, "enabled") is False)
        is_open = _known(not held, may_read)
        told = (
            f"{branch} cannot be {'rewritten' if rule != 'deletion' else 'deleted'}"
            if is_open is False
            else f"{branch} may be {'rewritten by a forced push' if rule != 'deletion' else 'deleted'}"
        )
        step = "block force pushes" if rule != "deletion" else "restrict deletions"
        found.append(Setting(what, is_open, _unread(told, is_open), "" if is_open is False else f"{where}: {step}"))
    return found


def _status(rules: list[Any], protection: Any, may_read: bool, guarded: Guarded, page: str) -> list[Setting]:
    """Whether the verdict is required, and whether somebody who writes could give it in its place."""
    checks = [c for rule in _of(rules, "required_status_checks") for c in entries(rule, "required_status_checks")]
    checks += entries(protection, "required_status_checks", "checks")
    named = [c for c in checks if text(c, "context") == guarded.status]
    workflows = [w for rule in _of(rules, "workflows") for w in entries(rule, "workflows")]
    is_open = _known(not named and not workflows, may_read)
    told = (
        f"the status {guarded.status} is required"
        if named
        else "a workflow is required"
        if workflows
        else f"nothing requires the status {guarded.status}"
    )
    found = [
        Setting(
            "verdict",
            is_open,
            _unread(told, is_open),
            f"{page}/rules: require status checks to pass: {guarded.status}" if is_open is not False else "",
        )
    ]
    if workflows:
        return [
            *found,
            Setting(
                "workflow", False, "the workflow that judges is required from a ruleset: writers cannot replace it"
            ),
        ]
    if named:
        message = (
            f"whoever may push a branch can let a workflow of their own set {guarded.status}: the judge can be replaced"
        )
        repair = "an organisation's ruleset: require workflows to pass before merging; or let writers propose from forks only"
        found.append(Setting("workflow", True, message, repair))
    return found


def _up_to_date(rules: list[Any], protection: Any, may_read: bool, page: str) -> Setting:
    strict = any(
        dig(rule, "strict_required_status_checks_policy") is True for rule in _of(rules, "required_status_checks")
    )
    strict = strict or dig(protection, "required_status_checks", "strict") is True
    queued = any(text(rule, "type") == "merge_queue" for rule in rules)
    if queued or strict:
        return Setting(
            "up to date",
            False,
            "a merge queue tries each merge" if queued else "branches must be up to date before they land",
        )
    is_open = _known(True, may_read)
    message = "a branch may land on another base than it was judged on"
    return Setting(
        "up to date",
        is_open,
        _unread(message, is_open),
        f"{page}/rules: a merge queue, or require branches to be up to date",
    )


def _reviews(rules: list[Any], protection: Any, may_read: bool, page: str) -> Setting:
    counts = [dig(rule, "required_approving_review_count") or 0 for rule in _of(rules, "pull_request")]
    counts.append(dig(protection, "required_pull_request_reviews", "required_approving_review_count") or 0)
    if max(counts) > 0:
        return Setting("reviews", False, f"GitHub itself asks for {max(counts)} approving review(s) too")
    is_open = None if not may_read else False
    message = (
        "GitHub itself asks for no review; approvals are asked for by the verdict"
        if may_read
        else "whether GitHub asks for reviews was not seen"
    )
    return Setting("reviews", is_open, message, "" if may_read else page)


def _bypass(api: Api, here: str, rules: list[Any], protection: Any, may_read: bool, page: str) -> Setting:
    """Who is exempt: bypass actors of the rulesets that hold, and administrators of the older protection."""
    exempt: list[str] = []
    hidden = False
    for oid in dict.fromkeys(dig(rule, "ruleset_id") for rule in rules):
        ruleset = api.find(f"{here}/rulesets/{oid}") if isinstance(oid, int) else None
        actors = dig(ruleset, "bypass_actors")
        hidden = hidden or not isinstance(actors, list)  # shown to those who may change the ruleset
        exempt += [
            f"{text(actor, 'actor_type') or 'somebody'} of the ruleset {text(ruleset, 'name')}"
            for actor in actors or []
        ]
    if protection is not None and dig(protection, "enforce_admins", "enabled") is not True:
        exempt.append("administrators")
    if exempt:
        message = f"exempt from all of it: {', '.join(dict.fromkeys(exempt))}"
        return Setting("bypass", True, message, f"{page}/rules: take them off the bypass list; do not allow bypassing")
    if hidden or not may_read:
        return Setting("bypass", None, "who may bypass the rules is shown to administrators only", f"{page}/rules")
    if not rules and protection is None:
        return Setting("bypass", True, "there is no rule that anybody would have to bypass", f"{page}/rules")
    return Setting("bypass", False, "nobody is exempt")


def _tags(api: Api, here: str, page: str) -> Setting:
    found = list(api.pages(f"{here}/rulesets", per_page=100, includes_parents="true"))
    if any(text(one, "target") == "tag" and text(one, "enforcement") == "active" for one in found):
        return Setting("tags", False, "a ruleset is about tags")
    return Setting(
        "tags",
        True,
        "tags may be moved and deleted by whoever writes",
        f"{page}/rules: a ruleset for tags: restrict updates and deletions",
    )
