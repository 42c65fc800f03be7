"""What the process that measures formats does with one: writes a model in it, reads it back and predicts, by the clock.

Only the work on the model is clocked: before, everything has run once on a model of two rows, so that no import is in it.
No pickle of anybody's is opened: those that are read here were written here a moment ago, from the estimator whose bytes
were verified.
"""

from __future__ import annotations

import json
import pickle
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import Trust

_CALLS = 5
"""Predictions of which the median counts, after one that does not; fewer where one takes long."""
_LONG = 1.0
MOST_ROWS = 10_000
"""As many rows as are compared at most."""
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Job:
    """One format, once. `original` is the format and file of what was registered; `own` the version's file in this format,
    where it has one; `table` a file of rows, of which `columns` are the inputs. `is_compared`: whether the answers are.
    """

    format: str
    original: Sequence[str]
    own: str = ""
    table: str = ""
    columns: Sequence[str] = ()
    is_compared: bool = False


class Way(NamedTuple):
    """How an estimator is written in a format and read back, and the modules that it takes."""

    modules: tuple[str, ...]
    write: Callable[[Any, Path, Any, Trust], None]
    read: Callable[[Path, Trust], Any]
    has_threads: bool = False


# ── the formats


def _estimator(native: Any, format: str) -> Any:  # noqa: A002
    from gitops_registry.formats.estimator import EstimatorModel, facts_of

    return EstimatorModel(native, facts_of(native)[0], format)


def _write_pickle(estimator: Any, path: Path, rows: Any, trust: Trust) -> None:  # noqa: ARG001
    with path.open("wb") as file:
        pickle.dump(estimator, file, protocol=pickle.HIGHEST_PROTOCOL)


def _read_pickle(path: Path, trust: Trust) -> Any:  # noqa: ARG001
    with path.open("rb") as file:
        return _estimator(pickle.load(file), "pickle")  # noqa: S301 - written here a moment ago


def _write_joblib(estimator: Any, path: Path, rows: Any, trust: Trust) -> None:  # noqa: ARG001
    import joblib

    joblib.dump(estimator, path)


def _read_joblib(path: Path, trust: Trust) -> Any:  # noqa: ARG001
    import joblib

    return _estimator(joblib.load(path), "joblib")  # written here a moment ago


def _write_skops(estimator: Any, path: Path, rows: Any, trust: Trust) -> None:  # noqa: ARG001
    from gitops_registry.formats import sklearn

    sklearn.save(estimator, path)


def _read_skops(path: Path, trust: Trust) -> Any:
    from gitops_registry.formats import sklearn

    return sklearn.load(path, trust)


def _write_mlflow(estimator: Any, path: Path, rows: Any, trust: Trust) -> None:  # noqa: ARG001
    import mlflow.sklearn

    from gitops_registry.formats.sklearn import DEFAULT_TRUSTED_TYPES

    mlflow.sklearn.save_model(
        estimator, str(path), serialization_format="skops", skops_trusted_types=[*DEFAULT_TRUSTED_TYPES, *trust.types],
        pip_requirements=["scikit-learn"],  # finding out what is needed takes seconds, and says nothing of the format
    )  # fmt: skip


class _Served:
    """A model as MLflow serves it (python_function), with columns picked as the estimator knows them."""

    format, labels = "mlflow", None

    def __init__(self, served: Any, fitting: Callable[[Any], Any]) -> None:
        self.native, self._fitting = served, fitting

    def predict(self, table: Any) -> Any:
        import numpy

        return numpy.asarray(self.native.predict(self._fitting(table)))


def _read_mlflow(path: Path, trust: Trust) -> Any:  # noqa: ARG001
    import mlflow.pyfunc

    served = mlflow.pyfunc.load_model(str(path))
    return _Served(served, _estimator(served.get_raw_model(), "mlflow").fitting)


def _write_onnx(estimator: Any, path: Path, rows: Any, trust: Trust) -> None:  # noqa: ARG001
    from gitops_registry.formats import onnx

    if rows is None:
        raise RegistryError("cannot be converted: there are no rows that show its columns", hint="give --data")
    onnx.convert(estimator, path, sample=rows)


def _read_onnx(path: Path, trust: Trust) -> Any:
    from gitops_registry.formats import onnx

    return onnx.load(path, trust)


WAYS = {
    "pickle": Way((), _write_pickle, _read_pickle),
    "joblib": Way(("joblib",), _write_joblib, _read_joblib),
    "skops": Way(("skops.io",), _write_skops, _read_skops),
    "mlflow": Way(("mlflow.sklearn", "mlflow.pyfunc"), _write_mlflow, _read_mlflow),
    "onnx": Way(("skl2onnx", "onnxruntime"), _write_onnx, _read_onnx, has_threads=True),
}
"""The formats that a scikit-learn estimator can be written in, in the order they are measured."""


# ── one job


def measured(job: Job, folder: Path, trust: Trust) -> dict[str, Any]:
    """Return the size in bytes of a model in a format, and the milliseconds of saving, loading and predicting 1 and 100 rows.

    What there is nothing to measure with is None: rows, or a way to write what was registered. `agreement` is the share of
    at most 10,000 rows that are answered as by the original. Raises whatever the libraries do.
    """
    from gitops_registry.formats import open_model

    original = open_model(job.original[0], Path(job.original[1]), trust=trust)
    rows = rows_in(Path(job.table), job.columns).head(MOST_ROWS) if job.table else None
    way = WAYS.get(job.format) if hasattr(original.native, "get_params") else None
    file, save_ms = Path(job.own), None
    if way is not None:
        rehearse(way, folder)
        save_ms = _written(lambda: way.write(original.native, folder / "model", rows, trust), is_needed=not job.own)
        file = file if job.own else folder / "model"
    else:
        open_model(job.format, file, trust=trust)  # else the clock would run while its libraries are imported
    read = way.read if way else lambda path, trusted: open_model(job.format, path, trust=trusted)
    load_ms, model = _clocked(lambda: read(file, trust))
    found: dict[str, Any] = {"size": _size(file), "save_ms": save_ms, "load_ms": load_ms}
    if rows is not None:
        hundred = rows.take([n % len(rows) for n in range(100)])
        found["predict_1_ms"] = _predicting(model, rows.head(1))
        found["predict_100_ms"] = _predicting(model, hundred)
        if job.is_compared:
            found["agreement"] = agreement(original, model, rows)
    return found


def rows_in(file: Path, columns: Sequence[str] = ()) -> Any:
    """Return the table in a .csv, .parquet or .json file; of it the columns, where some are named.

    JSON is an input example: `{"columns": …, "data": …}`, or a list of rows. Raises RegistryError.
    """
    from gitops_registry.measure import read_table

    table = _example(file) if file.suffix.lower() == ".json" else read_table(file)
    return table.set_axis([str(name) for name in table.columns], axis=1)[list(columns)] if columns else table


def _example(file: Path) -> Any:
    import pandas

    try:
        told = json.loads(file.read_bytes())
        told = told.get("dataframe_split", told) if isinstance(told, dict) else told
        is_split = isinstance(told, dict) and {"columns", "data"} <= set(told)
        table = pandas.DataFrame(told["data"], columns=told["columns"]) if is_split else pandas.DataFrame(told)
    except (ValueError, TypeError, RecursionError) as error:
        raise RegistryError(f"{file.name} is no table: {error}", hint="give rows with --data FILE") from error
    if not len(table):
        raise RegistryError(f"{file.name} has no rows", hint="give rows with --data FILE")
    return table


def prepare(job: Job, folder: Path) -> None:
    """Import and use what a format takes, before the process of a job is forked. Raises whatever the libraries do.

    A library that keeps threads is imported alone: who has some cannot be forked. It is used first where the job is done.
    """
    way = WAYS.get(job.format)
    opening = WAYS.get(job.original[0])
    modules = [*(opening.modules if opening else ()), *(way.modules if way else ("torch",))]
    for module in ("pandas", "sklearn.tree", "gitops_registry.measure", *modules):
        import_module(module)
    if way is not None and not way.has_threads:
        rehearse(way, folder)


def rehearse(way: Way, folder: Path) -> None:
    """Write, read and use a model of two rows, so that all that the libraries import late is there."""
    import pandas
    from sklearn.tree import DecisionTreeClassifier

    rows = pandas.DataFrame({"x": [0.0, 1.0]})
    target = folder / "rehearsal"
    way.write(DecisionTreeClassifier().fit(rows, [0, 1]), target, rows, Trust())
    way.read(target, Trust()).predict(rows)
    shutil.rmtree(target) if target.is_dir() else target.unlink()


def _written(write: Callable[[], None], *, is_needed: bool) -> float | None:
    """Return how long writing takes; None where it cannot be written, and need not be."""
    try:
        return _clocked(write)[0]
    except Exception:
        if is_needed:
            raise
        return None


def agreement(original: Any, model: Any, rows: Any) -> float:
    """Return the share of rows on which a model answers what the original does: equal labels, values within 1e-4."""
    import numpy

    first, second = numpy.asarray(original.predict(rows)), numpy.asarray(model.predict(rows))
    if first.shape != second.shape:
        raise RegistryError(f"answers {second.shape} where the original answers {first.shape}", hint="write it again")
    if original.labels is None and first.dtype.kind in "fc":
        same = numpy.isclose(second, first, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
    else:
        same = first == second
    return float(same.reshape(len(rows), -1).all(axis=1).mean())


def _predicting(model: Any, rows: Any) -> float:
    model.predict(rows)
    times: list[float] = []
    while len(times) < _CALLS and sum(times) < _LONG * 1e3:
        times.append(_clocked(lambda: model.predict(rows))[0])
    return statistics.median(times)


def _clocked(do: Callable[[], Any]) -> tuple[float, Any]:
    """Return the milliseconds that something takes, and what comes of it."""
    start = time.perf_counter_ns()
    found = do()
    return (time.perf_counter_ns() - start) / 1e6, found


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
