"""ONNX: what a model is served as. Files are opened, predict with onnxruntime, and are compared with what they were made from.

What a graph cannot say (the labels' own type, the columns' names, which text may be missing) stands in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import PARITY_FLOOR, Description, LoadedModel, Trust, lacking, reason
from gitops_registry.formats.onnx_conversion import KEY, convert, task_of
from gitops_registry.formats.onnx_graph import class_labels, has_external_data, is_format
from gitops_registry.formats.onnx_session import MOST_MEMORY, is_late, is_too_much, run, session_of
from gitops_registry.manifest.facts import Parity
from gitops_registry.manifest.parts import Task

__all__ = ["PARITY_FLOOR", "OnnxModel", "convert", "is_format", "load", "parity"]

_TOLERANCE = 1e-4
_DTYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(int64)": "int64",
    "tensor(int32)": "int32", "tensor(bool)": "bool", "tensor(string)": "object",
}  # fmt: skip


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
    """An onnxruntime session behind the interface of `LoadedModel`. `missing` are the columns whose missing text it fills in."""

    format = "onnx"

    def __init__(self, session: Any, data: bytes) -> None:
        self.native = session
        meta = session.get_modelmeta().custom_metadata_map
        said = {key.removeprefix(KEY): json.loads(value) for key, value in meta.items() if key.startswith(KEY)}
        outputs = session.get_outputs()
        is_label = outputs[0].type in {"tensor(int64)", "tensor(string)"}
        _require_plain(said)
        labels = said.get("labels") or class_labels(_parsed(data)) if is_label else None
        self.labels: list[Any] | None = list(labels) if labels else None
        self.task: Task = task_of(self.labels, is_values=not is_label and outputs[0].type in _DTYPES)
        self._columns: list[str] | None = said.get("columns")
        self.missing = frozenset(said.get("missing") or ())
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
            return run(self.native, names, self._feed(table), rows=len(table))
        except RegistryError:
            raise
        except Exception as error:  # onnxruntime's classes derive from Exception alone
            if is_too_much(error):
                told = f"the model needs more than {MOST_MEMORY >> 20} MB of memory"
                raise RegistryError(told, hint="predict fewer rows at once") from error
            if is_late(error):
                told = f"the model did not answer {len(table)} rows in the time it has"
                raise RegistryError(
                    told, hint="predict fewer rows at once; it may hold a loop without an end"
                ) from error
            raise RegistryError(
                f"the model cannot predict from this data: {reason(error)}",
                hint="compare the data with the model's signature",
            ) from error

    def _feed(self, table: Any) -> dict[str, Any]:
        import pandas

        inputs = self.native.get_inputs()
        if len(inputs) == 1 and getattr(table, "ndim", 2) > 2:
            return {inputs[0].name: table.astype(_dtype(inputs[0].type))}
        frame = table if hasattr(table, "columns") else pandas.DataFrame(table)
        names = self._columns
        if names is None and len(inputs) > 1:
            names = [entry.name for entry in inputs]
        if names is not None and not hasattr(table, "columns") and len(names) == frame.shape[1]:
            frame = frame.set_axis(names, axis=1)
        if names is not None and hasattr(table, "columns"):
            frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
            missing = [name for name in names if name not in frame.columns]
            if missing:
                raise lacking(missing, list(frame.columns))
            frame = frame[names]
        if len(inputs) == 1:
            return {inputs[0].name: _cast(frame, inputs[0].type, self.missing)}
        if frame.shape[1] != len(inputs):
            raise RegistryError(
                f"the model needs {len(inputs)} columns, not {frame.shape[1]}", hint="compare the data with it"
            )
        return {
            entry.name: _cast(frame.iloc[:, [index]], entry.type, self.missing) for index, entry in enumerate(inputs)
        }


def _require_plain(said: Mapping[str, Any]) -> None:
    """Raise ValueError unless labels are plain values and columns are names: whoever made the file wrote them."""
    for key, kinds in {"labels": (str, int, float, bool), "columns": (str,), "missing": (str,)}.items():
        values = said.get(key)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(value, kinds) for value in values):
            raise ValueError(f"its {key} are no list of plain values")
        json.dumps(values, allow_nan=False, ensure_ascii=False).encode()  # half of a surrogate pair is no text


def _cast(frame: Any, kind: str, missing: frozenset[str]) -> Any:
    """Return the columns as the array an input takes. ONNX has no missing text: the graph fills it in, or there is none."""
    import numpy

    dtype = _dtype(kind)
    if dtype == "object":
        return _text(frame, missing)
    with numpy.errstate(over="ignore"):  # beyond float32 is infinite, for trees the right side all the same
        if dtype.startswith("float"):
            return frame.to_numpy(dtype="float64", na_value=numpy.nan).astype(dtype)
        return frame.to_numpy(dtype=dtype)


def _dtype(kind: str) -> str:
    if kind not in _DTYPES:
        raise RegistryError(f"the model wants {kind} inputs, which are not tables", hint="use onnxruntime directly")
    return _DTYPES[kind]


def _text(frame: Any, missing: frozenset[str]) -> Any:
    """Return columns of text, with empty text for what is missing of the columns that the graph fills in."""
    absent = frame.isna()
    for place, name in enumerate(map(str, frame.columns)):
        cells, gone = frame.iloc[:, place], absent.iloc[:, place]
        if name not in missing:
            if gone.any():
                raise RegistryError(
                    f"column {name!r} has missing values, which ONNX text cannot have",
                    hint="fill them in, or use the model's skops file",
                )
        elif (cells == "").any() or any(value is None for value in cells[gone]):  # neither is NaN, which is filled in
            raise RegistryError(
                f"column {name!r} has empty text or None, which would be taken for a missing value (NaN) in ONNX",
                hint="give NaN for what is missing, or use the model's skops file",
            )
    return (
        (frame.astype(object).where(~absent, "") if absent.any(axis=None) else frame).astype(str).to_numpy(dtype=object)
    )


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
