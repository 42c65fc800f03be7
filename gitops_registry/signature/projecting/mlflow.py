"""A signature as MLflow keeps it in an MLmodel file: columns where each row has one value, else tensors.

MLflow knows no schema of both. Where only some columns are tensors, these become arrays, whose lengths are not said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gitops_registry.manifest.columns import Column, Parameter, Signature
from gitops_registry.signature.dtypes import NUMPY
from gitops_registry.signature.projecting.losses import is_tensor, losses


def model_signature(signature: Signature) -> tuple[dict[str, str], list[str]]:
    """Return what `ModelSignature.from_dict` reads, JSON text by `inputs`, `outputs` and `params`; and what is lost."""
    found: dict[str, str] = {}
    notes: list[str] = []
    for side, columns in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if columns:
            schema, lost = _schema(columns)
            found[side] = json.dumps(schema, ensure_ascii=False)
            notes += lost
    parameters, lost = _params(signature.parameters)
    if parameters:
        found["params"] = json.dumps(parameters, ensure_ascii=False)
    if any(not column.may_be_missing for column in signature.inputs):
        notes.append("MLflow looks at types only: missing and infinite values pass")
    return found, notes + lost


def _schema(columns: Sequence[Column]) -> tuple[list[dict[str, Any]], list[str]]:
    tensors = [column for column in columns if is_tensor(column)]
    if len(tensors) == len(columns):
        return [_tensor(column) for column in columns], losses(columns, but=frozenset({"dtype"}))
    notes = losses(columns, but=frozenset({"optional"}))
    notes += [f"{column.name}: not said: its shape {list(column.shape or ())}; it is an array" for column in tensors]
    return [_column(column) for column in columns], notes


def _tensor(column: Column) -> dict[str, Any]:
    spec = {"dtype": column.dtype or NUMPY[column.type], "shape": list(column.shape or (-1,))}
    return {"type": "tensor", "name": column.name, "tensor-spec": spec}


def _column(column: Column) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": column.type}
    for _ in (column.shape or (-1,))[1:]:
        kind = {"type": "array", "items": kind}
    return {**kind, "name": column.name, "required": column.required}


def _params(parameters: Sequence[Parameter]) -> tuple[list[dict[str, Any]], list[str]]:
    found: list[dict[str, Any]] = []
    notes = []
    for one in parameters:
        is_list = one.shape is not None
        if one.type == "binary" or (is_list and one.default is None):
            what = "binary parameters" if one.type == "binary" else "lists without a default"
            notes.append(f"parameter {one.name}: left out, for MLflow has no {what}")
            continue
        default = list(one.default) if isinstance(one.default, tuple) else one.default
        found.append({"name": one.name, "type": one.type, "default": default, "shape": [-1] if is_list else None})
    return found, notes
