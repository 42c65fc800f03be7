"""A review as SARIF 2.1.0, the format of code scanning: the rules that ran, and a result for each finding.

A result is known again by what it says about what, not by its line, so it stays the same alert when lines shift.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

from gitops_registry import paths
from gitops_registry.policy import invariants
from gitops_registry.policy.check import DECISIONS, INVARIANTS
from gitops_registry.policy.report import Finding, Rule, Verdict
from gitops_registry.reporting.review import Review, rule_of, subject_of
from gitops_registry.reporting.values import plain

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "gitopsRegistryFinding/v1"
_RULES: dict[str, Rule] = {"schema": invariants.schema, **INVARIANTS, **DECISIONS}
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def sarif(review: Review, *, release: str) -> dict[str, Any]:
    """Return the review as one run of a SARIF log; `release` is the version of this package."""
    rules = _rules(review)
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    seen: Counter[str] = Counter()
    run = {
        "tool": {
            "driver": {
                "name": "gitops-registry",
                "version": release,
                "rules": rules,
            }
        },
        "automationDetails": {"id": f"gitops-registry/{'change' if review.base else 'registry'}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "exitCode": 1 if review.refusals else 0}],
        "results": [_result(review, finding, index, seen) for finding in review.findings],
        "properties": _properties(review),
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rules(review: Review) -> list[dict[str, Any]]:
    """Return every rule that ran, and those that only a finding names, each once."""
    told = {name: _built_in(name) for name in review.report.rules}
    for verdict in review.report.verdicts:
        told.setdefault(rule_of(verdict), _of_policy(verdict))
    for finding in review.report.findings:
        told.setdefault(finding.rule, _built_in(finding.rule))
    return list(told.values())


def _built_in(name: str) -> dict[str, Any]:
    meaning = " ".join(((_RULES[name].__doc__ if name in _RULES else None) or f"The rule {name}.").split())
    first = meaning.split(". ")[0].rstrip(".") + "."
    return {
        "id": plain(name),
        "shortDescription": {"text": plain(first)},
        "fullDescription": {"text": plain(meaning)},
        "help": {"text": f"{plain(meaning)} Each result says what would pass. Look again: gitops-registry check"},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["gitops-registry", "built-in"]},
    }


def _of_policy(verdict: Verdict) -> dict[str, Any]:
    where = f" It stands in {plain(verdict.path)}, line {verdict.line}." if verdict.path else ""
    said = f"Rule {plain(verdict.rule)} of policy {plain(verdict.policy)}"
    return {
        "id": plain(rule_of(verdict)),
        "shortDescription": {"text": f"{said}."},
        "fullDescription": {"text": f"{said}, {verdict.enforcement}.{where}"},
        "help": {"text": f"{said}, {verdict.enforcement}.{where} Each result says what would pass."},
        "defaultConfiguration": {"level": "warning" if verdict.enforcement == "advisory" else "error"},
        "properties": {"tags": ["gitops-registry", "policy"], "enforcement": verdict.enforcement},
    }


def _result(review: Review, finding: Finding, index: dict[str, int], seen: Counter[str]) -> dict[str, Any]:
    verdict = review.verdict_of(finding)
    about = subject_of(finding)
    message = plain(f"{about}: {finding.message}" if about else finding.message)
    result: dict[str, Any] = {
        "ruleId": plain(finding.rule),
        "ruleIndex": index[plain(finding.rule)],
        **_weight(review, finding),
        "message": {"text": f"{message}\n{plain(review.next_step(finding))}" if finding.hint else message},
        "locations": [_location(finding, plain(about))],
        "partialFingerprints": _fingerprints(finding, seen),
        "properties": _facts(finding, verdict),
    }
    if verdict is not None and verdict.path:
        place = {"artifactLocation": _artifact(verdict.path), "region": {"startLine": max(verdict.line, 1)}}
        result["relatedLocations"] = [{"id": 1, "message": {"text": "the rule"}, "physicalLocation": place}]
    if verdict is not None and verdict.result == "waived":
        until = f" until {verdict.until}" if verdict.until else ""
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": plain(f"waived by {verdict.waiver}{until}")}
        ]
    return result


def _weight(review: Review, finding: Finding) -> dict[str, str]:
    """Return level and kind: what nobody checked is an open question, unless it refuses."""
    if finding in review.refused or finding.result == "error":
        return {"level": "error", "kind": "fail"}
    return {"level": "warning", "kind": "fail"} if finding.result == "warning" else {"level": "none", "kind": "open"}


def _location(finding: Finding, about: str) -> dict[str, Any]:
    """Return where a finding is shown: of a file as such its first line, and without a file the constitution."""
    region = {"startLine": max(finding.line, 1)}
    if finding.line and finding.column:
        region["startColumn"] = finding.column
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": _artifact(finding.path or paths.CONSTITUTION),
            "region": region,
        }
    }
    if about:
        location["logicalLocations"] = [{"fullyQualifiedName": about}]
    return location


def _artifact(path: str) -> dict[str, str]:
    """Return a path of the repository as a URI below its root."""
    octets = path.encode("utf-8", "surrogateescape")
    uri = "".join(chr(octet) if octet in _UNRESERVED else f"%{octet:02X}" for octet in octets)
    return {"uri": uri, "uriBaseId": "%SRCROOT%"}


def _fingerprints(finding: Finding, seen: Counter[str]) -> dict[str, str]:
    """Return what a finding is known by wherever its line is; two of the same are told apart by their order."""
    parts = [finding.rule, finding.model, finding.version, finding.path, finding.message]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    seen[digest] += 1
    # The second name is the one that GitHub's code scanning reads.
    return {FINGERPRINT: f"{digest}:{seen[digest]}", "primaryLocationLineHash": f"{digest[:16]}:{seen[digest]}"}


def _facts(finding: Finding, verdict: Verdict | None) -> dict[str, Any]:
    told = {
        key: value for key, value in finding.to_json().items() if key in {"result", "hint", "model", "version", "fact"}
    }
    if verdict is not None:
        told["verdict"] = verdict.to_json()
    return told


def _properties(review: Review) -> dict[str, Any]:
    return {
        "ok": not review.refusals,
        "verdict": review.verdict,
        "base": review.base,
        "head": review.head,
        "moves": [move.to_json() for move in review.report.moves],
        "policies": {applied.policy: dict(applied.counts) for applied in review.policies},
    }
