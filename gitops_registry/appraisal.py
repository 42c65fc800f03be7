"""What is found out about a model before it is registered: a fitted estimator or a file, opened, converted, compared.

A folder is taken as it is: nothing in it is opened. The Python original is kept as skops and converted to ONNX; a pickle is never kept. What is looked at is the stored
file, read back as a user would read it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitops_registry import formats, measure
from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import LoadedModel
from gitops_registry.manifest.facts import Framework, Parity, Training
from gitops_registry.manifest.parts import Param, Task
from gitops_registry.workplace import Workplace


@dataclass(frozen=True)
class Rows:
    """Evaluation rows: inputs as a table and, where known, the truth, what the truth's column is called and where from."""

    inputs: Any
    truth: Any = None
    target: str = ""
    dataset: str = ""
    sha256: str | None = None


@dataclass(frozen=True)
class NewFile:
    """One file or folder of a version before it is stored: what it is, which it was made from, and how well it agrees."""

    name: str
    path: Path
    format: str
    derived_from: str | None = None
    parity: Parity | None = None


@dataclass(frozen=True)
class Appraisal:
    """What was found out about one model; `loaded` is None for a folder, which nobody opens."""

    task: Task
    model_type: str
    framework: Framework | None
    params: Mapping[str, Param]
    files: tuple[NewFile, ...]
    loaded: LoadedModel | None
    rows: Rows | None = None
    notes: tuple[str, ...] = ()


def rows_of(file: Path, target: str) -> Rows:
    """Return the evaluation rows in a table file. Raises RegistryError for what cannot be read."""
    inputs, truth = measure.split_target(measure.read_table(file), target)
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    return Rows(inputs, truth, target, _shown_name(file), digest)


def trained_on(file: Path, target: str = "") -> Training:
    """Return what is kept of a table that a model was trained on. Raises RegistryError for what cannot be read."""
    table = measure.read_table(file)
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    features = len(table.columns) - (target in table.columns)
    return Training(dataset=_shown_name(file), rows=len(table), features=features, data_sha256=digest)


def _shown_name(file: Path) -> str:
    return file.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def appraise(place: Workplace, model: Any, folder: Path, *, rows: Rows | None, onnx: bool) -> Appraisal:
    """Return what there is to know of a fitted estimator, or a model's file or folder (a Path); new files are made in `folder`.

    Raises RegistryError where the model cannot be read, stored or converted into something that agrees with it.
    """
    if isinstance(model, Path) and model.is_dir():
        return _from_folder(model, rows)
    rows = _as_table(rows, getattr(model, "feature_names_in_", None))
    if isinstance(model, Path):
        return _from_file(place, model, folder, onnx=onnx, rows=rows)
    return _from_estimator(place, model, folder, onnx=onnx, rows=rows)


def _as_table(rows: Rows | None, names: Any) -> Rows | None:
    """Return rows whose inputs have named columns: those of the estimator where it knows them, else x0, x1, …"""
    if rows is None or hasattr(rows.inputs, "columns"):
        return rows
    import numpy
    import pandas

    values = rows.inputs.toarray() if hasattr(rows.inputs, "toarray") else numpy.asarray(rows.inputs)
    if values.ndim != 2:
        raise RegistryError(
            f"the evaluation rows have {values.ndim} dimension(s), and a table has 2",
            hint="give a DataFrame or a 2-D array: one row for each example",
        )
    known = names is not None and len(names) == values.shape[1]
    columns = list(names) if known else [f"x{n}" for n in range(values.shape[1])]
    return replace(rows, inputs=pandas.DataFrame(values, columns=columns))


def _from_estimator(place: Workplace, estimator: Any, folder: Path, *, onnx: bool, rows: Rows | None) -> Appraisal:
    from gitops_registry.formats import sklearn
    from gitops_registry.formats.estimator import facts_of

    task, model_type, framework, params = facts_of(estimator)
    rows, left_out = _inputs_only(rows, getattr(estimator, "feature_names_in_", None))
    original = folder / "model.skops"
    sklearn.save(estimator, original)
    loaded = sklearn.load(original, place.trust)
    files = [NewFile("model", original, "skops")]
    notes = [f"not inputs of the model, left out: {', '.join(left_out)}"] if left_out else []
    if task == "other" and rows is not None and rows.truth is not None:
        rows = replace(rows, truth=None)
        notes.append(f"not measured: {model_type} is neither a classifier nor a regressor")
    elif rows is not None and rows.truth is None:
        notes.append("not measured: the truth of the evaluation rows was not given (y)")
    if onnx:
        place.tell("converting to ONNX")
        converted, note = _converted(estimator, loaded, folder / "model.onnx", rows)
        files += [converted] if converted else []
        notes += [note] if note else []
    return Appraisal(task, model_type, framework, params, tuple(files), loaded, rows, tuple(notes))


def _inputs_only(rows: Rows | None, names: Any) -> tuple[Rows | None, list[str]]:
    """Return the rows with the columns the model was fitted on, in its order, and the names of the others."""
    if rows is None or names is None or not hasattr(rows.inputs, "columns"):
        return rows, []
    wanted, there = [str(name) for name in names], [str(name) for name in rows.inputs.columns]
    if wanted == there or not set(wanted) <= set(there) or len(set(there)) < len(there):
        return rows, []
    inputs = rows.inputs.set_axis(there, axis=1)[wanted]
    return replace(rows, inputs=inputs), [name for name in there if name not in set(wanted)]


def _converted(estimator: Any, original: LoadedModel, target: Path, rows: Rows | None) -> tuple[NewFile | None, str]:
    """Return the ONNX file and how well it agrees, or why there is none."""
    from gitops_registry.formats import onnx

    if rows is None:
        return None, "no ONNX: without evaluation rows nobody could say whether it agrees (give --data)"
    try:
        onnx.convert(estimator, target, sample=rows.inputs)
        parity = onnx.parity(original, onnx.load(target), rows.inputs)
    except RegistryError as error:
        return None, f"no ONNX: {error.message}"
    if parity.agreement < onnx.PARITY_FLOOR:
        return (
            None,
            f"no ONNX: it agrees on {parity.agreement:.2%} of {parity.rows} rows, and {onnx.PARITY_FLOOR:.1%} is the least",
        )
    return NewFile("onnx", target, "onnx", "model", parity), ""


def _from_file(place: Workplace, file: Path, folder: Path, *, onnx: bool, rows: Rows | None) -> Appraisal:
    kind = formats.by_file(file)
    loaded = formats.open_model(kind, file, trust=place.trust)
    if kind == "skops":
        return _from_estimator(place, loaded.native, folder, onnx=onnx, rows=rows)
    task: Task = loaded.task if loaded.task is not None else "other"
    return Appraisal(
        task,
        "ONNX graph",
        Framework(name="onnxruntime", version=_version_of("onnxruntime")),
        {},
        (NewFile("model", file, kind),),
        loaded,
        rows,
    )


def _from_folder(folder: Path, rows: Rows | None) -> Appraisal:
    if rows is not None:
        raise RegistryError(
            f"{folder} is a folder, which is not opened here, so nothing can be measured",
            hint="leave out the evaluation rows and give what you measured: --metric accuracy=0.93",
        )
    kind = formats.by_folder(folder)
    code = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if formats.is_code(path))
    notes = [f"{code[0]} in it is a pickle, and whoever opens it runs the code in it"] if code else []
    model_type = "MLflow model" if kind == "mlflow" else "folder"
    return Appraisal("other", model_type, None, {}, (NewFile("model", folder, kind),), None, None, tuple(notes))


def from_pickle(file: Path) -> Any:
    """Return the estimator in a pickle, which runs whatever code the file holds: only for files of one's own."""
    from gitops_registry.formats import sklearn

    return sklearn.load_pickle(file).native


def _version_of(package: str) -> str:
    from importlib.metadata import version

    return version(package)
