"""MLflow's own store and ours side by side: the same call to both, and the answers in a form that can be compared.

What is different on purpose (docs/coming-from-mlflow.md) is taken out of the answers here, and nowhere else: times, who did
it, an empty description, and the numbers of a model that was deleted and made again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

from builder import World
from mlflow.entities.model_registry import ModelVersion, Prompt, PromptVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from gitops_registry.manifest.kinds import Constitution, Stage
from gitops_registry.manifest.writing import dump
from gitops_registry.mlflow_store.store import RegistryStore

FREE = Constitution(
    name="world", direct=True, approvals=0,
    stages=tuple(Stage(name=name) for name in ("development", "staging", "production", "archived")),
)  # fmt: skip
"""The registry that MLflow's rules are: any stage from any other, with as many versions as one likes, and nothing asked."""


def freed(world: World, **law: Any) -> World:
    """Give a registry MLflow's rules, but for what is said."""
    said = FREE.model_copy(update=law)
    world.commit({"registry.yaml": dump(said, "registry.yaml"), "policies/floors.yaml": None}, "free")
    return world


def model_folder(root: Path, content: str = "1") -> Path:
    """Make a folder that describes itself as a model of MLflow's."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "MLmodel").write_text("flavors: {python_function: {loader_module: scorer, python_version: 3.11.7}}\n")
    (root / "weights.txt").write_text(content)
    return root


class Template:
    """An empty registry and an empty database, made once and copied."""

    def __init__(self, world: World, root: Path) -> None:
        self.world = freed(world)
        self.database = root / "mlflow.db"
        store = SqlAlchemyStore(f"sqlite:///{self.database}")
        store._dispose_engine()
        self.source = model_folder(root / "source")

    def pair(self, root: Path) -> Pair:
        """Return both stores on copies in a folder."""
        world = World(root / "registry", template=self.world.root)
        shutil.copyfile(self.database, root / "mlflow.db")
        return Pair(world, root / "mlflow.db", self.source)


class Pair:
    """Both stores. A call is made to both; numbers of versions are those of MLflow's store."""

    def __init__(self, world: World, database: Path, source: Path) -> None:
        self.world = world
        self.theirs = SqlAlchemyStore(f"sqlite:///{database}")
        self.ours = RegistryStore(store_uri=f"gitops://{world.root}", tracking_uri=f"sqlite:///{database}")
        self.source = str(source)
        self.shift: dict[str, int] = {}
        """By how much numbers of a model are higher here, because it was deleted once."""

    def call(
        self, method: str, *arguments: Any, model: str | None = None, version: int | str | None = None, **named: Any
    ) -> Any:
        """Make a call to both, and return what both answer. The name of a model and a number come first, where they are given."""
        ours = theirs = (() if model is None else (model,)) + (() if version is None else (version,))
        if isinstance(version, int):
            ours = (*ours[:-1], version + self.shift.get(model or "", 0))
        if method == "set_registered_model_alias":  # its number comes last
            ours, theirs = (ours[0], *arguments, ours[1]), (theirs[0], *arguments, theirs[1])
            arguments = ()
        expected = self.asked_of_theirs(method, *theirs, *arguments, **named)
        found = self._asked(self.ours, method, *ours, *arguments, shifts=self.shift, **named)
        assert found == expected, (method, theirs, arguments, named)
        return expected

    def copy(self, model: str, version: int, to: str) -> Any:
        """Copy a version in both, and return what both answer."""
        if isinstance(self.call("get_model_version", model=model, version=version), str):
            return None
        expected, found = (
            self._asked(store, "copy_model_version", store.get_model_version(model, version), to, shifts=shifts)
            for store, shifts in ((self.theirs, {}), (self.ours, self.shift))
        )
        assert found == expected, ("copy_model_version", model, version, to)
        return expected

    def asked_of_theirs(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Return what MLflow's store answers; an exception of Python's that it lets out is what it calls INTERNAL_ERROR elsewhere."""
        try:
            return self._asked(self.theirs, method, *arguments, shifts={}, **named)
        except (TypeError, AttributeError, ValueError):
            return "error INTERNAL_ERROR"

    def _asked(self, store: Any, method: str, *arguments: Any, shifts: dict[str, int], **named: Any) -> Any:
        try:
            return normal(getattr(store, method)(*arguments, **named), shifts)
        except MlflowException as error:
            return f"error {error.error_code}"

    def close(self) -> None:
        """Let go of the database."""
        self.theirs._dispose_engine()


def normal(answer: Any, shifts: dict[str, int]) -> Any:
    """Return an answer as plain data, without what is different on purpose."""
    if isinstance(answer, PagedList):
        return [normal(one, shifts) for one in answer], answer.token
    if isinstance(answer, list):
        return sorted((normal(one, shifts) for one in answer), key=str)
    if isinstance(answer, Prompt):
        return {"name": answer.name, "description": answer.description or None, "tags": answer.tags}
    if isinstance(answer, PromptVersion):
        told = {"name": answer.name, "template": answer.template, "tags": answer.tags}
        number = answer.version - shifts.get(answer.name, 0)
        return {**told, "version": number, "commit_message": answer.commit_message, "aliases": sorted(answer.aliases)}
    if isinstance(answer, ModelVersion):
        told = {
            key: value
            for key, value in answer
            if key not in {"creation_timestamp", "last_updated_timestamp", "user_id"}
        }
        assert answer.creation_timestamp <= answer.last_updated_timestamp
        number = answer.version - shifts.get(answer.name, 0)
        return {**told, "version": number, "description": answer.description or None, "aliases": sorted(answer.aliases)}
    if isinstance(answer, RegisteredModel):
        told = {key: value for key, value in answer if key not in {"creation_timestamp", "last_updated_timestamp"}}
        assert answer.creation_timestamp <= answer.last_updated_timestamp
        shift = shifts.get(answer.name, 0)
        aliases = {alias: number - shift for alias, number in answer.aliases.items()}
        latest = normal(list(answer.latest_versions), shifts)
        return {**told, "description": answer.description or None, "aliases": aliases, "latest_versions": latest}
    return answer
