"""Calls of MLflow's store on a registry beside MLflow's own store on SQLite, in small and in larger registries.

A call that changes something is a commit that the rules have judged, and SQLite's a row. So the ratio is what an audit trail
costs, and what must not happen is that it grows with the registry.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from ground import fill, folder, in_turns, started, table

from gitops_registry.manifest.kinds import Stage
from gitops_registry.manifest.writing import dump
from gitops_registry.registry import Registry

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

SIZES = {"3 models × 3": 3, "300 models × 3": 300}
"""Names of registries, by how many models of three versions they hold."""
TIMES = 15
Call = Callable[[Any], Any]


def main() -> None:
    """Print a table for each size."""
    with folder() as there:
        facts = started(there / "facts")
        source = there / "source"
        source.mkdir()
        (source / "MLmodel").write_text("flavors: {python_function: {loader_module: scorer, python_version: 3.11.7}}\n")
        (source / "weights").write_bytes(b"0" * 100_000)
        for name, models in SIZES.items():
            root = there / str(models)
            print(f"filling a registry of {models * 3} versions …")
            started(root)
            loosened(root)
            fill(root, facts, {f"model-{n}": 3 for n in range(models)})
            table(
                f"MLflow's store, {name} versions: milliseconds of the clock, medians in turns",
                ["call", "SQLite", "registry", "times"],
                [
                    [call, f"{theirs * 1000:.1f}", f"{ours * 1000:.1f}", f"{ours / theirs:.1f}"]
                    for call, theirs, ours in compared(root, source, models)
                ],
            )


def loosened(root: Path) -> None:
    """Let anything move anywhere, as MLflow does."""
    law = Registry.open(root).snapshot.constitution
    stages = tuple(Stage(name=stage.name) for stage in law.stages)
    free = law.model_copy(update={"direct": True, "approvals": 0, "stages": stages})
    (root / "registry.yaml").write_bytes(dump(free, "registry.yaml"))
    for policy in (root / "policies").glob("*.yaml"):
        policy.unlink()
    subprocess.run(["git", "-C", str(root), "add", "-A"], check=True)
    subprocess.run(["git", "-C", str(root), "commit", "--quiet", "-m", "let anything move anywhere"], check=True)


def compared(root: Path, source: Path, models: int) -> Iterator[tuple[str, float, float]]:
    """Yield each call with the seconds of MLflow's own store and of the registry's."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    from gitops_registry.mlflow_store.store import RegistryStore

    database = f"sqlite:///{root}-runs.db"
    theirs = SqlAlchemyStore(database)
    for number in range(models):
        theirs.create_registered_model(f"model-{number}")
        for _ in range(3):
            theirs.create_model_version(f"model-{number}", str(source))
    ours = RegistryStore(store_uri=f"gitops://{root}", tracking_uri=database)
    for name, (before, call) in calls(source).items():
        found = in_turns(
            {"theirs": partial(timed, theirs, before, call), "ours": partial(timed, ours, before, call)}, times=TIMES
        )
        yield name, found["theirs"], found["ours"]


def calls(source: Path) -> Mapping[str, tuple[Call, Call]]:
    """Return calls as people make them, by what they are called, each behind what comes before and is not measured."""
    from mlflow.entities.model_registry import ModelVersionTag

    fresh = count()  # two numbers a turn, one for each store

    def tag(store: Any) -> None:
        store.set_model_version_tag("model-1", 1, ModelVersionTag("n", str(next(fresh))))

    def move(store: Any) -> None:
        store.transition_model_version_stage("model-1", 1, ("Staging", "Production")[next(fresh) // 2 % 2], False)

    def name(store: Any) -> None:
        store.set_registered_model_alias("model-1", f"a{next(fresh)}", 1)

    return {
        "get_model_version": (nothing, lambda store: store.get_model_version("model-1", 1)),
        "get_model_version after a decision": (name, lambda store: store.get_model_version("model-1", 1)),
        "search_model_versions of one model": (
            nothing,
            lambda store: store.search_model_versions("name = 'model-1'", 100),
        ),
        "search_registered_models, at most 100": (
            nothing,
            lambda store: store.search_registered_models(max_results=100),
        ),
        "create_registered_model": (nothing, lambda store: store.create_registered_model(f"new-{next(fresh)}")),
        "create_model_version, 100 kB": (nothing, lambda store: store.create_model_version("model-1", str(source))),
        "set_model_version_tag": (nothing, tag),
        "set_registered_model_alias": (nothing, name),
        "transition_model_version_stage": (nothing, move),
    }


def nothing(store: Any) -> None:
    """Come before a call that stands for itself."""


def timed(store: Any, before: Call, call: Call) -> float:
    """Return the seconds of the clock that a call took behind another one."""
    before(store)
    began = time.perf_counter()
    call(store)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
