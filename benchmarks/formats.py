"""Saving, loading and predicting beside the bare libraries, and registering beside MLflow's `log_model`.

`load` and `predict` are those of a registered version: the bytes compared with their SHA-256, what is in them judged, the
rows held against the signature. `bare` is what the documentation of the format's own library says, and one SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from ground import folder, forest, in_turns, started, table, verdict

from gitops_registry.formats.pickle_reviewed import renamed
from gitops_registry.manifest.kinds import Constitution
from gitops_registry.manifest.writing import dump
from gitops_registry.registry import Registry

TREES = 100
TARGET = 1.15
FASTER = 10.0


def main() -> None:
    """Print the tables."""
    warnings.simplefilter("ignore")
    with folder() as there:
        registry, files, (model, rows, truth) = filled(there)
        loading(registry, files)
        predicting(registry, files, rows)
        saving(there, model)
        registering(registry, there, model, rows, truth)


def filled(there: Path) -> tuple[Registry, Mapping[str, Path], tuple[Any, Any, Any]]:
    """Return a registry with one forest as skops, ONNX, joblib and pickle, and the files of each."""
    import joblib

    root = there / "registry"
    started(root, trees=TREES)
    law = Registry.open(root).snapshot.constitution.model_copy(update={"trusted_formats": ("joblib", "pickle")})
    (root / "registry.yaml").write_bytes(dump(law, "registry.yaml"))
    os.system(f"git -C {root} commit -qam 'trust pickles'")
    registry = Registry.open(root)
    model, rows, truth = forest(TREES)
    joblib.dump(model, there / "model.joblib")
    registry.register("classic", there / "model.joblib", X=rows, y=truth, onnx=False)
    registry.register("served", model, X=rows, y=truth)
    files = {
        file.suffix[1:]: file for name in ("classic", "served") for file in registry.pull(f"{name}@1", to=there / name)
    }
    assert isinstance(law, Constitution)
    return registry, files, (model, rows, truth)


NAMES = {"onnx": "served@1", "skops": "served@1", "joblib": "classic@1"}


def loading(registry: Registry, files: Mapping[str, Path]) -> None:
    """Print what loading costs."""
    found = []
    for kind, name in NAMES.items():
        measures = {
            "bare": partial(cpu, BARE[kind], files[kind]),
            "ours": partial(cpu, registry.load, name, format=kind),
        }
        took = in_turns(measures, times=15)
        ratio = took["ours"] / took["bare"]
        found.append([kind, f"{files[kind].stat().st_size / 1e6:.1f} MB", *shown(took), f"{ratio:.2f}", f"{TARGET:.2f}", verdict(ratio, TARGET)])  # fmt: skip
    parts(files["joblib"])
    title = f"load a forest of {TREES} trees: CPU milliseconds, medians in turns; bare = the library and one SHA-256"
    table(title, ["format", "size", "bare", "ours", "ratio", "target", ""], found)


def parts(file: Path) -> None:
    """Print what a joblib file costs before and while anything is built of it, beside joblib's own reading."""
    import joblib

    from gitops_registry.formats.joblib_reading import built
    from gitops_registry.formats.pickle_reader import examine

    data = file.read_bytes()
    found = examine(data, has_arrays=True)

    def resolve(module: str, name: str) -> Any:
        return getattr(import_module(renamed(module, name).rpartition(".")[0]), name)

    measures = {
        "joblib.load": partial(cpu, joblib.load, file),
        "examined": partial(cpu, partial(examine, data, has_arrays=True)),
        "built": partial(cpu, built, data, found.arrays, resolve),
    }
    took = in_turns(measures, times=15)
    rows = [[name, f"{value * 1000:.1f}"] for name, value in took.items()]
    table("a joblib file: CPU milliseconds, medians in turns", ["part", "ms"], rows)


def predicting(registry: Registry, files: Mapping[str, Path], rows: Any) -> None:
    """Print what predicting 1 and 100 rows costs, of models that are loaded."""
    found = []
    for kind, name in NAMES.items():
        bare, ours = BARE[kind](files[kind]), registry.load(name, format=kind)
        for count in (1, 100):
            some = rows.head(count)
            numbers = {bare.get_inputs()[0].name: some.to_numpy("float32")} if kind == "onnx" else {}
            own = partial(bare.run, None, numbers) if kind == "onnx" else partial(bare.predict, some)
            took = in_turns({"bare": partial(wall, own), "ours": partial(wall, ours.predict, some)}, times=41)
            found.append([kind, str(count), *shown(took, 3), f"{(took['ours'] - took['bare']) * 1000:.3f}"])
    title = "predict: milliseconds by the clock, medians in turns; ours holds the rows against the signature"
    table(title, ["format", "rows", "bare", "ours", "more"], found)


def saving(there: Path, model: Any) -> None:
    """Print what each library takes to write the model, MLflow without looking for requirements."""
    import joblib
    import mlflow.sklearn
    import skops.io

    def mlflow_folder() -> None:
        shutil.rmtree(there / "mlflow", ignore_errors=True)
        trusted = ["sklearn.tree._tree.Tree"]
        mlflow.sklearn.save_model(
            model, there / "mlflow", pip_requirements=["scikit-learn"], skops_trusted_types=trusted
        )

    took = in_turns(
        {
            "joblib": partial(cpu, joblib.dump, model, there / "saved.joblib"),
            "skops": partial(cpu, skops.io.dump, model, there / "saved.skops"),
            "ours (skops, deflated)": partial(cpu, ours, model, there / "ours.skops"),
            "MLflow folder": partial(cpu, quiet(mlflow_folder)),
        },
        times=5,
    )
    rows = [[name, f"{value * 1000:.1f}"] for name, value in took.items()]
    table("save: CPU milliseconds, medians in turns", ["as", "ms"], rows)


def registering(registry: Registry, there: Path, model: Any, rows: Any, truth: Any) -> None:
    """Print what registering takes by the clock: measured, converted, committed; and MLflow's log_model."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{there}/mlflow.db")
    mlflow.set_experiment(
        experiment_id=mlflow.create_experiment("benchmark", artifact_location=str(there / "artifacts"))
    )

    def log_model() -> None:
        with mlflow.start_run():
            trusted = ["sklearn.tree._tree.Tree"]
            mlflow.sklearn.log_model(
                model,
                name="model",
                input_example=rows.head(5),
                registered_model_name="classic",
                skops_trusted_types=trusted,
            )

    took = in_turns(
        {
            "MLflow log_model": partial(wall, quiet(log_model)),
            "register": partial(wall, registry.register, "served", model, X=rows, y=truth),
            "register, no ONNX": partial(wall, partial(registry.register, "plain", model, X=rows, y=truth, onnx=False)),
        },
        times=3,
    )
    slow = took["MLflow log_model"]
    found = [
        [name, f"{value:.2f}", f"{slow / value:.1f}", verdict(-slow / value, -FASTER)] for name, value in took.items()
    ]
    title = (
        f"register a forest of {TREES} trees: seconds by the clock; MLflow finds out its requirements, target 10 times"
    )
    table(title, ["", "s", "times as fast", ""], found)


def cpu(call: Callable[..., Any], *given: Any, **named: Any) -> float:
    """Return the CPU seconds of a call."""
    start = process_time()
    call(*given, **named)
    return process_time() - start


def wall(call: Callable[..., Any], *given: Any, **named: Any) -> float:
    """Return the seconds of a call by the clock."""
    start = perf_counter()
    call(*given, **named)
    return perf_counter() - start


def quiet(call: Callable[[], None]) -> Callable[[], None]:
    """Return the call without what it prints."""

    def done() -> None:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            call()

    return done


def shown(took: Mapping[str, float], digits: int = 1) -> list[str]:
    """Return times as milliseconds."""
    return [f"{value * 1000:.{digits}f}" for value in took.values()]


def hashed(file: Path) -> Path:
    """Read the whole file once."""
    with file.open("rb") as data:
        hashlib.file_digest(data, "sha256").hexdigest()
    return file


def bare_onnx(file: Path) -> Any:
    """Open a session as onnxruntime's documentation does."""
    import onnxruntime

    return onnxruntime.InferenceSession(str(hashed(file)), providers=["CPUExecutionProvider"])


def bare_skops(file: Path) -> Any:
    """Load an estimator as skops' documentation does, with the types it holds known beforehand."""
    from skops.io import load

    return load(hashed(file), trusted=["sklearn.tree._tree.Tree"])


def bare_joblib(file: Path) -> Any:
    """Load an estimator as joblib's documentation does."""
    import joblib

    return joblib.load(hashed(file))


def ours(model: Any, path: Path) -> None:
    """Write an estimator as the registry does."""
    from gitops_registry.formats.sklearn import save

    save(model, path)


BARE = {"onnx": bare_onnx, "skops": bare_skops, "joblib": bare_joblib}


if __name__ == "__main__":
    main()
