"""What dtypes and classes of values are called in a signature, and what a column of each type may be given.

Knows the dtypes of NumPy, pandas (its nullable and categorical ones) and Arrow by their names alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast, get_args

from gitops_registry.manifest.columns import ColumnType, Dtype

_TYPES: dict[str, ColumnType] = {
    "bool": "boolean", "boolean": "boolean",
    "int8": "integer", "int16": "integer", "int32": "integer", "uint8": "integer", "uint16": "integer",
    "int64": "long", "uint32": "long", "uint64": "long",
    "float16": "float", "halffloat": "float", "float32": "float", "float": "float", "float64": "double", "double": "double",
    "str": "string", "string": "string", "large_string": "string", "string_view": "string", "object": "string",
    "bytes": "binary", "binary": "binary", "large_binary": "binary",
    "timestamp": "datetime", "date32": "datetime", "date64": "datetime",
}  # fmt: skip
_CLASSES: dict[str, ColumnType] = {
    "int": "long", "float": "double", "datetime": "datetime", "Timestamp": "datetime", "datetime64": "datetime",
}  # fmt: skip
_WIDEST: dict[ColumnType | None, ColumnType] = {"integer": "long", "float": "double"}

FLOATS = frozenset({"float", "double"})
WHOLE = frozenset({"integer", "long"})
ACCEPTED: dict[str, frozenset[str]] = {
    "boolean": frozenset({"boolean"}),
    "integer": WHOLE | FLOATS,
    "long": WHOLE | FLOATS,
    "float": WHOLE | FLOATS,
    "double": WHOLE | FLOATS,
    "string": frozenset({"string"}),
    "binary": frozenset({"binary"}),
    "datetime": frozenset({"datetime"}),
}
"""What a column may be given, by the type the model expects; of numbers the values are looked at, too."""

LIMITS: dict[str, tuple[float, float]] = {
    "integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1),
    "int8": (-128, 127), "int16": (-(2**15), 2**15 - 1), "uint8": (0, 255), "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1), "float16": (-65504, 65504),
}  # fmt: skip
"""The least and the greatest value of a type or dtype, where it is a limit that anybody meets."""

NUMPY: dict[str, str] = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64",
    "string": "str", "binary": "bytes", "datetime": "datetime64[ns]",
}  # fmt: skip
"""NumPy's name of a type that has no exact dtype beside it."""


def type_of(dtype: Any) -> ColumnType | None:
    """Return MLflow's name of a dtype; None for one that has none. A categorical has that of its categories."""
    categories = getattr(dtype, "categories", None)
    if categories is not None:
        is_object = str(categories.dtype) == "object"
        return type_of_values(categories) if is_object else type_of(categories.dtype)
    kind = getattr(dtype, "kind", "")
    if kind in {"U", "S"}:
        return "string" if kind == "U" else "binary"
    name = _plain_name(dtype)
    return "datetime" if name == "datetime64" else _TYPES.get(name)


def exact_of(dtype: Any) -> Dtype | None:
    """Return NumPy's name of a dtype where its type does not say it exactly: uint8 is an integer, too."""
    categories = getattr(dtype, "categories", None)
    name = _plain_name(dtype if categories is None else categories.dtype)
    name = "float16" if name == "halffloat" else name
    return cast("Dtype", name) if name in get_args(Dtype) else None


def _plain_name(dtype: Any) -> str:
    name = str(dtype).lower()
    name = name.removeprefix("dictionary<values=").partition(",")[0]  # Arrow's categoricals
    return name.partition("[")[0].removeprefix("<").removeprefix(">")


def type_of_class(kind: type) -> ColumnType | None:
    """Return the type of Python's and NumPy's scalars by their class."""
    name = kind.__name__ if kind is not object else ""
    return _CLASSES.get(name) or _TYPES.get(name.lower().rstrip("_"))


def type_of_values(present: Iterable[Any]) -> ColumnType | None:
    """Return the type of a column of objects by its values, none of them missing; None where they differ."""
    kinds = {_WIDEST.get(kind, kind) for kind in map(type_of_class, set(map(type, present)))}
    if len(kinds) > 1:
        return "double" if kinds == {"long", "double"} else None
    return kinds.pop() if kinds else "string"


def accepted_classes(classes: Iterable[type], wanted: ColumnType) -> set[type]:
    """Return those classes whose values a column of a type may hold."""
    return {one for one in classes if type_of_class(one) in ACCEPTED[wanted]}
