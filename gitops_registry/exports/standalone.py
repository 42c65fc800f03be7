"""What an exported model answers with where this package is not: the file is copied beside the model, as it is.

It imports nothing of this package, and reads one description (model.json) that is written with it. Bytes that are not the
registered ones (`said["sha256"]`) are not opened. A table's columns are picked by name; text and numbers become what the model was given.
"""

from __future__ import annotations

import hashlib
import json
import os
from io import BytesIO
from pathlib import Path
from typing import Any

DESCRIPTION = "model.json"
MOST_MEMORY = 8 << 30
"""Bytes that the graphs of a process may have between them."""
_DTYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(int64)": "int64",
    "tensor(int32)": "int32", "tensor(bool)": "bool", "tensor(string)": "object",
}  # fmt: skip


class ExportedModel:
    """A model in a folder, ready to answer. Its SHA-256 is compared before anything reads it; ValueError where it differs.

    `said` is its description: reference, commit, sha256, format, task, labels, columns. Threads may share one. Where it says
    `scores`, the file gives scores or probabilities of the labels, and these make the answer.
    """

    def __init__(self, folder: Path) -> None:
        self.said: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        data = (folder / self.said["file"]).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != self.said["sha256"]:
            raise ValueError(
                f"{self.said['file']} is not what was registered as {self.said['version']}: its SHA-256 is {found}, not {self.said['sha256']}"
            )
        opened: dict[str, Any] = {
            "onnx": _Graph,
            "skops": _Estimator,
            "torchscript": _Program,
            "torch-export": _Program,
        }
        self._model = opened[self.said["format"]](data, self.said)

    def answers(self, table: Any) -> tuple[list[Any], list[dict[str, float]] | None]:
        """Return the label or value of each row of a DataFrame, and the probability of each label; None without any.

        Where the model takes tensors, they are given as an array.
        """
        columns = self.said["columns"]
        missing = [name for name in columns or () if name not in table.columns]
        if missing:
            raise ValueError(f"the table lacks {', '.join(map(repr, missing))}")
        values, scores = self._model.answers(table[columns] if columns else table)
        if self.said["scores"]:
            scores = _shares(values, is_logits=self.said["scores"] == "logits")
            values = [self.said["labels"][place] for place in scores.argmax(axis=1)]
        labels = [str(label) for label in self.said["labels"] or ()]
        if scores is None or not labels:
            return values, None
        return values, [dict(zip(labels, map(float, row), strict=True)) for row in scores]


def _shares(values: Any, *, is_logits: bool) -> Any:
    """Return scores, one for each label (or of two labels the second's alone), as probabilities."""
    import numpy

    scores = numpy.asarray(values, dtype=float)
    if scores.ndim == 1:
        second = 1 / (1 + numpy.exp(-scores)) if is_logits else scores
        return numpy.stack([1 - second, second], axis=1)
    if not is_logits:
        return scores
    raised = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


class _Graph:
    """An ONNX graph: its first output is a label or a value, its second the probabilities."""

    def __init__(self, data: bytes, said: dict[str, Any]) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        kind, use = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
        place = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, use)
        bounded = onnxruntime.OrtArenaCfg({"max_mem": MOST_MEMORY, "arena_extend_strategy": 1})
        onnxruntime.create_and_register_allocator(place, bounded)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(4, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry("session.use_env_allocators", "1")
        self._session = onnxruntime.InferenceSession(data, sess_options=options, providers=["CPUExecutionProvider"])
        self._own = {} if said["scores"] else {label: label for label in said["labels"] or ()}
        self._missing = said["missing"]
        wanted = 2 if said["probabilities"] and not said["scores"] else 1
        self._outputs = [output.name for output in self._session.get_outputs()][:wanted]

    def answers(self, table: Any) -> tuple[list[Any], Any]:
        inputs = self._session.get_inputs()
        if len(inputs) == 1:
            feed = {inputs[0].name: _cast(table, inputs[0].type, self._missing)}
        else:
            feed = {entry.name: _cast(table.iloc[:, [i]], entry.type, self._missing) for i, entry in enumerate(inputs)}
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


class _Program:
    """A program of torch's, written anew of what was reviewed when it was exported. Its answer is a tensor, an entry a row."""

    def __init__(self, data: bytes, said: dict[str, Any]) -> None:
        import torch

        self._dtype, self._shape = said["tensor"]
        torch.set_num_threads(min(4, torch.get_num_threads()))
        if said["format"] == "torchscript":
            self._module = torch.jit.load(BytesIO(data), map_location="cpu").eval()
        else:
            self._module = torch.export.load(BytesIO(data)).module()

    def answers(self, table: Any) -> tuple[list[Any], Any]:
        import numpy
        import torch

        array = numpy.asarray(table.to_numpy() if hasattr(table, "columns") else table)
        array = array.astype("float64") if array.dtype == object else array
        if self._dtype.startswith(("int", "uint")) and bool((array != array.round()).any()):
            raise ValueError(f"the model takes {self._dtype}, and the table has fractions")
        inner = (self._shape or [-1])[1:]
        if array.ndim == 2 and len(inner) > 1 and -1 not in inner:
            array = array.reshape(len(array), *inner)
        with torch.inference_mode():
            found = self._module(torch.from_numpy(numpy.ascontiguousarray(array)).to(getattr(torch, self._dtype)))
        found = found[0] if isinstance(found, (list, tuple)) and len(found) == 1 else found
        found = found.float() if found.dtype == torch.bfloat16 else found
        return (found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found).tolist(), None


def _cast(table: Any, kind: str, missing: list[str]) -> Any:
    """Return the columns as the array that an input of a graph takes; text that it fills in is empty where it is missing."""
    import numpy

    dtype = _DTYPES[kind]
    if not hasattr(table, "columns"):
        return numpy.asarray(table).astype(dtype)
    if dtype == "object":
        absent = table.isna()
        for name in table.columns:
            if bool(absent[name].any()) and name not in missing:
                raise ValueError("text may not be missing: ONNX has no missing text")
            if name in missing and bool((table[name] == "").any()):
                raise ValueError(f"text of {name!r} may not be empty: that is what stands for a missing one")
        return table.astype(object).where(~absent, "").astype(str).to_numpy(dtype=object)
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
        if isinstance(model_input, dict) and not columns:  # one tensor, by its name
            (model_input,) = model_input.values()
        is_ready = hasattr(model_input, "columns") or getattr(model_input, "ndim", 2) > 2
        table = model_input if is_ready else pandas.DataFrame(model_input, columns=columns)
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
