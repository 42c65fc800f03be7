"""The questions that MLflow asks of a registry: what there is, in which stage, under which alias, and where its files are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.entities.model_registry.model_version_stages import ALL_STAGES, get_canonical_stage
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY as IS_PROMPT
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
from gitops_registry.searching import FoundVersion


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
            return [told.entity(self._uri, _aliases(model, told)) for told in newest if told.stage in wanted]

    @in_mlflows_words
    def get_model_version(self, name: str, version: Any) -> ModelVersion:
        """Return a version with its aliases."""
        validation._validate_model_name(name)
        number = validation._validate_model_version(version)
        with self._desk.looking() as view:
            model, told = view.version(name, number)
            return told.entity(self._uri, _aliases(model, told))

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
            told = view.told(model, number)
            return told.entity(self._uri, _aliases(model, told))

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
        finding.check_model_count(max_results)
        clauses = finding.model_clauses(filter_string)
        order = finding.model_order(order_by)
        offset = finding.offset_of(page_token)
        wants_prompts = finding.asks_for_prompts(clauses)
        with self._desk.looking() as view:
            found = {shown_model(one.name, one.state["title"]): one for one in view.registry.search_models()}
            kept = [
                name
                for name, one in found.items()
                if finding.holds(clauses, ({"name": name}, one.state["tags"]))
                and (wants_prompts or one.state["tags"].get(IS_PROMPT) != "true")
            ]
            moments = {name: view.moments.of_model(found[name].name) for name in kept}
            values = {name: {"name": name, "last_updated_timestamp": moments[name].order} for name in kept}
            names, token = finding.page(
                finding.in_order(kept, order, lambda n, key: values[n][key]), max_results, offset
            )
            return finding.paged(
                [self._model(view, view.snapshot.known_model(found[name].name)) for name in names], token
            )

    @in_mlflows_words
    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """Return a page of the versions that a filter finds, those that changed last first unless asked otherwise."""
        finding.check_version_count(max_results)
        clauses = finding.version_clauses(filter_string)
        order = finding.version_order(order_by)
        offset = finding.offset_of(page_token)
        with self._desk.looking() as view:
            told = self._searched(view, clauses)
            rows, token = finding.page(finding.in_order(told, order, _value), max_results, offset)
            return finding.paged([one.entity(self._uri) for one in rows], token)

    def _searched(self, view: View, clauses: Sequence[finding.Clause]) -> list[Told]:
        name = finding.named_exactly(clauses)
        ours = found_model(view.snapshot, name) if name is not None else ""
        if ours is None:
            return []
        told = [_told(view, one) for one in view.registry.search(f"name = '{ours}'" if ours else "")]
        kept = [one for one in told if finding.holds(clauses, (_attributes(one, self._uri), one.tags))]
        if finding.asks_for_prompts(clauses):
            return kept
        prompts = {one.theirs for one in told if one.tags.get(IS_PROMPT) == "true"}
        return [one for one in kept if one.theirs not in prompts]


def _told(view: View, one: FoundVersion) -> Told:
    model = view.snapshot.known_model(one.reference.name)
    moment = view.moments.of_version(*one.reference)
    return told_found(one, shown_model(model.name, model.title), first=view.law.first_stage, moment=moment)


def _attributes(one: Told, registry: str) -> dict[str, Any]:
    source = one.lineage.source or files_uri(one.reference, registry)
    return {"name": one.theirs, "version_number": one.reference.number, "run_id": one.run, "source_path": source}


def _value(one: Told, key: str) -> Any:
    if key == "name":
        return one.theirs
    if key == "version_number":
        return one.reference.number
    return one.created if key == "creation_timestamp" else one.order


def _aliases(model: Model, told: Told) -> list[str]:
    return [their_name(alias) for alias, number in model.aliases.items() if number == told.reference.number]


def stage_named(law: Constitution, stage: str) -> str:
    """Return what MLflow calls a stage that somebody named. Raises MlflowException for one that neither side knows."""
    found = found_stage(law, stage)
    return shown_stage(found, law.first_stage) if found else str(get_canonical_stage(stage))
