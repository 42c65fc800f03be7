"""A pull request judged where it lives: with its reviews as approvals, and the verdict written where people look.

The head is read as data. What a queue of a forge made to try it counts only as far as it is the merge that we would make.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gitops_registry.approving import contribution
from gitops_registry.audit.decision import reason_of
from gitops_registry.deciding import Outcome, deciding, message_of
from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.evidence import gatherer, said_by
from gitops_registry.forge.interface import Forge, PullRequest, Status, Verdict
from gitops_registry.policy.check import check
from gitops_registry.policy.report import DECISION, Finding, Report, Spot
from gitops_registry.proposals import locate
from gitops_registry.reporting.markdown import MARKER, markdown
from gitops_registry.reporting.review import Review
from gitops_registry.vouching import asked, said_with
from gitops_registry.workplace import Workplace

STATUS = "registry/verdict"
"""The name of the status that a protected branch requires."""
_LONGEST = 140
"""Characters that every forge shows of a status."""


@dataclass(frozen=True)
class Weighed:
    """What the check says of a pull request (None where a head belongs to none), and the commits it was about."""

    report: Report
    base: str
    head: str
    request: PullRequest | None = None


def weigh(place: Workplace, forge: Forge, *, base: str, head: str, number: int | None = None) -> Weighed:
    """Judge `head` as it would land on `base`, with the reviews of its pull request: of a number, or the open one it is of.

    Raises Conflict where it cannot land, RegistryError where the pull request has another head by now.
    """
    tip, proposed = place.commit(base), place.commit(head)
    commit = place.repository.commit(proposed)
    tried = commit.parents[1] if len(commit.parents) == 2 and commit.parents[0] == tip else ""
    vouched = asked(forge, proposed, place.branch, number, [tried] if tried else [])
    before, after, changed = place.landed(tip, proposed)
    if vouched is None:
        said = said_by(place, tip, proposed, is_decision=False)
    else:
        said = said_with(place, vouched, tip, proposed)
    report = check(before, after, changed, gatherer(place, tip, said=said), place.engine)
    if tried and (unlike := _unlike(place, tip, tried, proposed)):
        report = replace(report, findings=(unlike, *report.findings))
    return Weighed(report, tip, proposed, vouched.request if vouched else None)


def _unlike(place: Workplace, tip: str, proposed: str, merge: str) -> Finding | None:
    """Return the finding that a merge is not the one that would be made of its proposal; None where it is."""
    hint = "bring the branch up to date, or let gitops-registry merge land it"
    try:
        wanted = place.landed(tip, proposed)[2]
    except RegistryError as error:
        return Finding.error(
            "landing", f"the forge joined what cannot land: {error.message}", error.hint or hint, Spot()
        )
    there = {(c.path, c.new_mode, c.new_oid) for c in place.repository.changed_paths(tip, merge)}
    if unlike := sorted(path for path, _, _ in there ^ {(c.path, c.new_mode, c.new_oid) for c in wanted}):
        message = f"the forge's merge is not the one that would be made here: {unlike[0]} differs"
        return Finding.error("landing", message, hint, Spot(unlike[0]))
    return None


def merge_there(place: Workplace, forge: Forge, branch: str, *, reason: str = "", dry_run: bool = False) -> Outcome:
    """Let a forge merge the pull request of a branch, if the check accepts it, and fetch what it made.

    Raises Conflict where the branch is not on top of the last decision (then a forge joins texts, not values) or moves
    meanwhile, RegistryError where what it made is not what was judged.
    """
    with deciding(place, dry_run=dry_run) as notes:
        _, head = locate(place, branch)
        tip = place.tip()
    if place.repository.merge_base(tip, head) != tip:
        raise Conflict(
            f"{branch} is not up to date with {place.branch}, and a forge would join the two as texts",
            hint="bring it up to date on the forge, or merge here: gitops-registry merge " + branch,
        )
    weighed = weigh(place, forge, base=tip, head=head)
    proposed = contribution(place.repository, head, tip)
    refusals = weighed.report.refusals(DECISION)
    outcome = Outcome(
        proposed.subject, weighed.report, refusals, proposal=branch, notes=tuple(notes), request=weighed.request
    )
    if refusals or dry_run:
        return outcome
    if weighed.request is None:
        raise RegistryError(f"no pull request of {branch} is open", hint="open one: promote … --pull-request")
    text = message_of(
        proposed.subject, reason_of(proposed), reason, f"Proposal: {branch}\nPull-Request: {weighed.request.url}"
    )
    made = forge.merge(weighed.request, head=head, message=text)
    with deciding(place, dry_run=False):
        commit = place.repository.commit(place.commit(made))
        if commit.tree != place.repository.commit(head).tree or commit.parents != (tip, head):
            raise RegistryError(
                f"{forge.kind} made {made[:12]}, which is not the merge that was judged",
                hint=f"look at it, and undo it where it is wrong: git show {made[:12]}; gitops-registry check --base {tip[:12]} --head {made[:12]} --landed",
            )
    said = f"merged on {forge.kind}: attested by {forge.kind}, not verifiable offline"
    return replace(outcome, proposal=None, commit=made, notes=(*notes, said))


def announce(forge: Forge, weighed: Weighed, review: Review, *, url: str = "") -> list[str]:
    """Write the verdict on the head, and the plan as the one comment of the pull request; return notes for whoever looks.

    `url` is where more is told. The status is set first: a comment that fails must not leave an old verdict.
    """
    forge.set_status(weighed.head, Status(STATUS, *told(review), url))
    if weighed.request is None:
        return []
    try:
        forge.comment(weighed.request, MARKER, markdown(review))
    except RegistryError as error:
        return [f"the comment could not be written: {error.message}"]
    return []


def give_up(forge: Forge, head: str, error: RegistryError, *, url: str = "") -> None:
    """Say on a commit that it could not be judged, in place of whatever was said before."""
    forge.set_status(head, Status(STATUS, "error", _short(f"could not be judged: {error.message}"), url))


def told(review: Review) -> tuple[Verdict, str]:
    """Return the verdict of a review and one line: pending where nothing but approvals is missing."""
    refusals = review.refusals
    if not refusals:
        return "success", _short(review.verdict)
    if set(refusals) <= set(review.report.waiting(DECISION)):
        return "pending", _short(f"waits: {refusals[0].message}")
    more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
    return "failure", _short(refusals[0].message, more)


def _short(text: str, more: str = "") -> str:
    plain = " ".join(text.split())
    room = _LONGEST - len(more)
    return (plain if len(plain) <= room else plain[: room - 1] + "…") + more
