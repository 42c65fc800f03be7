"""What GitHub's settings let through: rulesets, the older branch protection, and how it merges.

Rulesets are shown to whoever may read; the older protection to administrators only, but for the checks it requires.
What holds in either holds. What could not be read is never said to hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitops_registry.errors import NotFound
from gitops_registry.forge.http import Api
from gitops_registry.forge.interface import Guarded, Refused, Setting
from gitops_registry.forge.reading import dig, entries, part, text

_ROLES = {1: "read", 2: "maintain", 3: "triage", 4: "write", 5: "admin"}
_ACTIONS = "github-actions"
_OWN = ("registry", "validate")
"""What the file of the workflow that judges is named after."""


@dataclass(frozen=True)
class _Rules:
    """What guards a branch: the rules of rulesets, and the older protection, as far as the token may read it (None: none).

    `page` is that of the repository's settings.
    """

    branch: str
    status: str
    page: str
    found: list[Any]
    protection: Any
    is_whole: bool

    def of(self, kind: str) -> list[Any]:
        """Return the parameters of the rules of a kind."""
        return [dig(rule, "parameters") or {} for rule in self.found if text(rule, "type") == kind]

    def setting(self, what: str, *, holds: bool, said: tuple[str, str], step: str) -> Setting:
        """Return a setting that holds or is open, in the one sentence or the other; not known where not all could be read."""
        if holds:
            return Setting(what, False, said[0])
        where = f"{self.page}/rules: a ruleset for {self.branch}: {step}"
        if self.is_whole:
            return Setting(what, True, said[1], where)
        return Setting(
            what, None, f"{said[1]}, unless the older branch protection forbids it: only administrators see that", where
        )


def github_settings(api: Api, here: str, guarded: Guarded, page: str) -> list[Setting]:
    """Return the settings of a repository (`here` is its path in the API, `page` that of its settings for people)."""
    repository = api.get(here)
    found = list(api.pages(f"{here}/rules/branches/{part(guarded.branch)}", per_page=100))
    rules = _Rules(guarded.branch, guarded.status, page, found, *_protection(api, here, guarded.branch))
    tags = [
        _ruleset(api, here, dig(one, "id"))
        for one in api.pages(f"{here}/rulesets", per_page=100, includes_parents="true", targets="tag")
        if text(one, "target") == "tag" and text(one, "enforcement") == "active"
    ]
    return [
        _merges(repository, rules),
        *_pushes(rules),
        *_verdict(api, rules),
        _up_to_date(rules),
        _reviews(rules),
        _bypass(api, here, rules, tags),
        _tags(tags, page),
    ]


def _protection(api: Api, here: str, branch: str) -> tuple[Any, bool]:
    """Return the older kind of protection, and whether that is all of it: 404 is said of none, and to who is no administrator."""
    try:
        return api.get(f"{here}/branches/{part(branch)}/protection"), True
    except NotFound:
        pass
    except Refused as error:
        if error.status not in {401, 403}:
            raise
    shown, is_shown = _shown(api, f"{here}/branches/{part(branch)}")
    if not is_shown:
        return None, False
    if shown is None or dig(shown, "protection", "enabled") is False:
        return None, True
    return {"required_status_checks": dig(shown, "protection", "required_status_checks")}, False


def _shown(api: Api, path: str, **params: Any) -> tuple[Any, bool]:
    """Return what is at a path (None where nothing is), and whether the token may look."""
    try:
        return api.find(path, **params), True
    except Refused as error:
        if error.status != 403:
            raise
        return None, False


def _ruleset(api: Api, here: str, oid: Any) -> Any:
    is_number = isinstance(oid, int) and not isinstance(oid, bool)
    return _shown(api, f"{here}/rulesets/{oid}", includes_parents="true")[0] if is_number else None


def _merges(repository: Any, rules: _Rules) -> Setting:
    """Whether what lands is a merge commit, by the button and by the queue."""
    where = f"{rules.page}: allow merge commits only"
    if (
        rules.of("required_linear_history")
        or _has(rules, "required_linear_history")
        or [one for one in rules.found if text(one, "type") == "required_linear_history"]
    ):
        message = f"{rules.branch} must be linear, so no proposal can land as the merge commit that a decision is"
        return Setting("merges", True, message, f"{rules.page}/rules: do not require linear history")
    queues = {text(one, "merge_method").upper() for one in rules.of("merge_queue")} - {"MERGE"}
    if queues:
        message = f"the merge queue lands by {' and '.join(sorted(queues)).lower() or 'something else'}, which leaves what was reviewed out of the history"
        return Setting("merges", True, message, f"{rules.page}/rules: merge queue: merge method: merge commit")
    if dig(repository, "allow_squash_merge") is None or dig(repository, "allow_merge_commit") is None:
        return Setting("merges", None, "how pull requests may be merged is not shown to this token", where)
    allowed = [methods for rule in rules.of("pull_request") if (methods := entries(rule, "allowed_merge_methods"))]
    names = {"merge": "allow_merge_commit", "squash": "allow_squash_merge", "rebase": "allow_rebase_merge"}
    ways = [way for way, name in names.items() if dig(repository, name) is True]
    ways = [way for way in ways if all(way in methods for methods in allowed)]
    if "merge" not in ways:
        message = "pull requests may not land as merge commits, and a decision is one"
        return Setting("merges", True, message, where)
    if others := [way for way in ways if way != "merge"]:
        message = (
            f"pull requests may be merged by {' and '.join(others)}, which leaves what was reviewed out of the history"
        )
        return Setting("merges", True, message, where)
    return Setting("merges", False, "pull requests land as merge commits only")


def _has(rules: _Rules, name: str) -> bool:
    return dig(rules.protection, name, "enabled") is True


def _pushes(rules: _Rules) -> list[Setting]:
    branch = rules.branch
    kinds = {text(rule, "type") for rule in rules.found}
    through = "pull_request" in kinds or dig(rules.protection, "required_pull_request_reviews") is not None
    kept = dig(rules.protection, "allow_force_pushes", "enabled") is False
    stays = dig(rules.protection, "allow_deletions", "enabled") is False
    return [
        rules.setting(
            "pushes", holds=through, step="require a pull request before merging",
            said=(f"{branch} changes through pull requests only", f"{branch} takes pushes beside pull requests"),
        ),
        rules.setting(
            "rewriting", holds="non_fast_forward" in kinds or kept, step="block force pushes",
            said=(f"{branch} cannot be rewritten", f"{branch} may be rewritten by a forced push"),
        ),
        rules.setting(
            "deletion", holds="deletion" in kinds or stays, step="restrict deletions",
            said=(f"{branch} cannot be deleted", f"{branch} may be deleted"),
        ),
    ]  # fmt: skip


def _verdict(api: Api, rules: _Rules) -> list[Setting]:
    """Whether the verdict is required, and whether somebody who writes could give it in its place."""
    checks = [c for rule in rules.of("required_status_checks") for c in entries(rule, "required_status_checks")]
    old = dig(rules.protection, "required_status_checks")
    checks += entries(old, "checks") or [{"context": name} for name in entries(old, "contexts")]
    named = [check for check in checks if text(check, "context") == rules.status]
    workflows = [text(one, "path") for rule in rules.of("workflows") for one in entries(rule, "workflows")]
    judges = [path for path in workflows if any(word in path.rpartition("/")[2].lower() for word in _OWN)]
    said = f"the status {rules.status} is required" if named else f"the workflow {', '.join(judges)} is required"
    found = rules.setting(
        "verdict", holds=bool(named or judges), said=(said, f"nothing requires the status {rules.status}"),
        step=f"require status checks to pass: {rules.status}",
    )  # fmt: skip
    return [found, *_judge(api, rules, named, judges)]


def _judge(api: Api, rules: _Rules, named: list[Any], judges: list[str]) -> list[Setting]:
    repair = (
        "an organisation's ruleset: require workflows to pass before merging; or let an app of your own set the status"
    )
    if judges:
        message = f"the workflow {', '.join(judges)} is required by a ruleset: writers cannot replace it"
        return [Setting("workflow", False, message)]
    if not named:
        return []
    sources = [dig(one, "integration_id") or dig(one, "app_id") for one in named]
    apps = [source for source in sources if isinstance(source, int) and not isinstance(source, bool) and source > 0]
    if not apps:
        message = f"whoever may write can set {rules.status}: it is taken from any source"
        return [Setting("workflow", True, message, repair)]
    actions = dig(_shown(api, f"apps/{_ACTIONS}")[0], "id")  # another number on every Enterprise Server
    if not isinstance(actions, int):
        return [Setting("workflow", None, f"which app {rules.status} must come from ({apps[0]}) is not told", repair)]
    if set(apps) == {actions}:
        message = f"whoever may push a branch can let a workflow of their own set {rules.status}"
        return [Setting("workflow", True, message, repair)]
    return [Setting("workflow", False, f"{rules.status} counts from app {max(set(apps) - {actions})} only")]


def _up_to_date(rules: _Rules) -> Setting:
    strict = any(dig(one, "strict_required_status_checks_policy") is True for one in rules.of("required_status_checks"))
    strict = strict or dig(rules.protection, "required_status_checks", "strict") is True
    queued = bool(rules.of("merge_queue"))
    return rules.setting(
        "up to date", holds=queued or strict, step="a merge queue, or require branches to be up to date",
        said=(
            "a merge queue tries each merge" if queued else "branches must be up to date before they land",
            "a branch may land on another base than it was judged on",
        ),
    )  # fmt: skip


def _reviews(rules: _Rules) -> Setting:
    """What GitHub itself asks of reviews: never open, for the verdict counts approvals anyway."""
    asked = [*rules.of("pull_request"), dig(rules.protection, "required_pull_request_reviews") or {}]
    counts = [count for one in asked if isinstance(count := dig(one, "required_approving_review_count"), int)]
    dismissed = any(
        dig(one, name) is True for one in asked for name in ("dismiss_stale_reviews", "dismiss_stale_reviews_on_push")
    )
    if max(counts, default=0) > 0:
        more = ", and dismisses them when commits come" if dismissed else ""
        return Setting("reviews", False, f"GitHub itself asks for {max(counts)} approving review(s) too{more}")
    if not rules.is_whole:
        return Setting(
            "reviews", None, "whether GitHub itself asks for reviews is shown to administrators only", rules.page
        )
    return Setting("reviews", False, "GitHub itself asks for no review; approvals are asked for by the verdict")


def _bypass(api: Api, here: str, rules: _Rules, tags: list[Any]) -> Setting:
    """Who is exempt: bypass actors of the rulesets that hold, and whom the older protection lets through."""
    oids = dict.fromkeys(oid for rule in rules.found if isinstance(oid := dig(rule, "ruleset_id"), int))
    rulesets = [*(_ruleset(api, here, oid) for oid in oids), *tags]
    is_hidden = any(not isinstance(dig(one, "bypass_actors"), list) for one in rulesets)  # shown to who may change it
    exempt = [
        f"{_actor(actor)} of the ruleset {text(one, 'name')}"
        for one in rulesets
        for actor in entries(one, "bypass_actors")
    ]
    if rules.is_whole and rules.protection is not None:
        if dig(rules.protection, "enforce_admins", "enabled") is not True:
            exempt.append("administrators")
        through = dig(rules.protection, "required_pull_request_reviews", "bypass_pull_request_allowances")
        for kind, name in (("users", "login"), ("teams", "slug"), ("apps", "slug")):
            exempt += [text(one, name) or kind for one in entries(through, kind)]
    where = f"{rules.page}/rules"
    if exempt:
        message = f"exempt from all of it: {', '.join(dict.fromkeys(exempt))}"
        return Setting("bypass", True, message, f"{where}: take them off the bypass list; do not allow bypassing")
    if is_hidden or not rules.is_whole:
        return Setting("bypass", None, "who may bypass the rules is shown to administrators only", where)
    if not rules.found and rules.protection is None:
        return Setting("bypass", True, "there is no rule that anybody would have to bypass", where)
    return Setting("bypass", False, "nobody is exempt")


def _actor(actor: Any) -> str:
    kind, oid = text(actor, "actor_type"), dig(actor, "actor_id")
    if kind == "RepositoryRole" and isinstance(oid, int):
        return f"who has the role {_ROLES.get(oid, oid)}"
    return f"{kind or 'somebody'} {oid}" if isinstance(oid, int) and kind != "OrganizationAdmin" else kind or "somebody"


def _tags(tags: list[Any], page: str) -> Setting:
    """Whether a tag stays where it is: rulesets that forbid to move and to delete all of them."""
    holding = [one for one in tags if {"update", "deletion"} <= {text(rule, "type") for rule in entries(one, "rules")}]
    where = f"{page}/rules: a ruleset for all tags: restrict updates and deletions"
    whole = [one for one in holding if "~ALL" in entries(one, "conditions", "ref_name", "include")]
    if any(not entries(one, "conditions", "ref_name", "exclude") for one in whole):
        return Setting("tags", False, "no tag can be moved or deleted")
    if holding:
        kept = dict.fromkeys(str(name) for one in holding for name in entries(one, "conditions", "ref_name", "include"))
        return Setting(
            "tags", None, f"only some tags stay where they are ({', '.join(kept)}): releases are NAME@N", where
        )
    if None in tags:
        return Setting("tags", None, "a ruleset for tags is there, and not shown to this token", where)
    return Setting("tags", True, "tags may be moved and deleted by whoever writes", where)
