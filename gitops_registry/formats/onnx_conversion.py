"""A fitted scikit-learn estimator as ONNX.

A converted file is a function of the estimator and the sample's columns: converting twice gives the same bytes.
"""

from __future__ import annotations

import json
import re
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import reason
from gitops_registry.formats.onnx_graph import renumber
from gitops_registry.formats.onnx_imputing import with_empty_text
from gitops_registry.manifest.parts import Task

KEY = "gitops_registry."
"""What the names of our metadata in a graph begin with."""
_ADVERTISED = re.compile(
    r"[,.;]?\s*(?:Upgrade to a more recent version|(?:or |you may )?raise an issue)\b.*", re.IGNORECASE
)


def convert(estimator: Any, path: Path, *, sample: Any, opset: int = 18) -> None:
    """Write the fitted scikit-learn estimator as ONNX of an operator set, for tables with the columns of the DataFrame `sample`.

    A table of numbers becomes one float32 input, one of text an input of text; with both among the columns, or where the pipeline picks
    columns by name, every column is an input of its own. Missing text that the pipeline fills in is empty text in the
    graph (`missing` in its metadata names those columns). Raises where some part has no ONNX equivalent.
    """
    from sklearn.base import is_classifier

    labels = _labels_of(estimator) if is_classifier(estimator) else None
    columns = [str(name) for name in sample.columns]
    is_text = [_is_text(str(name), dtype) for name, dtype in zip(sample.columns, sample.dtypes, strict=True)]
    attempts = ([_one_input(is_text)] if len(set(is_text)) == 1 else []) + [_input_each(columns, is_text)]
    try:
        convertible, missing = with_empty_text(estimator, sample, is_text)
    except (
        Exception
    ):  # a table without some column, a part that cannot be copied: then the conversion says what is wrong
        convertible, missing = estimator, []
    failure: Exception | None = None
    for inputs in attempts:
        try:
            model = _converted(convertible, inputs, opset, is_classifier=labels is not None)
            break
        except Exception as error:  # converters fail with whatever they stumble over
            if failure is None or "column name" in str(failure):  # else the first attempt's reason is the real one
                failure = error
    else:
        assert failure is not None
        raise RegistryError(
            f"{type(estimator).__name__} cannot be converted to ONNX: {_stumbled_over(estimator, failure)}",
            hint="keep the skops file alone, or use steps that skl2onnx knows",
        ) from failure
    if labels is not None and not hasattr(estimator, "predict_proba"):
        del model.graph.output[1:]  # a decision function, which readers would take for probabilities
    renumber(model.graph)
    task = task_of(labels, is_values=labels is None)
    said = {"task": task, "labels": labels, "columns": columns} | ({"missing": missing} if missing else {})
    for key, value in said.items():
        model.metadata_props.add(key=KEY + key, value=json.dumps(value, ensure_ascii=False))
    path.write_bytes(model.SerializeToString(deterministic=True))


def _stumbled_over(estimator: Any, failure: Exception) -> str:
    """Return why skl2onnx could not go on, with the class of the step it was at, where that is another and is not named."""
    steps = [
        type(frame.f_locals["operator"].raw_operator)
        for frame, _ in traceback.walk_tb(failure.__traceback__)
        if hasattr(frame.f_locals.get("operator"), "raw_operator")
    ]
    why = _ADVERTISED.sub("", reason(failure)) or type(failure).__name__
    name = steps[-1].__name__ if steps else ""
    return why if not name or name in why or steps[-1] is type(estimator) else f"its {name}: {why}"


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


def _one_input(is_text: Sequence[bool]) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    return [("input", (StringTensorType if is_text[0] else FloatTensorType)([None, len(is_text)]))]


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


def task_of(labels: Sequence[Any] | None, *, is_values: bool) -> Task:
    if labels is None:
        return "regression" if is_values else "other"
    return "binary-classification" if len(labels) == 2 else "multiclass-classification"
