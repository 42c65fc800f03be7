"""A review as workflow commands of GitHub Actions, which become annotations on the files of a pull request.

Written so that the runner reads back what is meant: what people wrote can neither end a command nor start one.
"""

from __future__ import annotations

from gitops_registry.policy.report import Finding
from gitops_registry.reporting.review import Review, subject_of
from gitops_registry.reporting.values import clipped, plain

SUMMARY_LIMIT = 1024 * 1024
"""Bytes that GitHub takes as the summary of one step."""
ANNOTATIONS = 10
"""Annotations of one kind that GitHub shows of one step."""
_KINDS = ("error", "warning", "notice")
_LONGEST = 4_000
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


def commands(review: Review, *, most: int = ANNOTATIONS) -> list[str]:
    """Return one command a line, errors first, at most `most` of a kind; the last of a kind says how many were left out."""
    told = []
    for kind in _KINDS:
        found = [finding for finding in review.findings if _kind(review, finding) == kind]
        shown = found if len(found) <= most else found[: most - 1]
        told += [_command(review, kind, finding) for finding in shown]
        if len(found) > len(shown):
            message = f"{len(found) - len(shown)} more findings; the summary and the log of this step tell them"
            told.append(f"::{kind} title=gitops-registry::{_data(message)}")
    return told


def _kind(review: Review, finding: Finding) -> str:
    if finding in review.refused or finding.result == "error":
        return "error"
    return "warning" if finding.result == "warning" else "notice"


def _command(review: Review, kind: str, finding: Finding) -> str:
    properties: dict[str, str] = {}
    if finding.path:
        properties["file"] = finding.path
        properties |= {"line": str(finding.line)} if finding.line else {}
        properties |= {"col": str(finding.column)} if finding.line and finding.column else {}
    about = subject_of(finding)
    properties["title"] = f"{finding.rule} ({about})" if about else finding.rule
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    hint = f"\n{_shown(review.next_step(finding))}" if finding.hint else ""
    return f"::{kind} {told}::{_data(_shown(finding.message) + hint)}"


def _shown(text: str) -> str:
    return clipped(plain(text), _LONGEST).replace("##[", "## [")


def _data(text: str) -> str:
    return text.translate(_DATA)


def _property(text: str) -> str:
    return _shown(text).translate(_PROPERTY)
