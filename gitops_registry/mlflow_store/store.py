"""The store that MLflow calls: every method of its AbstractStore, with the arguments, answers and errors of SqlAlchemyStore.

Each call that changes something is one decision, judged by the registry's policies; what changes nothing makes no commit.
"""

from __future__ import annotations

from typing import Any, NoReturn

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.entities.model_registry.model_version_stages import (
    DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS,
    get_canonical_stage,
)
from mlflow.exceptions import MlflowException
from mlflow.prompt.registry_utils import handle_resource_already_exist_error, has_prompt_tag
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.utils import validation

from gitops_registry import labelling, removing
from gitops_registry.mlflow_store import changing
from gitops_registry.mlflow_store.arriving import NewVersion, arrival
from gitops_registry.mlflow_store.asking import Asking, stage_named
from gitops_registry.mlflow_store.desk import Desk
from gitops_registry.mlflow_store.naming import found_alias, found_model, found_stage, free_alias, free_model
from gitops_registry.mlflow_store.refusing import EXISTS, in_mlflows_words, names_are_taken, refuse, told_to_mlflow
from gitops_registry.mlflow_store.sources import Runs
from gitops_registry.mlflow_store.uris import settled


class RegistryStore(Asking, AbstractStore):  # type: ignore[misc]
    """A registry as MLflow's store, made by MLflow for `gitops:…` addresses. Threads may share it, and so may forks."""

    def __init__(self, store_uri: str | None = None, tracking_uri: str | None = None) -> None:
        super().__init__(store_uri, tracking_uri)
        self._uri = store_uri or ""
        self._tracking_uri = tracking_uri
        self._start()

    def _start(self) -> None:
        with told_to_mlflow():
            self._uri = settled(self._uri)
            self._desk = Desk(self._uri)
            self._desk.open()
        self._runs = Runs(self._tracking_uri)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {key: value for key, value in state.items() if key not in {"_desk", "_runs"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._start()

    # ── models

    @in_mlflows_words
    def create_registered_model(
        self, name: str, tags: Any = None, description: str | None = None, deployment_job_id: Any = None
    ) -> RegisteredModel:
        """Make a model; one that was deleted goes on with the next number. Raises MlflowException where the name is taken."""
        validation._validate_model_name(name)
        for tag in tags or []:
            validation._validate_registered_model_tag(tag.key, tag.value)
        given = {tag.key: _text(tag.value) for tag in tags or []}
        with self._desk.looking() as view:
            if (known := found_model(view.snapshot, name)) is not None:
                is_prompt = view.snapshot.known_model(known).tags.get("mlflow.prompt.is_prompt") == "true"
                handle_resource_already_exist_error(name, is_prompt, has_prompt_tag(tags))
            with names_are_taken():
                self._desk.decide(changing.new_model(name, description=description or "", tags=given), registers=True)
        return self.get_registered_model(name)

    @in_mlflows_words
    def update_registered_model(
        self, name: str, description: str | None, deployment_job_id: Any = None
    ) -> RegisteredModel:
        """Give a model another description."""
        validation._validate_model_name(name)
        self._describe(name, None, words={"description": description or ""})
        return self.get_registered_model(name)

    @in_mlflows_words
    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a model another name. The old one is spent, and a name that is or was a model's is not given."""
        validation._validate_model_renaming(new_name)
        validation._validate_model_name(name)
        with self._desk.looking() as view:
            model = view.model(name)
            if name != new_name:
                if found_model(view.snapshot, new_name) is not None:
                    refuse(f"Registered Model (name={new_name}) already exists.", EXISTS)
                with names_are_taken():
                    new = free_model(view.snapshot, new_name)
                    self._desk.decide(changing.renaming(model.name, new, new_name))
        return self.get_registered_model(new_name)

    @in_mlflows_words
    def delete_registered_model(self, name: str) -> None:
        """Delete a model with its versions; what serves is refused."""
        validation._validate_model_name(name)
        with self._desk.looking() as view:
            self._desk.decide(removing.deletion(view.model(name).name, "", force=False))

    @in_mlflows_words
    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Give a model a tag, whatever value it had."""
        validation._validate_model_name(name)
        validation._validate_registered_model_tag(tag.key, tag.value)
        self._describe(name, None, tags={tag.key: _text(tag.value)})

    @in_mlflows_words
    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Take a tag of a model away, if it has it."""
        validation._validate_model_name(name)
        validation._validate_tag_name(key)
        self._describe(name, None, tags={key: None})

    # ── versions

    @in_mlflows_words
    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Any = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Store the files of a source as the next version of a model, with what its run recorded."""
        validation._validate_model_name(name)
        for tag in tags or []:
            validation._validate_model_version_tag(tag.key, tag.value)
        new = NewVersion(
            name,
            source,
            run_id,
            {tag.key: tag.value for tag in tags or []},
            run_link,
            description,
            local_model_path,
            model_id,
        )
        with self._desk.looking() as view:
            view.model(name)
        with arrival(self._desk, self._runs, new) as intent:
            outcome = self._desk.decide(intent, registers=True)
        number = next(change.version for change in outcome.changes if change.kind == "version_registered")
        return self.get_model_version(name, number)

    @in_mlflows_words
    def update_model_version(self, name: str, version: Any, description: str | None = None) -> ModelVersion:
        """Give a version another description."""
        validation._validate_model_name(name)
        number = validation._validate_model_version(version)
        self._describe(name, number, words={"description": description or ""})
        return self.get_model_version(name, number)

    @in_mlflows_words
    def transition_model_version_stage(
        self, name: str, version: Any, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Move a version to a stage, and archive whoever else is there where that is asked for."""
        with self._desk.looking() as view:
            wanted = stage_named(view.law, stage)
            if archive_existing_versions and wanted not in DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS:
                raise MlflowException(
                    "Model version transition cannot archive existing model versions because "
                    f"'{stage}' is not an Active stage. Valid stages are {DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS}"
                )
            ours = found_stage(view.law, stage)
            if ours is None:
                there = ", ".join(stage_named(view.law, one.name) for one in view.law.stages)
                refuse(f"this registry has no stage {get_canonical_stage(stage)}; it has {there}")
            validation._validate_model_name(name)
            _, told = view.version(name, validation._validate_model_version(version))
            self._desk.decide(changing.transition(told.reference, ours, archives=bool(archive_existing_versions)))
        return self.get_model_version(name, version)

    @in_mlflows_words
    def delete_model_version(self, name: str, version: Any) -> None:
        """Delete a version with its aliases; its number is never given again. What serves is refused."""
        number = validation._validate_model_version(version)
        validation._validate_model_name(name)
        with self._desk.looking() as view:
            reference = view.version(name, number)[1].reference
            self._desk.decide(removing.deletion(reference.name, reference.number, force=False))

    @in_mlflows_words
    def set_model_version_tag(self, name: str, version: Any, tag: Any) -> None:
        """Give a version a tag, whatever value it had."""
        validation._validate_model_name(name)
        number = validation._validate_model_version(version)
        validation._validate_model_version_tag(tag.key, tag.value)
        self._describe(name, number, tags={tag.key: tag.value})

    @in_mlflows_words
    def delete_model_version_tag(self, name: str, version: Any, key: str) -> None:
        """Take a tag of a version away, if it has it."""
        validation._validate_model_name(name)
        number = validation._validate_model_version(version)
        validation._validate_tag_name(key)
        self._describe(name, number, tags={key: None})

    def _describe(
        self, name: str, number: int | None, *, words: dict[str, Any] | None = None, tags: Any = None
    ) -> None:
        """Give a model, or with a number one version of it, other words or tags, where they are others."""
        with self._desk.looking() as view, self._desk.place() as place:
            held = view.model(name) if number is None else view.version(name, number)[1]
            tags = {key: value for key, value in (tags or {}).items() if held.tags.get(key) != value}
            words = {key: text for key, text in (words or {}).items() if getattr(held, key) != text}
            if tags or words:
                ours = view.model(name).name
                self._desk.decide(labelling.description(place, ours, number or "", tags=tags, words=words))

    # ── aliases

    @in_mlflows_words
    def set_registered_model_alias(self, name: str, alias: str, version: Any) -> None:
        """Let an alias name a version, whatever it named before."""
        validation._validate_model_name(name)
        validation._validate_model_alias_name(alias)
        validation._validate_model_alias_name_reserved(alias)
        number = validation._validate_model_version(version)
        with self._desk.looking() as view:
            model, told = view.version(name, number)
            spelled = found_alias(model, alias) or free_alias(view.law, model, alias)
            if model.aliases.get(spelled) != number:
                self._desk.decide(labelling.new_alias(*told.reference, spelled))

    @in_mlflows_words
    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Take an alias away, if the model has it."""
        validation._validate_model_name(name)
        validation._validate_model_alias_name(alias)
        with self._desk.looking() as view:
            model = view.model(name)
            if (spelled := found_alias(model, alias)) is not None:
                self._desk.decide(labelling.no_alias(model.name, spelled))

    def _await_model_version_creation(self, mv: ModelVersion, await_creation_for: int) -> None:
        """Wait for nothing: a version that was made is ready."""

    # ── webhooks, which a registry has in its forge

    def create_webhook(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse."""
        _no_webhooks()

    def get_webhook(self, webhook_id: str) -> NoReturn:
        """Refuse."""
        _no_webhooks()

    def update_webhook(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse."""
        _no_webhooks()

    def delete_webhook(self, webhook_id: str) -> NoReturn:
        """Refuse."""
        _no_webhooks()

    def test_webhook(self, webhook_id: str, event: Any = None) -> NoReturn:
        """Refuse."""
        _no_webhooks()

    def list_webhooks(self, max_results: int | None = None, page_token: str | None = None) -> Any:
        """Return none."""
        return PagedList([], None)

    def list_webhooks_by_event(self, event: Any, max_results: int | None = None, page_token: str | None = None) -> Any:
        """Return none: a server asks after every change."""
        return PagedList([], None)


def _no_webhooks() -> NoReturn:
    raise MlflowException(
        "Webhooks are not supported by a registry in git: the forge that holds it has them.",
        error_code=codes.NOT_IMPLEMENTED,
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)
