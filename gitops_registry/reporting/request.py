"""The text of a pull request: why, the plan as it was judged, what a reviewer looks at, and where the cards are.

What people write above and below our part stays, and so do the boxes they ticked as long as the plan is the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gitops_registry.changes import plan_digest
from gitops_registry.policy.report import Finding
from gitops_registry.reporting.markdown import MARKER, code, escaped, markdown
from gitops_registry.reporting.review import Review

END = "<!-- gitops-registry: end of the plan -->"
LIMIT = 60_000
"""Bytes; GitHub takes 65,536 characters, and people write something too."""
_START = re.compile(r"<!-- gitops-registry: plan ([0-9a-f]{64}) -->")
_BOX = re.compile(r"^- \[[xX]\] (.+)$", re.MULTILINE)


def body(review: Review, *, reason: str, cards: Mapping[str, str], waiting: Sequence[Finding], old: str = "") -> str:
    """Return the text of a pull request; `cards` are `name@number` → address, `waiting` what is still to come, like approvals.

    `old` is the text as it is now: what people wrote around ours is kept.
    """
    digest = plan_digest(review.report.changes)
    start = _START.search(old)
    is_same = start is not None and start[1] == digest
    ticked = set(_BOX.findall(old)) if is_same else set()
    above, below = _around(old)
    told = markdown(review, limit=LIMIT).replace(f"{MARKER}\n\n", "", 1)
    parts = [
        f"<!-- gitops-registry: plan {digest} -->",
        "\n".join(f"> {escaped(line)}" for line in reason.splitlines() if line.strip()),
        told.strip(),
        "### Before it lands",
        "\n".join(_box(line, ticked) for line in _checklist(review, cards, waiting)),
        f"Plan {code(digest[:12])}. Approve it with a review, or with {code('gitops-registry approve')}; a review holds for this plan only.",
        END,
    ]
    ours = "\n\n".join(part for part in parts if part)
    return "\n\n".join(part for part in (above, ours, below) if part) + "\n"


def _around(old: str) -> tuple[str, str]:
    """Return what people wrote above and below our part."""
    start = _START.search(old)
    if start is None:
        return "", old.strip()
    end = old.find(END, start.end())
    below = old[end + len(END) :] if end >= 0 else ""
    return old[: start.start()].strip(), below.strip()


def _box(line: str, ticked: set[str]) -> str:
    return f"- [{'x' if line in ticked else ' '}] {line}"


def _checklist(review: Review, cards: Mapping[str, str], waiting: Sequence[Finding]) -> list[str]:
    """What nobody but a person can say, of the things that change."""
    kinds = {change.kind for change in review.report.changes}
    lines = [f"the card says what it is for and what it is not: [{name}]({url})" for name, url in cards.items()]
    if kinds & {"stage_transition", "alias_set"}:
        lines.append("whoever uses it knows that it changes, and when")
        lines.append("it is clear how to go back: a rollback is one command and another pull request")
    if kinds & {"version_deleted", "model_deleted"}:
        lines.append("nobody needs it any more")
    if kinds & {"policy_changed", "permission_changed", "registry_changed"}:
        lines.append("the rules change for everybody, and this is meant")
    lines += [escaped(finding.message) for finding in waiting]
    return list(dict.fromkeys(lines)) or ["it does what its title says"]
