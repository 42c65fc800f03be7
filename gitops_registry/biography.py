"""What history says of one version: the decisions about its stages and names, and who approved them.

Read from git's history by the same rules that judged it; a claim that nobody can verify is told as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gitops_registry.audit.decision import Event
from gitops_registry.audit.ledger import life
from gitops_registry.card.content import Moving, moving
from gitops_registry.policy.data import measurements
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

_TOLD = frozenset({"version_registered", "stage_transition", "alias_set", "alias_removed", "model_renamed"})


def beside(place: Workplace, snapshot: Snapshot, reference: Reference) -> Moving:
    """Return what the registry says of a version beside its folder: state, history, approvals and later measurements.

    In a shallow clone history and approvals are None: they are not here, which is not that there are none.
    """
    is_here = not place.repository.is_shallow
    history, approvals = lived(life(place.repository, place.commit(), reference) if is_here else ())
    return moving(
        snapshot.known_model(reference.name), reference.number, snapshot.stage_of(reference),
        history=history if is_here else None, approvals=approvals if is_here else None,
        later=measurements(snapshot, reference),
    )  # fmt: skip


def lived(events: Iterable[Event]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the decisions about the stages and names of a version, and who approved them, of events that are about it."""
    history: list[dict[str, Any]] = []
    approvals: list[dict[str, Any]] = []
    for event in events:
        if told := [str(change) for change in event.changes if change.kind in _TOLD]:
            history.append(_decision(event, told))
            approvals += _approvals(event)
    return history, approvals


def _decision(event: Event, told: list[str]) -> dict[str, Any]:
    return {
        "time": _moment(event), "commit": event.commit.oid, "actor": event.commit.author, "changes": told, "reason": event.reason,
        "signed": event.signature is not None and event.signature.is_good, "proposal": event.proposal,
        "pull_request": event.pull_request,
    }  # fmt: skip


def _approvals(event: Event) -> Iterator[dict[str, Any]]:
    """Yield who agreed to a move into a stage and counts: members who signed it, and reviews on a forge that a signed merge names."""
    moves = [change for change in event.changes if change.kind == "stage_transition"]
    told = {"time": _moment(event), "commit": event.commit.oid, "what": "; ".join(map(str, moves))}
    for one in event.approvals or () if moves else ():
        if not one.problem and not one.is_rejection:
            by = one.source if one.grade != "verified" else one.member
            yield {**told, "by": by, "attested": one.grade != "verified"}


def _moment(event: Event) -> str:
    return event.time.isoformat().replace("+00:00", "Z")
