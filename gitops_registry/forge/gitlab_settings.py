"""What GitLab's settings let through: the project's ways to merge, protected branches and tags, and where the judge comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gitops_registry.forge.interface import Guarded, Setting
from gitops_registry.forge.reading import dig, entries, text

_MAINTAINER = 40
"""The number of that access level; 0 is no one, 30 whoever develops."""


def merging(project: Any, guarded: Guarded, page: str) -> list[Setting]:
    """Return how merge requests land, and what must hold before one may."""
    where = f"{page}/merge_requests"
    way, squash = text(project, "merge_method"), text(project, "squash_option")
    if not way or not isinstance(dig(project, "only_allow_merge_if_pipeline_succeeds"), bool):
        told = "how merge requests land is shown to members only"
        return [Setting(what, None, told, where) for what in ("merges", "squash", "verdict", "up to date")]
    found = [
        Setting(
            "merges",
            True,
            f"merge requests land by {'fast-forward' if way == 'ff' else way}, without a commit that decides",
            f"{where}: merge commit",
        )
        if way not in {"merge", "rebase_merge"}
        else Setting("merges", False, "merge requests land as merge commits")
    ]
    is_open = squash != "never"
    found.append(
        Setting(
            "squash",
            is_open,
            "commits may be squashed, which leaves what was reviewed out of the history"
            if is_open
            else "commits are never squashed",
            f"{where}: do not allow squashing" if is_open else "",
        )
    )
    return [*found, _verdict(project, guarded, where), _level(project, way, where)]


def _verdict(project: Any, guarded: Guarded, where: str) -> Setting:
    piped = dig(project, "only_allow_merge_if_pipeline_succeeds") is True
    skipped = dig(project, "allow_merge_on_skipped_pipeline") is True
    if piped and not skipped:
        return Setting("verdict", False, "pipelines must succeed")
    told = (
        "a skipped pipeline counts as one that succeeded"
        if piped
        else f"nothing requires that the pipeline, and the status {guarded.status} in it, succeeds"
    )
    return Setting("verdict", True, told, f"{where}: pipelines must succeed")


def _level(project: Any, way: str, where: str) -> Setting:
    if way == "rebase_merge" or dig(project, "merge_trains_enabled") is True:
        return Setting("up to date", False, "branches are up to date when they land")
    told = "a branch may land on another base than it was judged on"
    return Setting("up to date", True, told, f"{where}: merge commit with semi-linear history, or merge trains")


def configuration(project: Any, page: str) -> Setting:
    """Whether the pipeline that judges is one that a writer's branch brings itself."""
    if "ci_config_path" not in (project or {}):
        return Setting("workflow", None, "where the pipeline is configured is shown to members only", f"{page}/ci_cd")
    elsewhere = "@" in text(project, "ci_config_path") or text(project, "ci_config_path").startswith("https://")
    if elsewhere:
        return Setting(
            "workflow", False, "the pipeline's configuration is kept in another project: writers cannot replace it"
        )
    told = "a branch brings its own .gitlab-ci.yml: the judge can be replaced by whoever writes"
    return Setting("workflow", True, told, f"{page}/ci_cd: CI/CD configuration file: .gitlab-ci.yml@group/project")


def branch_rules(rules: list[Any], branch: str, page: str) -> list[Setting]:
    """Return who may change the branch beside merge requests.

    Of the rules that take the branch in, by its name or with a `*`, GitLab lets the most permissive one decide.
    """
    fit = [rule for rule in rules if _takes_in(text(rule, "name"), branch)]
    if not fit:
        told = f"{branch} is not protected: it takes pushes, rewriting and deletion"
        return [Setting("pushes", True, told, f"{page}: protected branches")]
    pushing = [_name(rule) for rule in fit if _lets_somebody(rule, "push_access_levels")]
    forced = [_name(rule) for rule in fit if dig(rule, "allow_force_push") is not False]
    levels = [dig(one, "access_level") for rule in fit for one in entries(rule, "merge_access_levels")]
    wide = any(isinstance(level, int) and 0 < level < _MAINTAINER for level in levels)
    told = f"{branch} takes pushes beside merge requests, by the rule {', '.join(pushing)}"
    rewritten = f"{branch} may be rewritten by a forced push, by the rule {', '.join(forced)}"
    who = "whoever develops" if wide else "maintainers"
    return [
        Setting("pushes", True, told, f"{page}: allowed to push and merge: no one")
        if pushing
        else Setting("pushes", False, f"{branch} changes through merge requests only"),
        Setting("rewriting", True, rewritten, f"{page}: disallow force push")
        if forced
        else Setting("rewriting", False, f"{branch} cannot be rewritten by a forced push"),
        Setting("bypass", False, f"{who} may merge what the pipeline lets through"),
    ]


def _takes_in(pattern: str, name: str) -> bool:
    """Say whether a protection is for a name; `*` stands for anything, slashes too, and nothing else is special."""
    return re.fullmatch(".*".join(re.escape(piece) for piece in pattern.split("*")), name) is not None


def _name(rule: Any) -> str:
    return text(rule, "name") or "without a name"


def _lets_somebody(rule: Any, who: str) -> bool:
    """Say whether anybody is let: a role, or a person, a group or a key that is named; a list that is not there is taken for one."""
    levels = entries(rule, who)
    named = ("user_id", "group_id", "deploy_key_id", "member_role_id")
    return not levels or any(
        dig(one, "access_level") != 0 or any(dig(one, name) is not None for name in named) for one in levels
    )


def approving(rights: Any, rules: Any, page: str) -> list[Setting]:
    """Return what GitLab itself asks of approvals: never open, for the verdict counts approvals, of one very plan, anyway.

    None where it may not be read, or the plan has none.
    """
    where = f"{page}/merge_requests"
    if not isinstance(rights, Mapping) or not isinstance(rules, list):
        told = "approvals that must be there are shown to members alone, and only some plans have them"
        return [Setting("reviews", None, told, f"{where}: approval rules")]
    if not any(isinstance(n := dig(one, "approvals_required"), int) and n > 0 for one in rules):
        return [Setting("reviews", False, "GitLab itself asks for no approval; approvals are asked for by the verdict")]
    told = "GitLab itself asks for approvals too"
    if dig(rights, "disable_overriding_approvers_per_merge_request") is not True:
        told += ", which whoever opens a merge request may change"
    if dig(rights, "reset_approvals_on_push") is True:
        told += ", and takes them away when commits come"
    return [Setting("reviews", False, told)]


def tag_rule(tags: list[Any], page: str) -> Setting:
    """Return whether a tag of a release, NAME@N, stays where it is: protected tags that take all of them in."""
    names = [text(one, "name") for one in tags]
    if any(name in {"*", "*@*"} for name in names):
        return Setting("tags", False, "tags of releases are protected")
    told = "tags of releases may be moved and deleted by whoever writes"
    if names:
        told = f"only some tags are protected ({', '.join(names)}), and releases are NAME@N"
    return Setting("tags", True, told, f"{page}: protected tags: *")
