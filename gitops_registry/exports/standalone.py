"""What an exported model answers with where this package is not: the file is copied beside the model, as it is.

It imports nothing of this package, and reads one description (model.json) that is written with it. Bytes that are not the
registered ones are not opened. A table's columns are picked by name; text and numbers become what the model was given.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

DESCRIPTION = "model.json"
_DTYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(int64)": "int64",
    "tensor(int32)": "int32", "tensor(bool)": "bool", "tensor(string)": "object",
}  # fmt: skip


class ExportedModel:
    """A model in a folder, ready to answer. Its SHA-256 is compared before anything reads it; ValueError where it differs.

    `said` is its description: reference, commit, sha256, format, task, labels, columns. Threads may share one.
    """

    def __init__(self, folder: Path) -> None:
        self.said: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        data = (folder / self.said["file"]).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != self.said["sha256"]:
            raise ValueError(
                f"{self.said['file']} is not what was registered as {self.said['version']}: its SHA-256 is {found}, not {self.said['sha256']}"
            )
        opened: dict[str, Any] = {"onnx": _Graph, "skops": _Estimator}
        self._model = opened[self.said["format"]](data, self.said)

    def answers(self, table: Any) -> tuple[list[Any], list[dict[str, float]] | None]:
        """Return the label or value of each row of a DataFrame, and the probability of each label; None without any."""
        columns = self.said["columns"]
        missing = [name for name in columns or () if name not in table.columns]
        if missing:
            raise ValueError(f"the table lacks {', '.join(map(repr, missing))}")
        values, scores = self._model.answers(table[columns] if columns else table)
        labels = [str(label) for label in self.said["labels"] or ()]
        if scores is None or not labels:
            return values, None
        return values, [dict(zip(labels, map(float, row), strict=True)) for row in scores]


class _Graph:
    """An ONNX graph: its first output is a label or a value, its second the probabilities."""

    def __init__(self, data: bytes, said: dict[str, Any]) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(4, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self._session = onnxruntime.InferenceSession(data, sess_options=options, providers=["CPUExecutionProvider"])
        self._own = {label: label for label in said["labels"] or ()}
        wanted = 2 if said["probabilities"] else 1
        self._outputs = [output.name for output in self._session.get_outputs()][:wanted]

    def answers(self, table: Any) -> tuple[list[Any], Any]:
        inputs = self._session.get_inputs()
        if len(inputs) == 1:
            feed = {inputs[0].name: _cast(table, inputs[0].type)}
        else:
            feed = {entry.name: _cast(table.iloc[:, [i]], entry.type) for i, entry in enumerate(inputs)}
        first, *more = self._session.run(self._outputs, feed)
        values = (first[:, 0] if first.ndim == 2 and first.shape[1] == 1 else first).tolist()
        scores = more[0] if more else None
        if isinstance(scores, list):  # a ZipMap: a dict for each row
            scores = [[row[label] for label in self._own] for row in scores]
        if getattr(scores, "ndim", 2) != 2 or len(scores[0] if scores is not None else self._own) != len(self._own):
            scores = None
        return [self._own[value] for value in values] if self._own else values, scores


class _Estimator:
    """A scikit-learn estimator in a skops file, whose types were reviewed when it was exported."""

    def __init__(self, data: bytes, said: dict[str, Any]) -> None:
        import skops.io

        self._estimator = skops.io.loads(data, trusted=said["trusted_types"])
        self._has_scores = bool(said["probabilities"])
        self._is_named = hasattr(self._estimator, "feature_names_in_")

    def answers(self, table: Any) -> tuple[list[Any], Any]:
        is_numeric = all(getattr(dtype, "kind", "O") in "biuf" for dtype in table.dtypes)
        given = table if self._is_named or not is_numeric else table.to_numpy()
        scores = self._estimator.predict_proba(given) if self._has_scores else None
        return self._estimator.predict(given).tolist(), scores


def _cast(table: Any, kind: str) -> Any:
    """Return the columns as the array that an input of a graph takes."""
    import numpy

    dtype = _DTYPES[kind]
    if dtype == "object":
        if bool(table.isna().any(axis=None)):
            raise ValueError("text may not be missing: ONNX has no missing text")
        return table.astype(str).to_numpy(dtype=object)
    with numpy.errstate(over="ignore"):  # beyond float32 is infinite, for trees the right side all the same
        if dtype.startswith("float"):
            return table.to_numpy(dtype="float64", na_value=numpy.nan).astype(dtype)
        return table.to_numpy(dtype=dtype)


class _Flavor:
    """What MLflow calls for `python_function`."""

    def __init__(self, model: ExportedModel) -> None:
        self._model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Return a label or a value for each row; with the parameter `probabilities`, a table with those of each label too."""
        import numpy
        import pandas

        columns = self._model.said["columns"]
        is_table = hasattr(model_input, "columns")
        table = model_input if is_table else pandas.DataFrame(model_input, columns=columns)
        values, scores = self._model.answers(table)
        if not (params or {}).get("probabilities"):
            is_text = bool(values) and isinstance(values[0], str)
            return numpy.asarray(values, dtype=object if is_text else None)
        told: dict[str, list[Any]] = {"prediction": values}
        for label in scores[0] if scores else ():
            told[f"probability_{label}"] = [row[label] for row in scores or ()]
        return pandas.DataFrame(told)


def _load_pyfunc(path: str) -> _Flavor:
    """Return the model of a folder for MLflow, which calls this by name."""
    return _Flavor(ExportedModel(Path(path)))
