"""The page of policies: rules in words, what their tests came to, waivers and until when they lift what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitops_registry.governing import Tested, tested_in, waivers_of
from gitops_registry.manifest.policies import Policy, Rule
from gitops_registry.policy.rulebook import rulebook
from gitops_registry.policy.wording import outline_of, words_of
from gitops_registry.site.contents import Contents
from gitops_registry.workplace import Workplace


def policies_page(place: Workplace, site: Contents, words: Mapping[str, str]) -> dict[str, Any]:
    """Return the policies in order of name, each with its rules (also in words) and tests, and all waivers. Runs the tests.

    Raises RegistryError where the engine of policies cannot be had.
    """
    book = rulebook(site.snapshot)
    results = tested_in(place, site.snapshot, book)
    policies = [_policy(sheet.policy, results, words) for sheet in book.sheets]
    told = dict.fromkeys((one.path, one.message) for one in (*book.broken, *results.findings) if one.path)
    broken = [{"path": path, "message": message} for path, message in told]
    return {"policies": policies, "problems": broken, "waivers": waivers_of(site.snapshot)}


def _policy(policy: Policy, results: Tested, words: Mapping[str, str]) -> dict[str, Any]:
    match = policy.match
    mine = [one for one in results.tried if one.policy == policy.name]
    return {
        "name": policy.name, "description": policy.description, "params": dict(policy.params),
        "match": {
            "events": list(match.events), "to": list(match.to), "aliases": list(match.aliases), "models": list(match.models),
            "tags": dict(match.tags), "conditions": [one.expression for one in policy.match_conditions],
        },
        "variables": [{"name": one.name, "expression": one.expression} for one in policy.variables],
        "rules": [_rule(rule, policy.params, words) for rule in policy.validations],
        "tests": [one.to_json() for one in mine],
    }  # fmt: skip


def _rule(rule: Rule, params: Mapping[str, Any], words: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a rule. `words` are what somebody wrote of it, else what its expression says in words; empty for want of any."""
    said = rule.message or outline_of(rule.message_expression or "")
    return {
        "id": rule.id, "words": rule.description or words_of(rule.expression, params, words), "said": said,
        "expression": rule.expression, "message": rule.message, "message_expression": rule.message_expression,
        "hint": rule.hint, "enforcement": rule.enforcement, "on_rollback": rule.on_rollback,
    }  # fmt: skip
