"""What GitLab's settings let through: the project's ways to merge, protected branches and tags, and where the judge comes from."""

from __future__ import annotations

from typing import Any

from gitops_registry.forge.interface import Guarded, Setting
from gitops_registry.forge.reading import dig, entries, text

_MAINTAINER = 40
"""The number of that access level; 0 is no one, 30 whoever develops."""


def merging(project: Any, guarded: Guarded, page: str) -> list[Setting]:
    """Return how merge requests land, and what must hold before one may."""
    where = f"{page}/merge_requests"
    way, squash = text(project, "merge_method"), text(project, "squash_option")
    found = [
        Setting(
            "merges",
            True,
            f"merge requests land by {'fast-forward' if way == 'ff' else way or 'an unknown way'}, without a commit that decides",
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
    elsewhere = "@" in text(project, "ci_config_path") or text(project, "ci_config_path").startswith("https://")
    if elsewhere:
        return Setting(
            "workflow", False, "the pipeline's configuration is kept in another project: writers cannot replace it"
        )
    told = "a branch brings its own .gitlab-ci.yml: the judge can be replaced by whoever writes"
    return Setting("workflow", True, told, f"{page}/ci_cd: CI/CD configuration file: .gitlab-ci.yml@group/project")


def branch_rule(rule: Any, branch: str, page: str) -> list[Setting]:
    """Return who may change the branch beside merge requests (`rule` is its protection, None without any)."""
    if rule is None:
        return [
            Setting(
                "pushes",
                True,
                f"{branch} is not protected: it takes pushes, rewriting and deletion",
                f"{page}: protected branches",
            )
        ]
    levels = [dig(one, "access_level") for one in entries(rule, "push_access_levels")]
    pushes = any(level != 0 for level in levels) or not levels
    told = f"{branch} takes pushes beside merge requests" if pushes else f"{branch} changes through merge requests only"
    forced = dig(rule, "allow_force_push") is True
    merges = [dig(one, "access_level") for one in entries(rule, "merge_access_levels")]
    wide = any(isinstance(level, int) and 0 < level < _MAINTAINER for level in merges)
    return [
        Setting("pushes", pushes, told, f"{page}: allowed to push and merge: no one" if pushes else ""),
        Setting("rewriting", forced, f"{branch} {'may' if forced else 'cannot'} be rewritten by a forced push", f"{page}: disallow force push" if forced else ""),
        Setting("bypass", False, f"{'whoever develops' if wide else 'maintainers'} may merge what the pipeline lets through"),
    ]  # fmt: skip


def tag_rule(tags: list[Any], page: str) -> Setting:
    """Return whether a tag of a release, NAME@N, stays where it is: protected tags that take it in."""
    names = [text(one, "name") for one in tags]
    if any(name in {"*", "*@*"} for name in names):
        return Setting("tags", False, "tags of releases are protected")
    if names:
        told = f"only some tags are protected ({', '.join(names)}): releases are NAME@N"
        return Setting("tags", None, told, f"{page}: protected tags: *")
    return Setting("tags", True, "tags may be moved and deleted by whoever writes", f"{page}: protected tags: *")
