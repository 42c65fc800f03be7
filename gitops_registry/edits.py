"""The verbs as pure edits: given the registry at one revision, what each verb would write.

Nothing here judges: an edit that the rules refuse is still an edit, and `check` says why it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gitops_registry import paths
from gitops_registry.errors import Conflict, Damaged, RegistryError
from gitops_registry.manifest.facts import Version
from gitops_registry.manifest.kinds import Card, Model
from gitops_registry.manifest.writing import dump, revise
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content, Edits, Snapshot

Edit = Callable[[Snapshot], Edits]
"""A verb ready to be applied to whatever the tip is by then."""


def next_number(snapshot: Snapshot, name: str) -> int:
    """Return the number the model's next version gets: one more than any that exists or ever existed."""
    model = snapshot.model(name)
    return max((0, *snapshot.versions(name), *(model.deleted if model else ()))) + 1


def rewritten(snapshot: Snapshot, model: Model) -> Edits:
    """Return the edit that makes `model` the state of its model, keeping what people wrote around it."""
    path = paths.model_path(model.name)
    old = snapshot.read(path)
    return {path: dump(model, path) if old is None else revise(old, model, path)}


def moved(snapshot: Snapshot, name: str, moves: Mapping[int, str]) -> Edits:
    """Return the edit that puts each version into a stage; the lists stay in order and empty ones go."""
    model = snapshot.known_model(name)
    stages = {stage: [n for n in held if n not in moves] for stage, held in model.stages.items()}
    for number, stage in moves.items():
        if stage != snapshot.constitution.first_stage:
            stages.setdefault(stage, []).append(number)
    kept = {stage: tuple(sorted(held)) for stage, held in stages.items() if held}
    return rewritten(snapshot, model.model_copy(update={"stages": kept}))


def promote(snapshot: Snapshot, reference: Reference, to: str) -> Edits:
    """Return the edit that moves a version to a stage; whoever held an exclusive one goes where the stage says.

    Raises NotFound for an unknown version or stage, Conflict where the version is in that stage already.
    """
    snapshot.known_version(reference)
    stage = snapshot.known_stage(to)
    if snapshot.stage_of(reference) == stage.name:
        raise Conflict(f"{reference} is in {stage.name} already", hint=f"see: gitops-registry show {reference.name}")
    moves = {reference.number: stage.name}
    if stage.exclusive:
        moves |= dict.fromkeys(snapshot.in_stage(reference.name, stage.name), stage.replaced_to)
    return moved(snapshot, reference.name, moves)


def restore(snapshot: Snapshot, reference: Reference, stage: str, back: Mapping[int, str]) -> Edits:
    """Return the edit that puts `reference` back into `stage`; `back` says where each present holder goes.

    None of them goes to a stage that serves, whatever it came from: giving one stage back puts nothing into use.
    """
    snapshot.known_version(reference)
    known = snapshot.known_stage(stage)
    if snapshot.stage_of(reference) == known.name:
        raise Conflict(f"{reference} is in {known.name} already", hint=f"see: gitops-registry log {reference.name}")
    moves = {reference.number: known.name}
    for number in snapshot.in_stage(reference.name, known.name):
        origin = snapshot.constitution.stage(back.get(number, known.replaced_to))
        away = snapshot.constitution.stage(known.replaced_to) or snapshot.constitution.stages[-1]
        moves[number] = away.name if origin is None or origin.serving else origin.name
    return moved(snapshot, reference.name, moves)


def register(
    snapshot: Snapshot,
    name: str,
    version: Version,
    *,
    card: Card,
    files: Mapping[str, Content],
    model: Mapping[str, Any] | None = None,
) -> Edits:
    """Return the edit that adds the next version: its facts, words and `files` (paths inside the version's folder).

    A model that does not exist yet is made, with `model` as its first state (title, description, owners, tags).
    """
    if problem := paths.name_problem(name):
        raise RegistryError(f"name {name!r} {problem}", hint="try letters, digits and '-', like credit-risk")
    twin = next((other for other in snapshot.models() if other.lower() == name.lower() and other != name), None)
    if twin:
        raise Conflict(
            f"a model {twin!r} exists, and names are unique without regard to case",
            hint=f"register {twin}, or choose another name",
        )
    if snapshot.model(name) is None and snapshot.versions(name):
        raise Damaged(
            f"{name} has versions and no model.yaml, which would say their stages",
            hint=f"bring it back: git checkout REVISION -- {paths.model_path(name)}",
        )
    number = next_number(snapshot, name)
    folder = paths.version_folder(name, number)
    edits: dict[str, Content | None] = {
        paths.version_path(name, number): dump(version, paths.version_path(name, number)),
        paths.card_path(name, number): dump(card, paths.card_path(name, number)),
        **{f"{folder}/{file}": content for file, content in files.items()},
    }
    if snapshot.model(name) is None:
        edits |= rewritten(snapshot, Model(name=name, **dict(model or {})))
    return edits
