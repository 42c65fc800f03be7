"""ONNX: what a model is served as. Conversion from scikit-learn, prediction with onnxruntime, and their agreement.

A converted file is a function of the estimator and the sample's columns: converting twice gives the same
bytes. What a graph cannot say (the task, the labels' own type, the columns' names) stands in its metadata.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import PARITY_FLOOR, Description, LoadedModel, Trust, lacking, reason
from gitops_registry.formats.onnx_graph import class_labels, has_external_data, is_format, renumber
from gitops_registry.formats.onnx_session import MOST_MEMORY, is_too_much, session_of
from gitops_registry.manifest.facts import Parity
from gitops_registry.manifest.parts import Task

__all__ = ["PARITY_FLOOR", "OnnxModel", "convert", "is_format", "load", "parity"]

_KEY = "gitops_registry."
_TOLERANCE = 1e-4
_DTYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(int64)": "int64",
    "tensor(int32)": "int32", "tensor(bool)": "bool", "tensor(string)": "object",
}  # fmt: skip


# ── conversion


def convert(estimator: Any, path: Path, *, sample: Any, opset: int = 18) -> None:
    """Write the fitted scikit-learn estimator as ONNX of an operator set, for tables with the columns of the DataFrame `sample`.

    A table of numbers becomes one float32 input; with text among the columns, or where the pipeline picks
    columns by name, every column is an input of its own. Raises where some part has no ONNX equivalent.
    """
    from sklearn.base import is_classifier

    labels = _labels_of(estimator) if is_classifier(estimator) else None
    columns = [str(name) for name in sample.columns]
    is_text = [_is_text(str(name), dtype) for name, dtype in zip(sample.columns, sample.dtypes, strict=True)]
    attempts = ([] if any(is_text) else [_one_input(len(columns))]) + [_input_each(columns, is_text)]
    failure: Exception | None = None
    for inputs in attempts:
        try:
            model = _converted(estimator, inputs, opset, is_classifier=labels is not None)
            break
        except Exception as error:  # converters fail with whatever they stumble over
            if failure is None or "column name" in str(failure):  # else the first attempt's reason is the real one
                failure = error
    else:
        assert failure is not None
        raise RegistryError(
            f"{type(estimator).__name__} cannot be converted to ONNX: {reason(failure)}",
            hint="keep the skops file alone, or use steps that skl2onnx knows",
        ) from failure
    if labels is not None and not hasattr(estimator, "predict_proba"):
        del model.graph.output[1:]  # a decision function, which readers would take for probabilities
    renumber(model.graph)
    task = _task(labels, is_values=labels is None)
    for key, value in {"task": task, "labels": labels, "columns": columns}.items():
        model.metadata_props.add(key=_KEY + key, value=json.dumps(value, ensure_ascii=False))
    path.write_bytes(model.SerializeToString(deterministic=True))


def _labels_of(estimator: Any) -> list[Any]:
    classes = getattr(estimator, "classes_", None)
    if getattr(classes, "ndim", 0) != 1 or classes is None:
        raise RegistryError(
            f"{type(estimator).__name__} predicts several targets, which ONNX models here cannot",
            hint="keep the skops file alone",
        )
    labels: list[Any] = classes.tolist()
    if len(labels) < 2:
        raise RegistryError("a classifier of one class cannot be converted to ONNX", hint="train it on two or more")
    if any(isinstance(label, float) and not label.is_integer() for label in labels):
        raise RegistryError("labels that are fractions cannot be converted to ONNX", hint="use whole numbers or text")
    return labels


def _is_text(name: str, dtype: Any) -> bool:
    values = (
        dtype.categories.dtype if str(dtype) == "category" else dtype
    )  # categories are given to a graph as their values
    kind = getattr(values, "kind", "O")
    if kind not in "biufOUT":
        raise RegistryError(
            f"column {name!r} of type {dtype} cannot be an input of an ONNX model",
            hint="keep the skops file alone, or give the model numbers and text",
        )
    return kind in "OUT"


def _one_input(columns: int) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import FloatTensorType

    return [("input", FloatTensorType([None, columns]))]


def _input_each(columns: Sequence[str], is_text: Sequence[bool]) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    kinds = (StringTensorType if text else FloatTensorType for text in is_text)
    return [(name, kind([None, 1])) for name, kind in zip(columns, kinds, strict=True)]


def _converted(estimator: Any, inputs: list[tuple[str, Any]], opset: int, *, is_classifier: bool) -> Any:
    from skl2onnx import convert_sklearn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_sklearn(
            estimator,
            name="model",  # without it the name is random
            initial_types=inputs,
            target_opset=opset,
            # By identity: of options by name alone, skl2onnx looks through every part of the model four times.
            options={id(estimator): {"zipmap": False}} if is_classifier else None,
        )


# ── opening


def describe(path: Path) -> Description:
    """Return what an .onnx file says: who made it, its inputs and outputs. It is parsed and never run."""
    from gitops_registry.formats.onnx_graph import described

    try:
        return described(_parsed(path.read_bytes()))
    except Exception as error:  # protobuf's own classes, and what a damaged graph lacks
        raise RegistryError(
            f"{path.name} is not a readable ONNX model: {reason(error)}", hint="the file is damaged; save it again"
        ) from error


def load(path: Path, trust: Trust = Trust()) -> LoadedModel:  # noqa: ARG001, B008
    """Return the model in an .onnx file, ready to predict on the CPU. `trust` is not needed: ONNX holds no code.

    Raises for damaged files, for models whose weights lie in other files (a path inside the file could lead
    anywhere), and for operators that onnxruntime does not have.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    hint = "the file is damaged, or needs operators that this onnxruntime does not have"
    try:
        # External weights are named under this key, and parsing costs as much as a session: look before parsing.
        if b"location" in data and has_external_data(_parsed(data)):
            raise RegistryError(
                f"{path.name} keeps its weights in other files", hint="save it with all weights in the one .onnx file"
            )
        return OnnxModel(session_of(data), data)
    except RegistryError:
        raise
    except Exception as error:  # protobuf's and onnxruntime's own classes, which the file decides between
        raise RegistryError(f"{path.name} is not a readable ONNX model: {reason(error)}", hint=hint) from error


def _parsed(data: bytes) -> Any:
    import onnx

    return onnx.load_model_from_string(data)


# ── prediction


class OnnxModel:
    """An onnxruntime session behind the interface of `LoadedModel`."""

    format = "onnx"

    def __init__(self, session: Any, data: bytes) -> None:
        self.native = session
        meta = session.get_modelmeta().custom_metadata_map
        said = {key.removeprefix(_KEY): json.loads(value) for key, value in meta.items() if key.startswith(_KEY)}
        outputs = session.get_outputs()
        is_label = outputs[0].type in {"tensor(int64)", "tensor(string)"}
        _require_plain(said)
        labels = said.get("labels") or class_labels(_parsed(data)) if is_label else None
        self.labels: list[Any] | None = list(labels) if labels else None
        self.task: Task = _task(self.labels, is_values=not is_label and outputs[0].type in _DTYPES)
        self._columns: list[str] | None = said.get("columns")
        self._has_scores = len(outputs) > 1 and self.labels is not None
        self._names = [output.name for output in outputs]

    def predict(self, table: Any) -> Any:
        import numpy

        values = self._run(table, [self._names[0]])[0]
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if self.labels is None:
            return values
        own = {label: label for label in self.labels}
        try:
            found = [own[value] for value in values.tolist()]
        except KeyError as error:
            raise RegistryError(
                f"the model predicted {error}, which is not one of its labels", hint="convert it again"
            ) from error
        return numpy.asarray(found, dtype=object if isinstance(self.labels[0], str) else None)

    def predict_proba(self, table: Any) -> Any | None:
        import numpy

        if not self._has_scores or self.labels is None:
            return None
        scores = self._run(table, [self._names[1]])[0]
        if isinstance(scores, list):  # a ZipMap: a dict for each row
            scores = numpy.asarray([[row[label] for label in self.labels] for row in scores])
        return scores if scores.ndim == 2 and scores.shape[1] == len(self.labels) else None

    def _run(self, table: Any, names: list[str]) -> Any:
        try:
            return self.native.run(names, self._feed(table))
        except RegistryError:
            raise
        except Exception as error:  # onnxruntime's classes derive from Exception alone
            if is_too_much(error):
                told = f"the model needs more than {MOST_MEMORY >> 20} MB of memory"
                raise RegistryError(told, hint="predict fewer rows at once") from error
            raise RegistryError(
                f"the model cannot predict from this data: {reason(error)}",
                hint="compare the data with the model's signature",
            ) from error

    def _feed(self, table: Any) -> dict[str, Any]:
        import pandas

        inputs = self.native.get_inputs()
        frame = table if hasattr(table, "columns") else pandas.DataFrame(table)
        names = self._columns
        if names is None and len(inputs) > 1:
            names = [entry.name for entry in inputs]
        if names is not None and hasattr(table, "columns"):
            frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
            missing = [name for name in names if name not in frame.columns]
            if missing:
                raise lacking(missing, list(frame.columns))
            frame = frame[names]
        if len(inputs) == 1:
            return {inputs[0].name: _cast(frame, inputs[0].type)}
        if frame.shape[1] != len(inputs):
            raise RegistryError(
                f"the model needs {len(inputs)} columns, not {frame.shape[1]}", hint="compare the data with it"
            )
        return {entry.name: _cast(frame.iloc[:, [index]], entry.type) for index, entry in enumerate(inputs)}


def _require_plain(said: Mapping[str, Any]) -> None:
    """Raise ValueError unless labels are plain values and columns are names: whoever made the file wrote them."""
    for key, kinds in {"labels": (str, int, float, bool), "columns": (str,)}.items():
        values = said.get(key)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(value, kinds) for value in values):
            raise ValueError(f"its {key} are no list of plain values")
        json.dumps(values, allow_nan=False, ensure_ascii=False).encode()  # half of a surrogate pair is no text


def _cast(frame: Any, kind: str) -> Any:
    """Return the columns as the array an input takes. Text may not be missing: ONNX has no missing text."""
    import numpy

    dtype = _DTYPES.get(kind)
    if dtype is None:
        raise RegistryError(f"the model wants {kind} inputs, which are not tables", hint="use onnxruntime directly")
    if dtype == "object":
        missing = [str(name) for name in frame.columns if frame[name].isna().any()]
        if missing:
            raise RegistryError(
                f"column {missing[0]!r} has missing values, which ONNX text cannot have",
                hint="fill them in, or use the model's skops file",
            )
        return frame.astype(str).to_numpy(dtype=object)
    with numpy.errstate(over="ignore"):  # beyond float32 is infinite, for trees the right side all the same
        if dtype.startswith("float"):
            return frame.to_numpy(dtype="float64", na_value=numpy.nan).astype(dtype)
        return frame.to_numpy(dtype=dtype)


def _task(labels: Sequence[Any] | None, *, is_values: bool) -> Task:
    if labels is None:
        return "regression" if is_values else "other"
    return "binary-classification" if len(labels) == 2 else "multiclass-classification"


# ── agreement


def parity(original: LoadedModel, converted: LoadedModel, table: Any) -> Parity:
    """Return how far the converted model's predictions are from the original's on the table's rows.

    Labels agree if they are equal, or if the original's two best probabilities are equal to six digits and
    the best of both models, so rounded, is the same class: float32 breaks exact ties the other way. Values
    agree within 1e-4, absolute or relative.
    """
    import numpy

    first, second = numpy.asarray(original.predict(table)), numpy.asarray(converted.predict(table))
    if len(first) == 0:
        raise RegistryError("there are no rows to compare the models on", hint="give data with at least one row")
    if original.labels != converted.labels or first.shape != second.shape:
        raise RegistryError("the converted model has other outputs than the original", hint="convert it again")
    if original.labels is None:
        agree = numpy.isclose(second, first, rtol=_TOLERANCE, atol=_TOLERANCE)
        return _parity(agree.reshape(len(first), -1).all(axis=1), numpy.abs(second - first))
    agree = first == second
    p, q = original.predict_proba(table), converted.predict_proba(table)
    if p is None or q is None:
        return _parity(agree, numpy.zeros(1))
    p6, q6 = numpy.round(p, 6), numpy.round(q, 6)
    best = numpy.sort(p6, axis=1)
    is_tie = best[:, -1] - best[:, -2] < 1.5e-6
    return _parity(agree | (is_tie & (p6.argmax(axis=1) == q6.argmax(axis=1))), numpy.abs(p - q))


def _parity(agree: Any, differences: Any) -> Parity:
    largest = float(differences.max())
    if largest != largest or largest == float("inf"):
        raise RegistryError("the models' outputs are not all finite numbers", hint="check the data for extreme values")
    return Parity(rows=len(agree), agreement=float(agree.mean()), max_difference=largest)
