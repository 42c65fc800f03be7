"""A report as a page or as Markdown. What people wrote is text in both, whatever signs it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from gitops_registry.reporting.markdown import escaped, row
from gitops_registry.reporting.values import plain


def html(report: Mapping[str, Any]) -> str:
    """Return a report as one page without script, frames or anything from elsewhere."""
    from jinja2 import Environment, StrictUndefined

    shown = lambda value: value if hasattr(value, "__html__") else plain(value)  # noqa: E731
    made = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True, finalize=shown)
    file = resources.files("gitops_registry") / "templates" / "audit" / "report.html.j2"
    return made.from_string(file.read_text(encoding="utf-8")).render(r=report)


def markdown(report: Mapping[str, Any]) -> str:
    """Return a report as Markdown that a forge shows and does not act on."""
    return "\n\n".join(part for part in _parts(report) if part) + "\n"


def _parts(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Audit report: {escaped(report['model'])}"
    yield _table(("", ""), [
        ("registry", report["registry"]), ("state", report["state"]), ("former names", report["former_names"] or None),
        ("owners", report["owners"] or None), ("last decision", report["last_decision"]), ("commit", report["head"]),
        ("anchor", report["anchor"]["text"]),
    ])  # fmt: skip
    yield "## What is not known"
    yield _list(report["gaps"])
    yield "## Who did what"
    people = [(one["name"], one["roles"] or None, one["grades"], _counts(one["did"])) for one in report["people"]]
    yield _table(("who", "role then", "proof", "did"), people)
    for version in report["versions"]:
        yield from _version(version)
    if report["other_events"]:
        yield "## The model itself"
        yield _life(report["other_events"])
    yield "## What the grades mean"
    yield _table(("grade", "stands on"), list(report["grades"].items()))


def _version(version: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Version {version['number']} ({escaped(version['state'])})"
    yield _life(version["life"])
    if version["separation"]:
        yield "### Separation of duties"
        head = ("deployed", "to", "registered by", "approved by", "decided by", "somebody else agreed", "commit")
        yield _table(head, [
            (one["time"][:10], one["stage"], one["registered_by"], one["approved_by"] or None, one["decided_by"], one["separated"], one["commit"][:12])
            for one in version["separation"]
        ])  # fmt: skip
    evidence = version["evidence"]
    if evidence["metrics"]:
        yield "### Metrics as registered and as measured again"
        head = ("metric", "registered", "how", "measured again", "on", "when", "difference")
        keys = ("name", "registered", "kind", "measured_again", "measured_on", "measured_at", "difference")
        yield _table(head, [tuple(one[key] for key in keys) for one in evidence["metrics"]])
    for one in evidence["policies"]:
        yield f"### Policies for the move to {escaped(one['stage'])} in {escaped(one['commit'][:12])}"
        yield "not checked" if isinstance(one["results"], str) else _table(
            ("policy", "rule", "result", "said"),
            [(v["policy"], v["rule"], v["result"], v.get("message")) for v in one["results"]],
        )  # fmt: skip
    if evidence["waivers"]:
        yield "### Waivers"
        rows = [
            (one["policy"], one["rule"], one["waiver"], one["until"], one["commit"][:12]) for one in evidence["waivers"]
        ]
        yield _table(("policy", "rule", "waiver", "until", "commit"), rows)
    if version["documentation"] is not None:
        empty = [name for name, says in version["documentation"].items() if not says]
        yield f"### Documentation\n\nEmpty: {escaped(empty) if empty else 'nothing'}"
    yield "### Gaps"
    yield _list(version["gaps"])


def _life(life: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for one in life:
        approved = [f"{a['member']} ({a['role'] or 'no role'}, {a['grade']})" for a in one["approved_by"]]
        who = one["who"] + (f" ({one['role']})" if one["role"] else "")
        rows.append(
            (
                one["time"][:16].replace("T", " "),
                one["text"],
                who,
                approved or None,
                one["grade"],
                one["reason"],
                one["commit"][:12],
            )
        )
    return _table(("when", "what", "who", "approved by", "proof", "why", "commit"), rows)


def _counts(did: Mapping[str, int]) -> list[str]:
    return [f"{number} {what}" for what, number in did.items()]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return "\n".join([row(head), row(["---"] * len(head)), *(row([escaped(cell) for cell in cells]) for cells in rows)])


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(item)}" for item in items) or "nothing"
