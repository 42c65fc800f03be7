"""Names between the two: a model, an alias or a stage as MLflow says it, and as it is called here.

Most names are the same. One that our grammar has no place for is spelled so that it fits and can be read back; so is one
that differs from another only in case, which MLflow takes for two.
"""

from __future__ import annotations

from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.foreign import our_name, their_name
from gitops_registry.manifest.kinds import Constitution, Model
from gitops_registry.paths import name_problem
from gitops_registry.snapshot import Snapshot

STAGES = ("None", "Staging", "Production", "Archived")
"""MLflow's stages. The first is our first one, whatever that is called; the others are those of the same name."""
_LONGEST_ALIAS = 128


def shown_model(name: str, title: str) -> str:
    """Return what MLflow calls a model that is called `name` here. Of one too long to be spelled, its title says it.

    A name that we would not have spelled so, or whose reading MLflow takes for no name, is shown as it is: whatever is in a
    list can be asked for.
    """
    for theirs in (their_name(name), title):
        if theirs.strip() and not {"/", ":"}.intersection(theirs) and _spells(name, theirs):
            return theirs
    return name


def _spells(name: str, theirs: str) -> bool:
    return our_name(theirs) == name or our_name(theirs, twin=True) == name


def found_model(snapshot: Snapshot, theirs: str) -> str | None:
    """Return what a model of MLflow's is called here; None where there is none, or not any more."""
    for name in dict.fromkeys((our_name(theirs), our_name(theirs, twin=True), theirs)):
        model = snapshot.model(name) if not name_problem(name) else None
        if model is not None and not model.is_gone and shown_model(name, model.title) == theirs:
            return name
    return None


def free_model(snapshot: Snapshot, theirs: str) -> str:
    """Return the name that a new model of MLflow's gets here. Raises Conflict where its name is somebody's, or is spent."""
    plain = our_name(theirs)
    others = {other.lower(): other for other in snapshot.models()}
    if others.get(plain.lower(), plain) == plain:
        _refuse_spent(snapshot, plain)
        return plain
    twin = our_name(theirs, twin=True)
    _refuse_spent(snapshot, twin)
    return twin


def _refuse_spent(snapshot: Snapshot, name: str) -> None:
    model = snapshot.model(name)
    if model is not None and model.renamed_to is not None:
        raise Conflict(
            f"the name {name} is spent: that model was renamed to {snapshot.present_name(name)}",
            hint="choose another name",
        )


def title_of(name: str, theirs: str) -> dict[str, str]:
    """Return the title of a new model: its name at MLflow, where nobody could read that from `name`."""
    return {} if name == theirs else {"title": theirs}


# ── aliases


def found_alias(model: Model, theirs: str) -> str | None:
    """Return how a model's alias of MLflow's is spelled here; None where it has none of that name."""
    return next((alias for alias in model.aliases if their_name(alias) == theirs), None)


def free_alias(law: Constitution, model: Model, theirs: str) -> str:
    """Return the name that a new alias gets here. Raises RegistryError for one that is too long to be spelled."""
    plain = our_name(theirs)
    is_taken = plain.lower() in {alias.lower() for alias in model.aliases} or law.stage(plain) is not None
    is_word = plain.lower() == "latest" or plain.lower().removeprefix("v").isdigit()
    alias = our_name(theirs, twin=True) if is_taken or is_word or name_problem(plain) else plain
    if their_name(alias) != theirs:
        raise RegistryError(
            f"the alias {theirs[:40]!r}… is too long", hint=f"at most {_LONGEST_ALIAS} letters, fewer with odd signs"
        )
    return alias


# ── stages


def shown_stage(stage: str, first: str) -> str:
    """Return what MLflow calls a stage: one of its own four where it has it, else the name it has here."""
    if stage == first:
        return STAGES[0]
    return next((theirs for theirs in STAGES[1:] if theirs.lower() == stage.lower()), stage)


def found_stage(law: Constitution, theirs: str) -> str | None:
    """Return what a stage of MLflow's is called here; None where this registry has none of that name."""
    if theirs.lower() == STAGES[0].lower():
        return law.first_stage
    stage = law.stage(theirs)
    return stage.name if stage else None
