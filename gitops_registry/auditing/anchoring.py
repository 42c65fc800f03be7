"""A history beside what was kept outside of it: a checkpoint, the server's own record, and the tags that mark versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gitops_registry.audit.recorded import Receipt, denied, receipts
from gitops_registry.auditing.checkpoint import Chain, Checkpoint
from gitops_registry.auditing.exporting import tags_of
from gitops_registry.auditing.findings import Breach
from gitops_registry.auditing.keeping import Keeper
from gitops_registry.git.landing import NO_COMMIT
from gitops_registry.git.tags import tags
from gitops_registry.identity import Witnesses
from gitops_registry.receiving.updates import tag_name
from gitops_registry.workplace import Workplace


def comparisons(
    place: Workplace, witnesses: Witnesses, head: str, checkpoint: Checkpoint | None, seen: Chain | None, keeper: Keeper
) -> Iterator[Breach]:
    """Yield where the history up to `head` is not the one of a checkpoint, of the server's record and of its tags.

    `seen` are the events up to the checkpoint's head as they were read now; None where that commit is not in the line.
    """
    if checkpoint is not None:
        yield from _checkpoint(place, witnesses, head, checkpoint, seen)
        yield from _refusals(place, checkpoint)
    there = tags_of(place)
    kept = list(receipts(place.repository))
    yield from _kept_tags(there, checkpoint.tags if checkpoint else {}, "the checkpoint has it")
    yield from _kept_tags(there, _tags_received(kept), "the server took it")
    yield from _marks(place, head, keeper)
    for one in kept:
        if one.ref == place.ref and one.new != NO_COMMIT and one.new not in keeper.line:
            yield Breach(
                "rewritten",
                one.new,
                f"the server took it on {one.time:%Y-%m-%d %H:%M} UTC, and it is no decision any more",
            )


def _checkpoint(
    place: Workplace, witnesses: Witnesses, head: str, checkpoint: Checkpoint, seen: Chain | None
) -> Iterator[Breach]:
    sides = [place.snapshot(head)]
    if place.repository.objects.get(checkpoint.head, limit=0) is not None:
        sides.append(place.snapshot(checkpoint.head))
    signature = checkpoint.signature(witnesses, *sides)
    has_keys = any(member.keys for side in sides for member in witnesses.members(side).members)
    if signature.state == "tampered" or (has_keys and not signature.is_good and signature.state != "unsigned"):
        yield Breach(
            "checkpoint",
            "",
            f"the checkpoint is {signature if signature.state != 'tampered' else 'not as it was signed'}",
        )
    law = place.snapshot(head).constitution
    if checkpoint.registry != law.name:
        yield Breach(
            "checkpoint", "", f"the checkpoint is of the registry {checkpoint.registry}, and this is {law.name}"
        )
    if seen is None:
        when = f"it was the last decision on {checkpoint.created[:10]}"
        yield Breach(
            "rewritten",
            checkpoint.head,
            f"the checkpoint says that {when}, and it is not in the line of decisions: history was rewritten",
        )
    elif seen != checkpoint.events:
        told = f"{checkpoint.events.count} events then, {seen.count} now"
        yield Breach(
            "checkpoint",
            checkpoint.head,
            f"the events up to it are not those of the checkpoint ({told}): it was altered, or made by another release",
        )


def _refusals(place: Workplace, checkpoint: Checkpoint) -> Iterator[Breach]:
    if not checkpoint.refusals.count:
        return
    chain = Chain()
    for entry in denied(place.repository):
        chain = chain.with_event(entry.id)
        if chain.count == checkpoint.refusals.count:
            break
    if chain != checkpoint.refusals:
        yield Breach(
            "record",
            "",
            f"the record of refused pushes is not the one of the checkpoint ({checkpoint.refusals.count} lines then)",
        )


def _tags_received(kept: list[Receipt]) -> dict[str, str]:
    found = {one.ref.removeprefix("refs/tags/"): one.new for one in kept if one.ref.startswith("refs/tags/")}
    return {name: oid for name, oid in found.items() if oid != NO_COMMIT}


def _kept_tags(there: Mapping[str, str], wanted: Mapping[str, str], why: str) -> Iterator[Breach]:
    for name, oid in sorted(wanted.items()):
        if name not in there:
            yield Breach("tags", oid, f"the tag {name} was deleted: {why}")
        elif there[name] != oid:
            yield Breach("tags", oid, f"the tag {name} was moved to {there[name][:12]}: {why} at {oid[:12]}")


def _marks(place: Workplace, head: str, keeper: Keeper) -> Iterator[Breach]:
    """Yield the tags that mark another commit than the decision that registered their version."""
    now = place.snapshot(head)
    for name, found in sorted(tags(place.repository).items()):
        named = tag_name(f"refs/tags/{name}")
        if named is None:
            continue
        here = {
            number
            for (model, number), commit in keeper.registered.items()
            if model == named.model and commit == found.commit
        }
        if not here:
            yield Breach(
                "tags", found.commit, f"the tag {name} marks a commit that registered no version of {named.model}"
            )
        elif (
            named.version
            and named.version.removesuffix(".0.0").isdigit()
            and int(named.version.removesuffix(".0.0")) in here
        ):
            continue
        elif named.version:
            facts = [now.version(named.model, number) for number in sorted(here)]
            if not any(one is None or one.release == named.version for one in facts):
                yield Breach("tags", found.commit, f"the tag {name} marks a decision that registered another version")
