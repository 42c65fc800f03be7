"""What is registered, as the objects that MLflow answers with.

Times are in milliseconds. What MLflow keeps and we do not (a status, a workspace) is what its own store says of every version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelTag
from mlflow.entities.model_registry.registered_model_alias import RegisteredModelAlias

from gitops_registry.foreign import their_name
from gitops_registry.manifest.facts import Lineage, Version
from gitops_registry.manifest.kinds import Card, Model
from gitops_registry.mlflow_store.naming import shown_model, shown_stage
from gitops_registry.mlflow_store.uris import files_uri
from gitops_registry.reference import Reference
from gitops_registry.searching import FoundVersion

RUN = "mlflow:"
"""Stands before the id of a run in `lineage.run`."""


@dataclass(frozen=True)
class Told:
    """One version as its files say it, whoever read them. `created` and the moment of its last change are told apart.

    `order` counts decisions: of two changes in the same second it says which came later.
    """

    reference: Reference
    theirs: str
    stage: str
    created: int
    author: str
    lineage: Lineage
    description: str
    tags: Mapping[str, str]
    updated: int
    order: int

    @property
    def run(self) -> str | None:
        """The id of the run that trained it."""
        told = self.lineage.run or ""
        return told.removeprefix(RUN) if told.startswith(RUN) else None

    def source(self, registry: str) -> str:
        """Where its files came from; of one that was registered without MLflow, where they are."""
        return self.lineage.source or files_uri(self.reference, registry)

    def entity(self, registry: str, aliases: Sequence[str] = ()) -> ModelVersion:
        """Return it as MLflow's object; MLflow names its aliases only where one version is asked for."""
        return ModelVersion(
            name=self.theirs, version=self.reference.number, creation_timestamp=self.created,
            last_updated_timestamp=self.updated, description=self.description or None, user_id=self.author or None,
            current_stage=self.stage, source=self.source(registry), run_id=self.run,
            tags=[ModelVersionTag(key, value) for key, value in self.tags.items()], run_link=self.lineage.link or None,
            aliases=list(aliases),
        )  # fmt: skip


def told_version(
    reference: Reference, model: Model, facts: Version, card: Card, *, first: str, moment: tuple[int, int]
) -> Told:
    """Return a version that was read from git. `first` is the first stage; `moment` its last change and its order."""
    created = int(facts.created.timestamp() * 1000)
    return Told(
        reference, shown_model(model.name, model.title), shown_stage(model.stage_of(reference.number) or first, first),
        created, facts.author.name, facts.lineage or Lineage(), card.description, card.tags,
        max(created, moment[0]), moment[1],
    )  # fmt: skip


def told_found(found: FoundVersion, theirs: str, *, first: str, moment: tuple[int, int]) -> Told:
    """Return a version that a search found."""
    facts: Mapping[str, Any] = found.facts
    lineage = facts.get("lineage") or {}
    created = int(found.created.timestamp() * 1000)
    return Told(
        found.reference, theirs, shown_stage(found.stage, first), created, str(facts["author"]["name"]),
        Lineage(run=lineage.get("run"), source=lineage.get("source") or "", link=lineage.get("link") or ""),
        found.description, found.own_tags, max(created, moment[0]), moment[1],
    )  # fmt: skip


def registered_model(state: Model, latest: Sequence[ModelVersion], *, created: int, updated: int) -> RegisteredModel:
    """Return a model as MLflow's object, with the newest version of each stage."""
    return RegisteredModel(
        name=shown_model(state.name, state.title), creation_timestamp=created, last_updated_timestamp=updated,
        description=state.description or None, latest_versions=list(latest),
        tags=[RegisteredModelTag(key, value) for key, value in state.tags.items()],
        aliases=[RegisteredModelAlias(their_name(alias), number) for alias, number in state.aliases.items()],
    )  # fmt: skip


def newest_of_stages(held: Iterable[tuple[int, str]]) -> list[int]:
    """Return the newest version of each stage, of (number, stage) in order of number; stages by who came to them first."""
    return list({stage: number for number, stage in held}.values())
