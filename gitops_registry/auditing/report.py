"""The report of one model as plain data: what happened to each version, who did what, what speaks for it, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gitops_registry.audit.decision import Event, entries_of
from gitops_registry.audit.entries import Entry
from gitops_registry.audit.proof import spelled
from gitops_registry.auditing.casebook import Case, Casebook, Deployment
from gitops_registry.card.words import PROSE, unfinished
from gitops_registry.policy.report import Verdict

GRADES = {
    "verified": "the signature of a member whose key the registry had then",
    "attested": "what a forge said, as a member who signed the decision wrote it down, or as the commit itself says",
    "recorded": "what the server wrote down",
    "claimed": "what the commit says of itself, proved by nothing",
}
"""What each grade means."""


def report(book: Casebook) -> dict[str, Any]:
    """Return the report of a model as JSON-ready data; the same history gives the same report."""
    last = book.decisions[-1] if book.decisions else None
    return {
        "model": book.name, "former_names": book.former_names, "registry": book.registry,
        "state": "deleted" if book.model.removed else "present", "title": book.model.title, "owners": list(book.model.owners),
        "head": book.tip, "last_decision": spelled(last.time) if last else None, "anchor": book.anchor.to_json(), "grades": GRADES,
        "versions": [_version(case) for case in book.cases],
        "people": _people(book.decisions),
        "other_events": [_entry(one) for event in book.decisions for one in entries_of(event) if not one.version],
        "gaps": list(_gaps(book)),
    }  # fmt: skip


def _version(case: Case) -> dict[str, Any]:
    return {
        "number": case.number, "state": case.state, "life": [_entry(entry) for entry in case.entries],
        "separation": [_separation(case, one) for one in case.deployments],
        "evidence": _evidence(case), "documentation": _documentation(case), "gaps": list(_version_gaps(case)),
    }  # fmt: skip


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id, "time": entry.time, "event": entry.event, "text": entry.text, "who": _who(entry.signer, entry.actor),
        "role": entry.role or None, "grade": entry.grade, "proof": entry.proof, "commit": entry.commit, "reason": entry.reason or None,
        "approved_by": [{"member": one.member, "role": one.role or None, "grade": one.grade} for one in entry.approvers],
        "pull_request": entry.pull_request or None,
    }  # fmt: skip


def _who(signer: str, claimed: str) -> str:
    return signer or f"{claimed} (claimed)"


# ── who did what


def _people(found: Sequence[Event]) -> list[dict[str, Any]]:
    """Return whoever decided or approved anything, with the roles that they had then, and how often they did what."""
    people: dict[str, dict[str, Any]] = {}
    for event in found:
        person = _person(people, _who(event.signer, event.commit.author), event.role, event.grade)
        for entry in entries_of(event):
            person["did"][entry.event] = person["did"].get(entry.event, 0) + 1
        for author in event.authors:
            wrote = _person(
                people, author.name if author.grade == "verified" else _who("", author.name), author.role, author.grade
            )
            wrote["did"]["proposed"] = wrote["did"].get("proposed", 0) + 1
        for one in event.approvals or ():
            other = _person(people, one.member or "nobody known", one.role, one.grade)
            word = (
                "rejected" if one.is_rejection else "approved" if not one.problem else "approved, which does not count"
            )
            other["did"][word] = other["did"].get(word, 0) + 1
    return sorted(people.values(), key=lambda one: one["name"])


def _person(people: dict[str, dict[str, Any]], name: str, role: str, grade: str) -> dict[str, Any]:
    person = people.setdefault(name, {"name": name, "roles": [], "grades": [], "did": {}})
    for key, value in (("roles", role), ("grades", grade)):
        if value and value not in person[key]:
            person[key].append(value)
    return person


def _separation(case: Case, one: Deployment) -> dict[str, Any]:
    """Return whether somebody else than whoever registered a version agreed to its deployment: yes, no, or nobody can know."""
    registered = [who.name for who in case.registrants]
    approvers = [approval.member for approval in one.approvals]
    decided = one.event.signer
    proved = {
        name
        for name in (
            *(who.name for who in case.registrants if who.grade == "verified"),
            decided,
            *(a.member for a in one.approvals if a.grade == "verified"),
        )
        if name
    }
    others = [name for name in dict.fromkeys((*approvers, decided)) if name and name not in registered]
    verdict = "not known" if not case.is_proved else "yes" if others else "no"
    if one.event.approvals is None or (one.event.attested and verdict == "no"):
        verdict = "not known"
    return {
        "commit": one.event.commit.oid, "time": spelled(one.event.time), "stage": one.stage, "registered_by": ", ".join(registered) or None,
        "decided_by": decided or None, "approved_by": approvers, "people": len(proved), "separated": verdict,
        "words": [approval.to_json() for approval in one.event.approvals or ()],
    }  # fmt: skip


# ── what speaks for it


def _evidence(case: Case) -> dict[str, Any]:
    facts = case.facts
    return {
        "metrics": [_metric(case, name, value) for name, value in (facts.metrics if facts else {}).items()],
        "measurements": [
            {"time": spelled(one.created), "by": one.author.name, "dataset": one.dataset.dataset, "rows": one.dataset.rows, "metrics": dict(one.metrics)}
            for one in case.evaluations if one.metrics
        ],
        "policies": [{"commit": one.event.commit.oid, "stage": one.stage, "results": _results(one.verdicts)} for one in case.deployments],
        "waivers": [
            {"policy": v.policy, "rule": v.rule, "waiver": v.waiver, "until": v.until, "commit": one.event.commit.oid}
            for one in case.deployments for v in one.verdicts or () if v.result == "waived"
        ],
        "artifacts": [{"file": one.file, "format": one.format, "size": one.size, "sha256": one.sha256} for one in (facts.artifacts if facts else ())],
    }  # fmt: skip


def _metric(case: Case, name: str, value: float) -> dict[str, Any]:
    """Return a metric as it was registered (claimed, or measured by `register`), and as it was measured last since."""
    assert case.facts is not None
    later = [one for one in case.evaluations if name in one.metrics]
    again = later[-1] if later else None
    return {
        "name": name, "registered": value, "kind": "claimed" if name in case.facts.claimed else "measured when it was registered",
        "measured_again": again.metrics[name] if again else None, "measured_on": again.dataset.dataset if again else None,
        "measured_at": spelled(again.created) if again else None, "difference": again.metrics[name] - value if again else None,
    }  # fmt: skip


def _results(verdicts: Sequence[Verdict] | None) -> list[dict[str, Any]] | str:
    return "not-checked" if verdicts is None else [one.to_json() for one in verdicts]


def _documentation(case: Case) -> dict[str, bool] | None:
    """Return which fields of the card say something; None where there is no card to look at."""
    if case.facts is None:
        return None
    empty = unfinished(case.card, PROSE)
    return {name: name not in empty for name in PROSE}


# ── what is not known


def _version_gaps(case: Case) -> Iterator[str]:
    if case.problem:
        yield f"its files cannot be read: {case.problem}"
    elif case.facts is None:
        yield "its files are not in the history"
    if case.registration is None:
        yield "its registration is not in the history"
    elif not case.is_proved:
        yield "nobody proved who registered it"
    claimed = [
        name
        for name in (case.facts.claimed if case.facts else ())
        if not any(name in one.metrics for one in case.evaluations)
    ]
    if claimed:
        yield f"claimed, and never measured since: {', '.join(claimed)}"
    if case.facts is not None and not case.evaluations:
        yield "it was not measured again since it was registered"
    for event in case.decisions:
        if any(change.kind == "immutable_violated" for change in event.changes):
            yield f"its facts were changed in {event.commit.oid[:12]}, after it was registered"
    for one in case.deployments:
        yield from _deployment_gaps(one, f"to {one.stage} in {one.event.commit.oid[:12]}")


def _deployment_gaps(one: Deployment, where: str) -> Iterator[str]:
    if one.event.approvals is None:
        yield f"who approved the move {where} cannot be read"
    elif not one.approvals:
        yield f"nobody's approval counts for the move {where}"
    if one.event.grade != "verified":
        yield f"nobody proved who decided the move {where}: {one.event.proof}"
    if one.verdicts is None:
        yield f"the policies of the time of the move {where} could not be asked again"
    for verdict in one.verdicts or ():
        if verdict.result in {"fail", "error", "not-checked"}:
            yield f"{verdict.policy}/{verdict.rule} comes to {verdict.result} for the move {where}"


def _gaps(book: Casebook) -> Iterator[str]:
    if not book.anchor.is_there:
        yield str(book.anchor)
    for event in book.decisions:
        if event.problem:
            yield f"what {event.commit.oid[:12]} changed cannot be read: {event.problem}"
    yield "pushes that were refused are on record on the server alone, for all models together: gitops-registry log --event access_denied"
    yield "policies were judged again now, with the rules of their time; whether bytes were in the store then nobody can know"
