"""A signature as the tensors that go into and come out of an ONNX graph: a column is a matrix of one column.

Element types are the numbers of onnx.proto's TensorProto.DataType; a length that is not fixed is None.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gitops_registry.manifest.columns import Column, Signature
from gitops_registry.signature.projecting.losses import Feature, losses

_ELEMENTS = {
    "float": (1, "Float"), "uint8": (2, "UInt8"), "int8": (3, "Int8"), "uint16": (4, "UInt16"), "int16": (5, "Int16"),
    "integer": (6, "Int32"), "long": (7, "Int64"), "string": (8, "String"), "boolean": (9, "Boolean"),
    "float16": (10, "Float16"), "double": (11, "Double"), "uint32": (12, "UInt32"), "uint64": (13, "UInt64"),
}  # fmt: skip
_SAID: frozenset[Feature] = frozenset({"dtype"})


def tensors(signature: Signature) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Return `inputs` and `outputs`, each a list of name, element type and shape; and what is lost.

    A type that ONNX has no tensors of (datetime, binary) is left out with a note.
    """
    found: dict[str, list[dict[str, Any]]] = {"inputs": [], "outputs": []}
    notes: list[str] = []
    for side, columns in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        for column in columns:
            if column.type not in _ELEMENTS:
                notes.append(f"{column.name}: left out, for ONNX has no tensors of {column.type}")
                continue
            number = _ELEMENTS[column.dtype or column.type][0]
            found[side].append({"name": column.name, "elem_type": number, "shape": _shape(column)})
        notes += losses((column for column in columns if column.type in _ELEMENTS), but=_SAID)
    return found, notes + _missing(signature.inputs)


def _missing(columns: Iterable[Column]) -> list[str]:
    """Say which columns may have missing values that no tensor of their type can hold."""
    return [
        f"{column.name}: a tensor of {column.dtype or column.type} has no missing values; fill them in"
        for column in columns
        if column.may_be_missing and column.type in _ELEMENTS and column.type not in {"float", "double"}
    ]


def _shape(column: Column) -> list[int | None]:
    shape = (-1, 1) if column.shape is None or column.shape == (-1,) else column.shape
    return [None if size == -1 else size for size in shape]


def initial_types(signature: Signature) -> list[tuple[str, Any]]:
    """Return the inputs as `skl2onnx.convert_sklearn` takes them: names with types of its own."""
    from skl2onnx.common import data_types

    return [
        (column.name, getattr(data_types, f"{_ELEMENTS[column.dtype or column.type][1]}TensorType")(_shape(column)))
        for column in signature.inputs
        if column.type in _ELEMENTS
    ]


def value_infos(signature: Signature) -> tuple[list[Any], list[Any]]:
    """Return the inputs and the outputs as `onnx.helper.make_graph` takes them."""
    from onnx import helper

    sides = tensors(signature)[0]
    made = {
        side: [helper.make_tensor_value_info(one["name"], one["elem_type"], one["shape"]) for one in columns]
        for side, columns in sides.items()
    }
    return made["inputs"], made["outputs"]
