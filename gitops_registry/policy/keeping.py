"""Rules about what must stay: facts, numbers, names, and what customers use.

Each reads what was there from the base, never from what the change itself writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from gitops_registry import paths
from gitops_registry.access import holds
from gitops_registry.changes import Change
from gitops_registry.manifest.kinds import Constitution, Stage
from gitops_registry.policy.report import Finding, Judgement, Spot
from gitops_registry.policy.rulebook import judged_stages
from gitops_registry.reference import Reference


def arrivals(judgement: Judgement) -> Iterator[tuple[Change, Stage]]:
    """Yield every move of a version with the stage it comes to, as the base knows it."""
    for change in judgement.changes:
        if change.kind == "stage_transition":
            stage = stage_named(judgement.law, change.after)
            if stage is not None:
                yield change, stage


def stage_named(law: Constitution, name: str) -> Stage | None:
    """Return a stage of the constitution by its exact name."""
    return next((stage for stage in law.stages if stage.name == name), None)


def immutable(judgement: Judgement) -> Iterator[Finding]:
    """Facts, pointers and measurements are written once."""
    for change in judgement.changes:
        if change.kind == "immutable_violated":
            hint = f"restore it: git checkout {judgement.law.branch} -- {quote(change.subject)}; to change a model, register a new version"
            yield Finding.error(
                "immutable",
                "must never change once it is registered",
                hint,
                Spot(change.subject, 1, 1, change.model, change.version),
            )


def intact(judgement: Judgement) -> Iterator[Finding]:
    """A version that is judged by its facts has those it was registered with, whatever was committed past the check."""
    stages = judged_stages(judgement.before, judgement.law) if judgement.before else set()
    moved = {Reference(change.model, change.version) for change, stage in arrivals(judgement) if stage.name in stages}
    gathered = judgement.facts.altered
    if gathered is None and (moved or judgement.before is None):
        message = "nobody looked whether facts were altered after they were registered"
        yield Finding.unchecked("intact", "history", message, "git fetch --unshallow", Spot(paths.MODELS))
    for reference, found in sorted((gathered or {}).items()):
        is_there = reference.number in judgement.after.versions(reference.name)
        if is_there and (judgement.before is None or reference in moved):
            message = f"was altered after it was registered, in {found.changed[:12]}"
            hint = f"bring back what was registered: git checkout {found.registered[:12]} -- {quote(found.path)}"
            yield Finding.error("intact", message, hint, Spot(found.path, 1, 1, *reference))


def numbering(judgement: Judgement) -> Iterator[Finding]:
    """Versions count up by one, numbers are never used again, and what was deleted is remembered.

    Whoever registers a version may skip numbers: they are deleted with it, as of a model that had them elsewhere.
    """
    before = judgement.before
    if before is None:
        return
    registered, deleted = _numbers(judgement, "version_registered"), _numbers(judgement, "version_deleted")
    origins = {change.after: change.model for change in judgement.changes if change.kind == "model_renamed"}
    for name in set(judgement.models) - set(origins.values()):
        new, gone = registered.get(name, []), set(deleted.get(name, ()))
        old, model = before.model(origins.get(name, name)), judgement.after.model(name)
        highest = max((0, *before.versions(name), *(old.deleted if old else ())))
        forgotten = (gone | set(old.deleted if old else ())) - set(model.deleted if model else ())
        invented = set(model.deleted if model else ()) - set(old.deleted if old else ()) - gone
        skipped = {number for number in invented - set(new) if number > highest} if new else set()
        invented -= skipped
        for expected, number in enumerate(sorted({*new, *skipped}), highest + 1):
            if number != expected:
                yield Finding.error(
                    "numbering",
                    f"version {number} should be {expected}: numbers count up and are never used again",
                    f"move it to versions/{expected}, or list {expected} under deleted if it is never to be given",
                    Spot(paths.version_path(name, number), 1, 1, name, number),
                )
                break
        if model and (forgotten or invented):
            numbers = ", ".join(map(str, sorted(forgotten or invented)))
            problem = (
                f"deleted must list {numbers}"
                if forgotten
                else f"deleted lists {numbers}, which this change does not delete"
            )
            yield Finding.error(
                "numbering",
                problem,
                "numbers that existed once are never used again",
                Spot(paths.model_path(name), 1, 1, name),
            )


def _numbers(judgement: Judgement, kind: str) -> dict[str, list[int]]:
    """Return model → the numbers in order of its changes of that kind."""
    found: dict[str, list[int]] = {}
    for change in judgement.changes:
        if change.kind == kind:
            found.setdefault(change.model, []).append(change.version)
    return {name: sorted(numbers) for name, numbers in found.items()}


def kept(judgement: Judgement) -> Iterator[Finding]:
    """A model leaves a tombstone, a spent name is not given again, and what serves is deleted by those who may."""
    before = judgement.before
    for change in judgement.changes:
        where = Spot(paths.model_path(change.model), 1, 1, change.model)
        if change.kind == "model_deleted" and change.after is None:
            message = f"{change.model} was removed without a trace"
            yield Finding.error("kept", message, "its name and numbers must not be taken over: keep model.yaml", where)
        if (
            change.kind == "model_registered"
            and change.before is not None
            and not _is_made_again(judgement, change.model)
        ):
            yield Finding.error("kept", f"the name {change.model} is spent", "choose another name", where)
        if change.kind == "model_updated" and change.subject == "renamed_to" and change.before:
            yield Finding.error("kept", f"the tombstone of {change.model} was changed", "restore its model.yaml", where)
        if change.kind == "model_updated" and change.subject == "renamed_to" and change.after:
            hint = f"move all of it: gitops-registry rename {change.model} {change.after}"
            yield Finding.error("kept", f"{change.model} was renamed, and not all of it went along", hint, where)
        gone = Reference(change.model, change.version)
        if change.kind == "version_deleted" and before and before.model(gone.name) and _serving(judgement, gone):
            yield _deleted_in_use(judgement, gone)


def _is_made_again(judgement: Judgement, name: str) -> bool:
    """Whether a deleted model comes back empty: its numbers stay spent (`numbering` sees to it), so none is anybody else's.

    Versions come with later decisions: whoever brings the name back brings nothing under it.
    """
    before = judgement.before.model(name) if judgement.before else None
    after = judgement.after.model(name)
    is_empty = after is not None and not judgement.after.versions(name) and not after.aliases and not after.stages
    return before is not None and before.removed and is_empty


def _serving(judgement: Judgement, reference: Reference) -> bool:
    assert judgement.before is not None
    stage = stage_named(judgement.law, judgement.before.stage_of(reference))
    return stage is not None and stage.serving


def _deleted_in_use(judgement: Judgement, gone: Reference) -> Finding:
    """What is said of a version that is deleted while it serves: nobody may, but for those who may both deploy and delete."""
    where = Spot(paths.version_path(*gone), 1, 1, gone.name, gone.number)
    access, actor = judgement.access, judgement.facts.actor
    message = f"version {gone.number} serves"
    if access is not None and not (
        actor and all(holds(access, actor, permission, gone.name) for permission in ("delete", "deploy"))
    ):
        return Finding.error("kept", f"{message} and cannot be deleted", "archive it first", where)
    return Finding.warning("kept", f"{message} and is deleted all the same", "archive it first to be gentle", where)


def emptied(judgement: Judgement) -> Iterator[Finding]:
    """A change that leaves a serving stage empty is pointed out: whoever asks for that version then gets none."""
    before = judgement.before
    if before is None:
        return
    serving = [stage.name for stage in judgement.law.stages if stage.serving]
    for name in judgement.models:
        old, new = before.model(name), judgement.after.model(name)
        for stage in serving if old and new and new.renamed_to is None else ():  # a renamed one takes its stages along
            if old and new and old.stages.get(stage) and not new.stages.get(stage):
                hint = f"promote another version in its place: gitops-registry promote {name}@REF --to {stage}"
                yield Finding.warning(
                    "emptied", f"{stage} would hold no version", hint, Spot(paths.model_path(name), model=name)
                )
