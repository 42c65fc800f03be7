"""The questions that MLflow asks of a registry: what there is, in which stage, under which alias, and where its files are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.entities.model_registry.model_version_stages import ALL_STAGES, get_canonical_stage
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY as IS_PROMPT
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry import (
    SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT,
)
from mlflow.utils import validation

from gitops_registry.foreign import their_name
from gitops_registry.manifest.kinds import Constitution, Model
from gitops_registry.mlflow_store import finding
from gitops_registry.mlflow_store.desk import Desk, View
from gitops_registry.mlflow_store.entities import Told, registered_model, told_found
from gitops_registry.mlflow_store.naming import found_alias, found_model, found_stage, shown_model, shown_stage
from gitops_registry.mlflow_store.refusing import ABSENT, in_mlflows_words, refuse
from gitops_registry.mlflow_store.uris import files_uri
from gitops_registry.searching import FoundModel, FoundVersion


class Asking:
    """The half of the store that changes nothing."""

    _desk: Desk
    _uri: str

    @in_mlflows_words
    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a model with the newest version of each stage."""
        validation._validate_model_name(name)
        with self._desk.looking() as view:
            return self._model(view, view.model(name))

    def _model(self, view: View, model: Model) -> RegisteredModel:
        latest = [told.entity(self._uri) for told in view.newest(model)]
        moment = view.moments.of_model(model.name)
        return registered_model(model, latest, created=moment.created, updated=moment.updated)

    @in_mlflows_words
    def get_latest_versions(self, name: str, stages: Sequence[str] | None = None) -> list[ModelVersion]:
        """Return the newest version of each of the stages (of all of them, without any)."""
        validation._validate_model_name(name)
        with self._desk.looking() as view:
            model = view.model(name)
            newest = view.newest(model)
            if stages is None or len(stages) == 0:
                wanted = {*ALL_STAGES, *(told.stage for told in newest)}
            else:
                wanted = {stage_named(view.law, stage) for stage in stages}
            return [self._named(model, told) for told in newest if told.stage in wanted]

    @in_mlflows_words
    def get_model_version(self, name: str, version: Any) -> ModelVersion:
        """Return a version with its aliases."""
        validation._validate_model_name(name)
        number = validation._validate_model_version(version)
        with self._desk.looking() as view:
            return self._named(*view.version(name, number))

    @in_mlflows_words
    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias names; `latest` is the newest."""
        validation._validate_model_name(name)
        validation._validate_model_alias_name(alias)
        with self._desk.looking() as view:
            model = view.model(name)
            if alias.lower() == "latest":
                numbers = view.snapshot.versions(model.name)
                number = numbers[-1] if numbers else refuse(f"Latest version not found for model {name}.", ABSENT)
            else:
                found = found_alias(model, alias)
                number = model.aliases[found] if found else refuse(f"Registered model alias {alias} not found.")
            return self._named(model, view.told(model, number))

    def _named(self, model: Model, told: Told) -> ModelVersion:
        """Return a version with its aliases."""
        aliases = [their_name(alias) for alias, number in model.aliases.items() if number == told.reference.number]
        return told.entity(self._uri, aliases)

    @in_mlflows_words
    def get_model_version_download_uri(self, name: str, version: Any) -> str:
        """Return where MLflow finds a verified copy of a version's files."""
        validation._validate_model_name(name)
        number = validation._validate_model_version(version)
        with self._desk.looking() as view:
            return files_uri(view.version(name, number)[1].reference, self._uri)

    # ── searches

    @in_mlflows_words
    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """Return a page of the models that a filter finds, in order of name unless asked for another."""
        query = finding.model_query(filter_string, max_results, order_by, page_token)
        with self._desk.looking() as view:

            def value(one: FoundModel, key: str) -> Any:
                return (
                    shown_model(one.name, one.state["title"])
                    if key == "name"
                    else view.moments.of_model(one.name).order
                )

            kept = [
                one
                for one in view.registry.search_models()
                if finding.holds(query.clauses, partial(value, one), one.state["tags"])
                and (query.is_of_prompts or one.state["tags"].get(IS_PROMPT) != "true")
            ]
            rows, token = query.page(kept, value)
            return PagedList([self._model(view, view.snapshot.known_model(one.name)) for one in rows], token)

    @in_mlflows_words
    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """Return a page of the versions that a filter finds, those that changed last first unless asked otherwise."""
        query = finding.version_query(filter_string, max_results, order_by, page_token)
        with self._desk.looking() as view:
            rows, token = query.page(self._searched(view, query), Row.value)
            return PagedList([row.told.entity(self._uri) for row in rows], token)

    def _searched(self, view: View, query: finding.Query) -> list[Row]:
        name = finding.named_exactly(query.clauses)
        ours = found_model(view.snapshot, name) if name is not None else ""
        if ours is None:
            return []
        rows = rows_of(view, view.registry.search(f"name = '{ours}'" if ours else ""), self._uri)
        prompts = (
            {row.theirs for row in rows if row.tags.get(IS_PROMPT) == "true"} if not query.is_of_prompts else set()
        )
        return [row for row in rows if row.theirs not in prompts and finding.holds(query.clauses, row.value, row.tags)]


class Row:
    """A version that a search found, as filters and orders look at it. Its facts are read where somebody asks for them."""

    def __init__(self, found: FoundVersion, theirs: str, moment: tuple[int, int], *, first: str, registry: str) -> None:
        self.theirs = theirs
        self.tags = found.own_tags
        self._found, self._moment, self._first, self._registry = found, moment, first, registry

    @cached_property
    def told(self) -> Told:
        """The whole of it."""
        return told_found(self._found, self.theirs, first=self._first, moment=self._moment)

    def value(self, key: str) -> Any:
        """Return what it has for a name in MLflow's grammar."""
        if key == "name":
            return self.theirs
        if key == "version_number":
            return self._found.reference.number
        if key == "last_updated_timestamp":
            return self._moment[1]
        if key == "creation_timestamp":
            return self.told.created
        return self.told.run if key == "run_id" else self.told.source(self._registry)


def rows_of(view: View, found: Sequence[FoundVersion], registry: str) -> list[Row]:
    """Return what a search found as rows, in its order."""
    shown = {
        name: shown_model(name, view.snapshot.known_model(name).title) for name in {one.reference.name for one in found}
    }
    return [
        Row(
            one,
            shown[one.reference.name],
            view.moments.of_version(*one.reference),
            first=view.law.first_stage,
            registry=registry,
        )
        for one in found
    ]


def stage_named(law: Constitution, stage: str) -> str:
    """Return what MLflow calls a stage that somebody named. Raises MlflowException for one that neither side knows."""
    found = found_stage(law, stage)
    return shown_stage(found, law.first_stage) if found else str(get_canonical_stage(stage))
