"""What is found out about a model before it is registered: a fitted estimator or a file, opened, converted, compared.

A folder is taken as it is: nothing in it is opened. The Python original is kept as skops and converted to ONNX; a pickle is never kept. What is looked at is the stored
file, read back as a user would read it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitops_registry import formats, measure
from gitops_registry.errors import RegistryError
from gitops_registry.formats import torch_module
from gitops_registry.formats.loaded import PARITY_FLOOR, Description, LoadedModel
from gitops_registry.formats.scored import classes_of, with_classes
from gitops_registry.manifest.facts import Framework, Parity, Training
from gitops_registry.manifest.figures import Classes
from gitops_registry.manifest.parts import Param, Task
from gitops_registry.workplace import Workplace

_ROWS_OF_EXAMPLE = 8
_ROWS_OF_SCORES = 1000


@dataclass(frozen=True)
class Rows:
    """Evaluation rows: inputs as a table and, where known, the truth, what the truth's column is called and where from."""

    inputs: Any
    truth: Any = None
    target: str = ""
    dataset: str = ""
    sha256: str | None = None
    file: Path | None = None
    table: Any = None
    """All columns of the rows, where some are no inputs of the model."""


@dataclass(frozen=True)
class NewFile:
    """One file or folder of a version before it is stored: what it is, which it was made from, and how well it agrees.

    `stored` is what it is called in the version; without it, `model` and the suffix it has.
    """

    name: str
    path: Path
    format: str
    derived_from: str | None = None
    parity: Parity | None = None
    stored: str = ""


@dataclass(frozen=True)
class Handling:
    """How a model is to be taken: converted to ONNX of which operator set, and of which classes its outputs are scores."""

    onnx: bool = True
    opset: int = 18
    labels: tuple[Any, ...] | None = None


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
    classes: Classes | None = None


def rows_of(file: Path, target: str) -> Rows:
    """Return the evaluation rows in a table file. Raises RegistryError for what cannot be read."""
    inputs, truth = measure.split_target(measure.read_table(file), target)
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    return Rows(inputs, truth, target, _shown_name(file), digest, file)


def trained_on(file: Path, target: str = "") -> Training:
    """Return what is kept of a table that a model was trained on. Raises RegistryError for what cannot be read."""
    table = measure.read_table(file)
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    features = len(table.columns) - (target in table.columns)
    return Training(dataset=_shown_name(file), rows=len(table), features=features, data_sha256=digest)


def _shown_name(file: Path) -> str:
    return file.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def appraise(place: Workplace, model: Any, folder: Path, *, rows: Rows | None, how: Handling = Handling()) -> Appraisal:
    """Return what there is to know of a fitted estimator, a torch module, or a model's file or folder (a Path).

    New files are made in `folder`. Raises RegistryError where the model cannot be read, stored or converted into something
    that agrees with it.
    """
    if isinstance(model, Path) and model.is_dir():
        return _from_folder(place, model, _as_table(rows, None), how)
    if isinstance(model, Path):
        return _from_file(place, model, folder, how=how, rows=_as_table(rows, None))
    if torch_module.is_module(model):
        return _from_module(place, model, folder, how=how, rows=_as_table(rows, None))
    return _from_estimator(
        place, model, folder, how=how, rows=_as_table(rows, getattr(model, "feature_names_in_", None))
    )


def _as_table(rows: Rows | None, names: Any) -> Rows | None:
    """Return rows whose inputs have named columns: those of the estimator where it knows them, else x0, x1, …"""
    if rows is None or hasattr(rows.inputs, "columns"):
        return rows
    import numpy
    import pandas

    given = rows.inputs.detach().cpu() if hasattr(rows.inputs, "detach") else rows.inputs
    values = given.toarray() if hasattr(given, "toarray") else numpy.asarray(given)
    if values.ndim > 2:  # tensors, for a model that takes them
        return replace(rows, inputs=values)
    if values.ndim != 2:
        raise RegistryError(
            f"the evaluation rows have {values.ndim} dimension(s), and a table has 2",
            hint="give a DataFrame or a 2-D array: one row for each example",
        )
    known = names is not None and len(names) == values.shape[1]
    columns = list(names) if known else [f"x{n}" for n in range(values.shape[1])]
    return replace(rows, inputs=pandas.DataFrame(values, columns=columns))


def _from_estimator(place: Workplace, estimator: Any, folder: Path, *, how: Handling, rows: Rows | None) -> Appraisal:
    from gitops_registry.formats import sklearn

    original = folder / "model.skops"
    sklearn.save(estimator, original)
    return _around(place, estimator, sklearn.load(original, place.trust), original, folder, how=how, rows=rows)


def _around(
    place: Workplace, estimator: Any, loaded: LoadedModel, original: Path, folder: Path, *, how: Handling, rows: Rows | None
) -> Appraisal:  # fmt: skip
    """Return what there is to know of an estimator that is stored in a file and read back from it."""
    from gitops_registry.formats.estimator import facts_of

    task, model_type, framework, params = facts_of(estimator)
    rows, left_out = _inputs_only(rows, getattr(estimator, "feature_names_in_", None))
    files = [NewFile("model", original, loaded.format)]
    notes = [f"not inputs of the model, left out: {', '.join(left_out)}"] if left_out else []
    if task == "other" and rows is not None and rows.truth is not None:
        rows = replace(rows, truth=None)
        notes.append(f"not measured: {model_type} is neither a classifier nor a regressor")
    elif rows is not None and rows.truth is None:
        notes.append("not measured: the truth of the evaluation rows was not given (y)")
    if how.onnx:
        place.tell("converting to ONNX")
        converted, note = _converted(estimator, loaded, folder / "model.onnx", rows, how.opset)
        files += [converted] if converted else []
        notes += [note] if note else []
    return Appraisal(task, model_type, framework, params, tuple(files), loaded, rows, tuple(notes))


def _from_module(place: Workplace, module: Any, folder: Path, *, how: Handling, rows: Rows | None) -> Appraisal:
    """Store a torch module as TorchScript, or as .pt2 where it has no words for it, and as ONNX."""
    if rows is None:
        raise RegistryError(
            "a torch module is stored by what it answers to some rows", hint="give evaluation rows: X=…"
        )
    task, model_type, framework, params = torch_module.facts_of(module)
    example, notes = rows.inputs[:_ROWS_OF_EXAMPLE], []
    try:
        kind, original = "torchscript", folder / "model.pt"
        torch_module.save_torchscript(module, original, example=example)
    except RegistryError as error:
        notes.append(f"kept as .pt2: {error.message}")
        kind, original = "torch-export", folder / "model.pt2"
        torch_module.save_export(module, original, example=example)
    loaded, classes = _scored(formats.open_model(kind, original, trust=place.trust), rows, how)
    files = [NewFile("model", original, kind)]
    if how.onnx:
        place.tell("converting to ONNX")
        converted, note = _converted_module(module, loaded, classes, folder / "model.onnx", rows)
        files += [converted] if converted else []
        notes += [note] if note else []
    task = loaded.task if classes else "regression" if _is_regression(rows) else task
    return Appraisal(task, model_type, framework, params, tuple(files), loaded, rows, tuple(notes), classes)


def _is_regression(rows: Rows | None) -> bool:
    dtype = getattr(getattr(rows, "truth", None), "dtype", None)
    return getattr(dtype, "kind", "") == "f"


def _scored(loaded: LoadedModel, rows: Rows | None, how: Handling) -> tuple[LoadedModel, Classes | None]:
    """Return a model with the classes its scores are of, where it does not say them and the rows or the user do."""
    if loaded.labels is not None or rows is None or rows.truth is None:
        return loaded, None
    classes = classes_of(loaded.predict(rows.inputs[:_ROWS_OF_SCORES]), rows.truth, how.labels)
    return with_classes(loaded, classes), classes


def _converted_module(
    module: Any, original: LoadedModel, classes: Classes | None, target: Path, rows: Rows
) -> tuple[NewFile | None, str]:
    from gitops_registry.formats import onnx

    is_table = hasattr(rows.inputs, "columns")
    columns = [str(name) for name in rows.inputs.columns] if is_table else None
    try:
        torch_module.convert_onnx(module, target, example=rows.inputs[:_ROWS_OF_EXAMPLE], columns=columns)
        return _agreeing(target, onnx.parity(original, with_classes(onnx.load(target), classes), rows.inputs))
    except RegistryError as error:
        return None, f"no ONNX: {error.message}"


def _inputs_only(rows: Rows | None, names: Any) -> tuple[Rows | None, list[str]]:
    """Return the rows with the columns the model was fitted on, in its order, and the names of the others."""
    if rows is None or names is None or not hasattr(rows.inputs, "columns"):
        return rows, []
    wanted, there = [str(name) for name in names], [str(name) for name in rows.inputs.columns]
    if wanted == there or not set(wanted) <= set(there) or len(set(there)) < len(there):
        return rows, []
    table = rows.inputs.set_axis(there, axis=1)
    return replace(rows, inputs=table[wanted], table=table), [name for name in there if name not in set(wanted)]


def _converted(
    estimator: Any, original: LoadedModel, target: Path, rows: Rows | None, opset: int
) -> tuple[NewFile | None, str]:
    """Return the ONNX file and how well it agrees, or why there is none."""
    from gitops_registry.formats import onnx

    if rows is None:
        return None, "no ONNX: without evaluation rows nobody could say whether it agrees (give --data)"
    try:
        onnx.convert(estimator, target, sample=rows.inputs, opset=opset)
        return _agreeing(target, onnx.parity(original, onnx.load(target), rows.inputs))
    except RegistryError as error:
        return None, f"no ONNX: {error.message}"


def _agreeing(target: Path, parity: Parity) -> tuple[NewFile | None, str]:
    if parity.agreement >= PARITY_FLOOR:
        return NewFile("onnx", target, "onnx", "model", parity), ""
    return (
        None,
        f"no ONNX: it agrees on {parity.agreement:.2%} of {parity.rows} rows, and {PARITY_FLOOR:.1%} is the least",
    )


def _from_file(place: Workplace, file: Path, folder: Path, *, how: Handling, rows: Rows | None) -> Appraisal:
    kind = formats.by_file(file)
    loaded = formats.open_model(kind, file, trust=place.trust)
    if kind == "skops":
        return _from_estimator(place, loaded.native, folder, how=how, rows=_named(rows, loaded))
    if kind in formats.CODE:
        return _around(place, loaded.native, loaded, file, folder, how=how, rows=_named(rows, loaded))
    return _opened(kind, file, loaded, rows, how, notes=())


def _opened(
    kind: str, path: Path, loaded: LoadedModel, rows: Rows | None, how: Handling, *, notes: Sequence[str]
) -> Appraisal:
    """Return what there is to know of a file or folder that was opened and is stored as it is."""
    told = formats.describe(kind, path)
    loaded, classes = _scored(loaded, rows, how)
    framework = told.framework if kind != "onnx" else Framework(name="onnxruntime", version=_version_of("onnxruntime"))
    task: Task = loaded.task
    if task == "other" and rows is not None and rows.truth is not None:
        if _is_regression(rows):
            task = "regression"
        else:
            rows = replace(rows, truth=None)
            notes = [*notes, "not measured: nothing says which classes its outputs are scores of (--labels a,b,…)"]
    files = (NewFile("model", path, kind),)
    return Appraisal(
        task, told.model_type or kind, framework, {}, files, loaded, rows, (*notes, *told.notes), classes
    )  # fmt: skip


def _named(rows: Rows | None, loaded: LoadedModel) -> Rows | None:
    """Return rows whose columns are called as the estimator knows them, where they had no names of their own."""
    names = getattr(loaded.native, "feature_names_in_", None)
    is_ours = rows is not None and [str(n) for n in rows.inputs.columns] == [
        f"x{n}" for n in range(rows.inputs.shape[1])
    ]
    if rows is None or names is None or not is_ours or len(names) != rows.inputs.shape[1]:
        return rows
    return replace(rows, inputs=rows.inputs.set_axis(list(names), axis=1))


def _from_folder(place: Workplace, folder: Path, rows: Rows | None, how: Handling) -> Appraisal:
    """Return what a folder says of itself; where it holds a model that can be opened safely, that is measured."""
    kind = formats.by_folder(folder)
    code = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if formats.is_code(path))
    notes = [f"{code[0]} in it is a pickle, and whoever opens it runs the code in it"] if code else []
    told = formats.describe(kind, folder) if kind in formats.FOLDERS else Description("folder", "folder")
    if told.inner is not None and (rows is not None or told.inner[0] not in formats.CODE):
        return _opened(kind, folder, formats.open_model(kind, folder, trust=place.trust), rows, how, notes=notes)
    if rows is not None:
        raise RegistryError(
            f"{folder} is a folder, which is not opened here, so nothing can be measured",
            hint="leave out the evaluation rows and give what you measured: --metric accuracy=0.93",
        )
    files = (NewFile("model", folder, kind),)
    return Appraisal(
        "other", told.model_type or kind, told.framework, {}, files, None, None, (*notes, *told.notes)
    )  # fmt: skip


def model_in(place: Workplace, file: Path, *, allow_pickle: bool) -> Any:
    """Return the file, or of a pickle that the registry does not trust what is in it, where the user takes that upon them.

    That runs whatever code the file holds: only for files of one's own.
    """
    if file.is_dir() or not formats.is_code(file) or formats.SUFFIXES[file.suffix.lower()] in place.trust.formats:
        return file
    if not allow_pickle:
        trusting = f"trusted_formats: [{formats.SUFFIXES[file.suffix.lower()]}] in registry.yaml"
        raise RegistryError(
            f"{file.name} is a pickle, and opening one runs the code in it",
            hint="save it with skops.io.dump(model, 'model.skops'); or, for a file you made yourself: --allow-pickle; "
            f"where the registry is to keep such files: {trusting}",
        )
    from gitops_registry.formats import sklearn

    return sklearn.load_pickle(file).native


def _version_of(package: str) -> str:
    from importlib.metadata import version

    return version(package)
