"""A signature as JSON Schema 2020-12: of one row, and of the two bodies in which rows are sent, as MLflow's servers take them."""

from __future__ import annotations

from typing import Any

from gitops_registry.manifest.columns import NUMBERS, Column, Parameter, Signature
from gitops_registry.signature.projecting.losses import is_tensor
from gitops_registry.signature.values import bounds

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAMES = {
    "boolean": "boolean", "integer": "integer", "long": "integer", "float": "number", "double": "number",
    "string": "string", "binary": "string", "datetime": "string",
}  # fmt: skip
_WRITTEN = {"binary": {"contentEncoding": "base64"}, "datetime": {"format": "date-time"}}


def row(signature: Signature) -> tuple[dict[str, Any], list[str]]:
    """Return the schema of one row, an object by column names that may have other keys too; and what is lost."""
    return {"$schema": _DIALECT, **_row(signature)}, _notes(signature)


def body(signature: Signature) -> tuple[dict[str, Any], list[str]]:
    """Return the schema of a request: `dataframe_records`, a list of rows, or `dataframe_split`, columns and data.

    Parameters go beside them as `params`. `$defs` holds the schema of each part by itself: row, records, split.
    """
    lengths = {column.shape[0] for column in signature.inputs if column.shape and column.shape[0] != -1}
    length = {"minItems": min(lengths), "maxItems": max(lengths)} if lengths else {}
    names = [column.name for column in signature.inputs]
    cells = {
        "type": "array",
        "prefixItems": [_cell(column) for column in signature.inputs],
        "items": False,
        "minItems": len(names),
    }
    defs = {
        "row": _row(signature),
        "records": {"type": "array", "items": {"$ref": "#/$defs/row"}, **length},
        "split": {
            "type": "object",
            "properties": {"columns": {"const": names}, "data": {"type": "array", "items": cells, **length}},
            "required": ["columns", "data"],
        },
    }
    beside = {"params": _params(signature)} if signature.parameters else {}
    ways = [
        {
            "type": "object",
            "properties": {f"dataframe_{way}": {"$ref": f"#/$defs/{way}"}, **beside},
            "required": [f"dataframe_{way}"],
        }
        for way in ("records", "split")
    ]
    notes = _notes(signature)
    notes.append("the split body: its columns must be all of the signature's, in its order")
    return {"$schema": _DIALECT, "oneOf": ways, "$defs": defs}, notes


def _row(signature: Signature) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {column.name: _cell(column) for column in signature.inputs},
        "required": [column.name for column in signature.inputs if column.required],
    }


def _cell(column: Column) -> dict[str, Any]:
    """Return the schema of a column's value in one row; of a tensor, nested lists of its values."""
    found = _scalar(column)
    for size in reversed((column.shape or (-1,))[1:]):
        length = {} if size == -1 else {"minItems": size, "maxItems": size}
        found = {"type": "array", "items": found, **length}
    if column.may_be_missing and found["type"] == "array":
        found["type"] = ["array", "null"]
    return found


def _scalar(column: Column) -> dict[str, Any]:
    name = _NAMES[column.type]
    found: dict[str, Any] = {"type": [name, "null"] if column.may_be_missing else name, **_WRITTEN.get(column.type, {})}
    if column.type in NUMBERS:
        least, greatest = bounds(column)
        found |= {key: bound for key, bound in (("minimum", least), ("maximum", greatest)) if bound is not None}
    if column.categories is not None:
        found["enum"] = [*column.categories, *([None] if column.may_be_missing else [])]
    return found


def _params(signature: Signature) -> dict[str, Any]:
    properties = {one.name: _param(one) for one in signature.parameters}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _param(parameter: Parameter) -> dict[str, Any]:
    one = _scalar(Column(name=parameter.name, type=parameter.type))
    found: dict[str, Any] = one if parameter.shape is None else {"type": "array", "items": one}
    if parameter.default is None:
        return {**found, "type": [found["type"], "null"]}
    return {**found, "default": list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default}


def _notes(signature: Signature) -> list[str]:
    """Say what a reader of the schema does not hold anybody to."""
    notes = []
    for column in (*signature.inputs, *signature.outputs):
        if column.type in _WRITTEN:
            written = "base64" if column.type == "binary" else "ISO 8601 text"
            notes.append(f"{column.name}: {column.type} goes as {written}, and most readers do not look at its form")
        if column.dtype == "float16" or column.type == "float":
            notes.append(f"{column.name}: not said: the precision of {column.dtype or column.type}")
    notes += [f"{column.name}: an output, which a request does not hold" for column in signature.outputs]
    if any(is_tensor(column) and column.shape and -1 in column.shape[1:] for column in signature.inputs):
        notes.append("lists inside a tensor may differ in length where its shape says -1")
    return notes
