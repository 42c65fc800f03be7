"""A signature as the Open Inference Protocol, version 2, tells a model's metadata, and a request that it would take.

https://github.com/kserve/open-inference-protocol: "Model Metadata" and "Inference Request", tensor data types. A column is a
tensor of one column; text, bytes and dates are BYTES, bytes in base64 and dates in ISO 8601.
"""

from __future__ import annotations

from math import prod
from typing import Any

from gitops_registry.manifest.columns import Column, Signature
from gitops_registry.signature.projecting.losses import Feature, losses

_TYPES = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64", "string": "BYTES",
    "binary": "BYTES", "datetime": "BYTES", "int8": "INT8", "int16": "INT16", "uint8": "UINT8", "uint16": "UINT16",
    "uint32": "UINT32", "uint64": "UINT64", "float16": "FP16",
}  # fmt: skip
_SAID: frozenset[Feature] = frozenset({"dtype"})
_INSTANTS = {"string": "", "binary": "", "datetime": "1970-01-01T00:00:00", "boolean": False}


def metadata(
    signature: Signature, *, name: str, version: str = "", platform: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """Return the metadata of a model, and what is lost."""
    found: dict[str, Any] = {"name": name, **({"versions": [version]} if version else {}), "platform": platform}
    notes: list[str] = []
    for side, columns in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        found[side] = [{"name": one.name, "datatype": datatype(one), "shape": _shape(one)} for one in columns]
        notes += losses(columns, but=_SAID)
        notes += [f"{one.name}: {one.type} goes as BYTES" for one in columns if one.type in {"binary", "datetime"}]
    notes += [f"parameter {one.name}: not said; a request may give it" for one in signature.parameters]
    return found, notes


def datatype(column: Column) -> str:
    """Return the protocol's name of a column's type."""
    return _TYPES[column.dtype or column.type]


def _shape(column: Column) -> list[int]:
    return [-1, 1] if column.shape is None or column.shape == (-1,) else list(column.shape)


def request(signature: Signature) -> dict[str, Any]:
    """Return an inference request of one row that fits the signature, with every parameter at its default."""
    inputs = []
    for column in signature.inputs:
        shape = [1 if size == -1 else size for size in _shape(column)]
        inputs.append(
            {"name": column.name, "shape": shape, "datatype": datatype(column), "data": [_value(column)] * prod(shape)}
        )
    parameters = {one.name: _plain(one.default) for one in signature.parameters if one.default is not None}
    return {**({"parameters": parameters} if parameters else {}), "inputs": inputs}


def _plain(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default


def _value(column: Column) -> Any:
    """Return a value that fits a column: its first category, else what lies nearest to 0."""
    if column.categories is not None:
        return column.categories[0]
    if column.type in _INSTANTS:
        return _INSTANTS[column.type]
    value: float = 0
    if column.minimum is not None:
        value = max(value, column.minimum)
    if column.maximum is not None:
        value = min(value, column.maximum)
    return value
