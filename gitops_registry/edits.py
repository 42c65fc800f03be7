"""The verbs as pure edits: given the registry at one revision, what each verb would write.

Nothing here judges: an edit that the rules refuse is still an edit, and `check` says why it is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any

from gitops_registry import paths
from gitops_registry.errors import Conflict, Damaged, ManifestError, NotFound, RegistryError
from gitops_registry.manifest.facts import Evaluation, PinnedData, Version
from gitops_registry.manifest.kinds import Card, Model
from gitops_registry.manifest.writing import dump, revise
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference, did_you_mean
from gitops_registry.snapshot import FILE_MODE, Content, Edits, Snapshot, Stored

Edit = Callable[[Snapshot], Edits]
"""A verb ready to be applied to whatever the tip is by then."""
Tags = Mapping[str, str | None]
"""Tags to set; those that are None go."""


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
    known = None if paths.name_problem(name) else snapshot.model(name)
    if known is None and snapshot.versions(name):
        raise Damaged(
            f"{name} has versions and no model.yaml, which would say their stages",
            hint=f"bring it back: git checkout REVISION -- {paths.model_path(name)}",
        )
    if known is None or known.is_gone:
        _refuse_name(snapshot, name)
    number = next_number(snapshot, name)
    folder = paths.version_folder(name, number)
    edits: dict[str, Content | None] = {
        paths.version_path(name, number): dump(version, paths.version_path(name, number)),
        paths.card_path(name, number): dump(card, paths.card_path(name, number)),
        **{f"{folder}/{file}": content for file, content in files.items()},
    }
    if known is None:
        edits |= rewritten(snapshot, Model(name=name, **dict(model or {})))
    return edits


def words_before(snapshot: Snapshot, name: str) -> Card:
    """Return the words that the next version of a model begins with: those of its newest version, without that one's tags.

    None of a new model; nor where the newest version's cannot be read, for somebody has to look at them first.
    """
    numbers = () if paths.name_problem(name) else snapshot.versions(name)
    try:
        return snapshot.card(name, numbers[-1]).model_copy(update={"tags": {}}) if numbers else Card()
    except ManifestError:
        return Card()


def spend(snapshot: Snapshot, name: str, numbers: Sequence[int], *, model: Mapping[str, Any] | None = None) -> Edits:
    """Return the edit that lets numbers be given never: a version elsewhere had them.

    A model that does not exist yet is made, with `model` as its first state.
    """
    known = None if paths.name_problem(name) else snapshot.model(name)
    if known is None or known.is_gone:
        _refuse_name(snapshot, name)
        known = Model(name=name, **dict(model or {}))
    return rewritten(snapshot, changed(known, deleted=tuple(sorted({*known.deleted, *numbers}))))


def make_model(snapshot: Snapshot, name: str, state: Mapping[str, Any]) -> Edits:
    """Return the edit that makes a model without versions, with `state` as its first one (title, description, owners, tags).

    A model that was deleted is made again under its name: its numbers stay spent, so no reference to one of them finds
    another version. Raises Conflict where the name is in use, or a model was renamed from it, RegistryError where no model may
    have that state.
    """
    known = None if paths.name_problem(name) else snapshot.model(name)
    if known is not None and known.removed:
        return rewritten(snapshot, changed(Model(name=name, deleted=known.deleted), **dict(state)))
    _refuse_name(snapshot, name)
    return rewritten(snapshot, changed(Model(name=name), **dict(state)))


# ── names, words and what is taken away


def changed(model: Model, **update: Any) -> Model:
    """Return a model with other fields. Raises RegistryError where no model may have them."""
    from pydantic import ValidationError

    try:
        return Model(**{**dict(model), **update})
    except ValidationError as error:
        told = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise RegistryError(f"{model.name}: {told}", hint="choose another value") from error


def set_alias(snapshot: Snapshot, reference: Reference, alias: str) -> Edits:
    """Return the edit that makes an alias name a version, whatever it named before.

    Raises NotFound for an unknown version, Conflict where it names that version already or is the name of a stage.
    """
    snapshot.known_version(reference)
    model = snapshot.known_model(reference.name)
    if (stage := snapshot.constitution.stage(alias)) is not None:
        raise Conflict(f"{stage.name} is a stage, and no alias can be called like one", hint="choose another name")
    spelled = next((known for known in model.aliases if known.lower() == alias.lower()), alias)
    if model.aliases.get(spelled) == reference.number:
        raise Conflict(f"{spelled} names {reference} already", hint=f"see: gitops-registry show {reference.name}")
    return rewritten(snapshot, changed(model, aliases={**model.aliases, spelled: reference.number}))


def remove_alias(snapshot: Snapshot, name: str, alias: str) -> Edits:
    """Return the edit that takes an alias away. Raises NotFound where the model has none of that name."""
    model = snapshot.known_model(name)
    kept = {known: number for known, number in model.aliases.items() if known.lower() != alias.lower()}
    if kept == model.aliases:
        raise NotFound(f"{name} has no alias {alias!r}", hint=did_you_mean(alias, tuple(model.aliases)))
    return rewritten(snapshot, changed(model, aliases=kept))


def describe_model(snapshot: Snapshot, name: str, *, tags: Tags, **words: Any) -> Edits:
    """Return the edit that gives a model other words (title, description, owners) and tags; a tag of None goes."""
    model = snapshot.known_model(name)
    return rewritten(snapshot, changed(model, tags=_with_tags(model.tags, tags), **words))


def describe_version(snapshot: Snapshot, reference: Reference, *, tags: Tags, **words: str) -> Edits:
    """Return the edit of `card.yaml` that gives a version other words and tags; a tag of None goes."""
    snapshot.known_version(reference)
    card, path = snapshot.card(*reference), paths.card_path(*reference)
    after = card.model_copy(update={**words, "tags": _with_tags(card.tags, tags)})
    old = snapshot.read(path)
    return {path: dump(after, path) if old is None else revise(old, after, path)}


def _with_tags(old: Mapping[str, str], new: Tags) -> dict[str, str]:
    return {key: value for key, value in {**old, **new}.items() if value is not None}


def set_evaluation(snapshot: Snapshot, name: str, data: PinnedData | None) -> Edits:
    """Return the edit that pins the data a model's versions are measured on, with its pointer; None takes it away.

    Raises Conflict where that is so already.
    """
    model = snapshot.known_model(name)
    if model.evaluation == data:
        what = f"is measured on {data.file} already" if data else "has no evaluation data"
        raise Conflict(f"{name} {what}", hint=f"see: gitops-registry show {name}")
    edits: dict[str, Content | None] = dict.fromkeys(snapshot.files(paths.data_folder(name)))
    if data is not None:
        edits[paths.data_path(name, data.file)] = pointer(data.as_artifact())
    return {**edits, **rewritten(snapshot, changed(model, evaluation=data))}


def add_evaluation(snapshot: Snapshot, reference: Reference, evaluation: Evaluation) -> Edits:
    """Return the edit that adds a measurement of a version. Raises Conflict where the very same one is there."""
    snapshot.known_version(reference)
    data = dump(evaluation, paths.evaluation_path(*reference, "new"))
    moment = evaluation.created.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = paths.evaluation_path(*reference, f"{moment}-{hashlib.sha256(data).hexdigest()[:8]}")
    if snapshot.oid(path):
        raise Conflict(f"that measurement of {reference} is recorded already", hint=f"see: {path}")
    return {path: data}


def rename(snapshot: Snapshot, old: str, new: str) -> Edits:
    """Return the edit that moves a model with all its versions to another name and leaves a tombstone.

    The rendered cards are left to whoever can render. Raises Conflict where the new name is or was somebody's.
    """
    model = snapshot.known_model(old)
    _refuse_name(snapshot, new)
    edits: dict[str, Content | None] = {}
    for path in snapshot.files(f"{paths.MODELS}/{old}"):
        tail = path.removeprefix(f"{paths.MODELS}/{old}/")
        edits[path] = None
        edits[f"{paths.MODELS}/{new}/{tail}"] = Stored(snapshot.oid(path), FILE_MODE)
    edits |= dict.fromkeys(snapshot.files(f"cards/{old}"))
    written = snapshot.read(paths.model_path(old)) or b""
    edits[paths.model_path(new)] = revise(written, changed(model, name=new), paths.model_path(new))
    edits[paths.model_path(old)] = dump(Model(name=old, renamed_to=new), paths.model_path(old))
    return edits


def delete_version(snapshot: Snapshot, reference: Reference, *, force: bool = False) -> Edits:
    """Return the edit that takes a version away with its stage and aliases; its number is never given again.

    Raises Conflict where it serves, unless by `force`.
    """
    snapshot.known_version(reference)
    model = snapshot.known_model(reference.name)
    _refuse_serving(snapshot, [reference], force=force)
    edits = _without(snapshot, reference)
    return {**edits, **rewritten(snapshot, _spent(model, [reference.number]))}


def delete_model(snapshot: Snapshot, name: str, *, force: bool = False) -> Edits:
    """Return the edit that takes a model away with all its versions and leaves a tombstone.

    Raises Conflict where one of them serves, unless by `force`.
    """
    model = snapshot.known_model(name)
    references = [Reference(name, number) for number in snapshot.versions(name)]
    _refuse_serving(snapshot, references, force=force)
    edits: dict[str, Content | None] = {}
    for reference in references:
        edits |= _without(snapshot, reference)
    edits |= dict.fromkeys(snapshot.files(paths.data_folder(name)))
    numbers = (*model.deleted, *(reference.number for reference in references))
    tombstone = Model(name=name, deleted=tuple(sorted(numbers)), removed=True)
    return {**edits, paths.model_path(name): dump(tombstone, paths.model_path(name))}


def _without(snapshot: Snapshot, reference: Reference) -> dict[str, Content | None]:
    gone = dict.fromkeys(snapshot.files(paths.version_folder(*reference)))
    card = paths.rendered_card_path(*reference)
    return {**gone, **({card: None} if snapshot.oid(card) else {})}


def _spent(model: Model, numbers: Sequence[int]) -> Model:
    stages = {stage: tuple(n for n in held if n not in numbers) for stage, held in model.stages.items()}
    return changed(
        model,
        stages={stage: held for stage, held in stages.items() if held},
        aliases={alias: number for alias, number in model.aliases.items() if number not in numbers},
        deleted=tuple(sorted((*model.deleted, *numbers))),
    )


def _refuse_serving(snapshot: Snapshot, references: Sequence[Reference], *, force: bool) -> None:
    for reference in references:
        stage = snapshot.known_stage(snapshot.stage_of(reference))
        if stage.serving and not force:
            hint = f"first: gitops-registry archive {reference}; or, with the permission to deploy too: --force"
            raise Conflict(f"{reference} is in {stage.name}, and customers use it", hint=hint)


def _refuse_name(snapshot: Snapshot, name: str) -> None:
    """Raise RegistryError for a name that no new model can have: not in the grammar, in use, or spent."""
    if problem := paths.name_problem(name):
        raise RegistryError(f"name {name!r} {problem}", hint="try letters, digits and '-', like credit-risk")
    twin = next((other for other in snapshot.models() if other.lower() == name.lower()), None)
    if twin is None:
        return
    model = snapshot.model(twin)
    if model is not None and model.is_gone:
        how = "deleted" if model.removed else f"renamed to {model.renamed_to}"
        hint = "choose another name: whoever uses the old one must not get something else"
        raise Conflict(f"the name {twin} is spent: that model was {how}", hint=hint)
    raise Conflict(
        f"a model {twin!r} exists, and names are unique without regard to case",
        hint=f"register {twin}, or choose another name",
    )
