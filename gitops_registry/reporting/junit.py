"""A review as JUnit XML, which every CI service shows as tests: a suite of the built-in rules and one for each policy.

A case fails where its rule refuses at this gate. Advice, and what nobody had to check, fails nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from gitops_registry.policy.report import Finding, Verdict
from gitops_registry.reporting.review import Review, subject_of
from gitops_registry.reporting.values import plain

BUILT_IN = "built-in rules"


def junit(review: Review, *, ascii_only: bool = False) -> str:
    """Return the review as a document that is to be written in UTF-8; with `ascii_only` any encoding will do."""
    root = ElementTree.Element("testsuites", name="gitops-registry")
    _suite(root, BUILT_IN, _built_in(review))
    for applied in review.policies:
        _suite(root, applied.policy, [_of_policy(review, verdict) for verdict in applied.verdicts])
    _count(root)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    if ascii_only:
        text = text.encode("ascii", "xmlcharrefreplace").decode("ascii")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(root: ElementTree.Element, name: str, cases: Iterable[ElementTree.Element]) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=plain(name))
    suite.extend(cases)
    _count(suite)


def _count(element: ElementTree.Element) -> None:
    for name, path in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(1 for _ in element.iter(path))))


def _built_in(review: Review) -> Iterable[ElementTree.Element]:
    """Yield a case for each built-in rule that ran, and for each that only a finding names."""
    by_rule: dict[str, list[Finding]] = {rule: [] for rule in review.report.rules}
    for finding in review.findings:
        if review.verdict_of(finding) is None:
            by_rule.setdefault(finding.rule, []).append(finding)
    for rule, found in by_rule.items():
        case = ElementTree.Element("testcase", classname="gitops-registry", name=plain(rule))
        refusing = [finding for finding in found if finding in review.refused]
        if refusing:
            _say(case, "failure", plain(refusing[0].message), refusing[0].result, _told(review, refusing))
        elif any(finding.result == "not-checked" for finding in found):
            _say(case, "skipped", "not checked", None, _told(review, found))
        rest = [finding for finding in found if finding not in review.refused]
        if rest and (refusing or len(case) == 0):
            ElementTree.SubElement(case, "system-out").text = _told(review, rest)
        yield case


def _told(review: Review, found: Sequence[Finding]) -> str:
    lines = []
    for finding in found:
        about = f"{subject_of(finding)}: " if finding.model else ""
        where = f" ({finding.where})" if finding.path else ""
        lines.append(plain(f"{about}{finding.message}{where}"))
        lines += [f"    {plain(review.next_step(finding))}"] if finding.hint else []
    return "\n".join(lines)


def _of_policy(review: Review, verdict: Verdict) -> ElementTree.Element:
    to = f" → {verdict.stage}" if verdict.stage else ""
    name = f"{verdict.rule} ({verdict.model}@{verdict.version}{to})"
    case = ElementTree.Element("testcase", classname=plain(verdict.policy), name=plain(name))
    if verdict.path:
        case.set("file", plain(verdict.path))
    has_step = verdict.needed and verdict.result not in {"pass", "skip"}
    lines = [verdict.message or verdict.result, f"to pass: {verdict.needed}" if has_step else ""]
    told = "\n".join(plain(line) for line in lines if line)
    if review.is_refusing(verdict):
        kind = "failure" if verdict.result == "fail" else "error"
        _say(case, kind, plain(lines[0]), verdict.result, told)
    elif verdict.result == "waived":
        until = f" until {verdict.until}" if verdict.until else ""
        by = f" by {verdict.waiver}" if verdict.waiver else ""
        _say(case, "skipped", plain(f"WAIVED{until}{by}"), None, told)
    elif verdict.result in {"skip", "not-checked"}:
        _say(case, "skipped", plain(verdict.message or verdict.result), None, told)
    elif verdict.result != "pass":
        ElementTree.SubElement(case, "system-out").text = f"advice: {told}"
    return case


def _say(case: ElementTree.Element, kind: str, message: str, of_type: str | None, text: str) -> None:
    said = ElementTree.SubElement(case, kind, message=message)
    if of_type is not None:
        said.set("type", of_type)
    said.text = text
