"""What MLflow's calls change, where none of our own verbs does just that: as intents, each one commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gitops_registry import edits, proposals, removing
from gitops_registry.deciding import Intent
from gitops_registry.manifest.kinds import Constitution
from gitops_registry.mlflow_store.naming import free_model, shown_model, title_of
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Edits, Snapshot


def new_model(theirs: str, *, description: str, tags: Mapping[str, str]) -> Intent:
    """Return the wish to make a model that has no version yet. Its edit raises Conflict where the name is not free."""

    def edit(before: Snapshot) -> Edits:
        name = free_model(before, theirs)
        state = {"description": description, "tags": dict(tags), **title_of(name, theirs)}
        return edits.make_model(before, name, state)

    return Intent(
        edit,
        lambda before: f"register {free_model(before, theirs)}",
        branch=lambda before: f"register/{free_model(before, theirs)}/model",
    )


def transition(reference: Reference, stage: str, *, archives: bool) -> Intent:
    """Return the wish to move a version to a stage; with `archives`, everybody else in it is archived in the same commit.

    Of an exclusive stage whoever holds it leaves it in any case, to where that stage says.
    """

    def edit(before: Snapshot) -> Edits:
        before.known_version(reference)
        wanted, moves = before.known_stage(stage), {reference.number: before.known_stage(stage).name}
        others = [n for n in before.in_stage(reference.name, wanted.name) if n != reference.number]
        if archives:
            moves |= dict.fromkeys(others, archive_of(before.constitution))
        elif wanted.exclusive:
            moves |= dict.fromkeys(others, wanted.replaced_to)
        return edits.moved(before, reference.name, moves)

    def subject(before: Snapshot) -> str:
        if stage == archive_of(before.constitution):
            return f"archive {reference.name} {reference.number}"
        return f"promote {reference.name} {reference.number} to {stage}"

    return Intent(edit, subject, branch=lambda _: proposals.promote_branch(reference, stage))


def renaming(old: str, new: str, theirs: str) -> Intent:
    """Return the wish to give a model another name; where that is spelled for us, its title says it as MLflow does."""
    plain = removing.renaming(old, new)

    def edit(before: Snapshot) -> Edits:
        model = before.known_model(old)
        was_spelled = model.title == shown_model(old, model.title)
        title = theirs if new != theirs else "" if was_spelled else model.title
        titled = edits.describe_model(before, old, tags={}, title=title) if title != model.title else {}
        return {**titled, **plain.edit(before.with_edits(titled))}

    return replace(plain, edit=edit)


def archive_of(law: Constitution) -> str:
    """Return the stage of what is archived: the one of that name, else the last."""
    found = law.stage("archived")
    return found.name if found else law.stages[-1].name
