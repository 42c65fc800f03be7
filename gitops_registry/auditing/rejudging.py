"""What the policies of its time say of a decision: judged again under the rules of its first parent, at its own moment.

Whether bytes were there then nobody can know any more, and no policy asks for it. What cannot be judged is `not-checked`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gitops_registry.audit.decision import Event
from gitops_registry.audit.entries import NOT_CHECKED, Entry
from gitops_registry.changes import Change
from gitops_registry.errors import RegistryError
from gitops_registry.evidence import gatherer
from gitops_registry.git.repository import EMPTY_TREE
from gitops_registry.policy.check import check
from gitops_registry.policy.report import Facts, Verdict
from gitops_registry.workplace import Workplace

JUDGED = frozenset({"stage_transition", "alias_set", "version_registered", "card_updated", "evaluation_added"})
"""Changes that policies can be about."""
_WORDS = {"pass": "passed", "waived": "waived", "not-checked": "not checked"}
"""What is said of results; the others refuse, or advise."""


def verdicts(place: Workplace, event: Event) -> tuple[Verdict, ...] | None:
    """Return what each rule of each policy that is about a decision came to, judged again; None where that cannot be had."""
    if event.problem or event.approvals is None or not event.commit.parents:
        return None
    parent = event.commit.parents[0]
    kept, place.decided = place.decided, parent
    try:
        before, after = place.snapshot(parent), place.snapshot(event.commit.oid)
        changed = place.repository.changed_paths(parent or EMPTY_TREE, event.commit.oid)

        def said(_: Sequence[Change]) -> Facts:
            given = [one for one in event.approvals or () if not one.problem]
            approvals = tuple(dict.fromkeys(one.member for one in given if not one.is_rejection))
            objections = tuple((one.member, one.comment) for one in given if one.is_rejection)
            return Facts(actor=event.signer or None, approvals=approvals, objections=objections)

        gather = gatherer(place, parent, said=said, now=event.time)
        return check(before, after, changed, gather, place.engine).verdicts
    except RegistryError:
        return None
    finally:
        place.decided = kept


def summary(event: Event, entries: Sequence[Entry]) -> str:
    """Return in one line what policies say of the events of a decision (`with_policies`): `5 passed, 1 waived`.

    Empty for a decision that no policy can be about.
    """
    if not any(change.kind in JUDGED for change in event.changes):
        return ""
    if all(entry.policies == NOT_CHECKED for entry in entries):
        return "not checked: they cannot be judged again"
    told = [one for entry in entries if not isinstance(entry.policies, str) for one in entry.policies]
    found = {json.dumps(one, sort_keys=True): one for one in told}.values()  # a deployment says what its move says
    against = [one for one in found if one["result"] not in _WORDS]
    refusing = [f"{one['policy']}/{one['rule']}" for one in against if one["enforcement"] != "advisory"]
    counts = Counter(_WORDS[one["result"]] for one in found if one["result"] in _WORDS)
    counts["advised against it"] = len(against) - len(refusing)
    said = [f"refused today: {', '.join(refusing)}"] if refusing else []
    return ", ".join(said + [f"{number} {word}" for word, number in counts.items() if number]) or "none was about it"


def with_policies(place: Workplace, event: Event, entries: Sequence[Entry]) -> list[Entry]:
    """Return the events of a decision with what policies say of each, judged again."""
    if not any(change.kind in JUDGED for change in event.changes):
        return list(entries)
    found = verdicts(place, event)
    if found is None:
        return list(entries)
    return [
        replace(
            entry,
            policies=tuple(one.to_json() for one in found if (one.model, one.version) == (entry.model, entry.version)),
        )
        if entry.version
        else entry
        for entry in entries
    ]
