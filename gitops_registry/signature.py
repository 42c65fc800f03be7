"""The input and output schema of a model: infer it from data, and say why a table does not fit it.

Tables and arrays are used through their own methods (`columns`, `dtypes`, `shape`, …), so this module needs
neither pandas nor NumPy. Types carry MLflow's names (https://mlflow.org/docs/latest/ml/model/signatures/).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.facts import Column, Signature

Type = Literal["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"]

_TYPES: dict[str, Type] = {
    "bool": "boolean", "boolean": "boolean",
    "int8": "integer", "int16": "integer", "int32": "integer", "uint8": "integer", "uint16": "integer",
    "int64": "long", "uint32": "long", "uint64": "long",
    "float16": "float", "float32": "float", "float64": "double",
    "str": "string", "string": "string", "object": "string", "category": "string",
    "bytes": "binary",
}  # fmt: skip
_ACCEPTED: dict[str, frozenset[str]] = {
    "boolean": frozenset({"boolean"}),
    "integer": frozenset({"integer"}),
    "long": frozenset({"long", "integer"}),
    "float": frozenset({"float", "double", "long", "integer"}),
    "double": frozenset({"float", "double", "long", "integer"}),
    "string": frozenset({"string"}),
    "binary": frozenset({"binary"}),
    "datetime": frozenset({"datetime"}),
}
"""What a column may be, by the type the model expects, without a look at the values."""

_PYTHON: dict[str, Type] = {"int": "long", "float": "double"}
_WIDEST: dict[Type | None, Type] = {"integer": "long", "float": "double"}
_RANGE = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


def infer(inputs: Any, outputs: Mapping[str, Any]) -> Signature:
    """Return the signature of a model that was given `inputs` and answered `outputs`.

    `inputs` is a DataFrame or a 2-D array, whose columns are called x0, x1 …; an output is a 1-D
    array, or a 2-D one, which gets the shape [-1, k]. A column with missing values is not required. Raises
    for types no signature can express and for two columns of the same name.
    """
    columns = _table_columns(inputs) if hasattr(inputs, "columns") else _array_columns(inputs)
    twice = [name for name, count in Counter(column.name for column in columns).items() if count > 1]
    if twice:
        raise RegistryError(f"column {twice[0]!r} appears twice in the input data", hint="rename one of the two")
    return Signature(inputs=tuple(columns), outputs=tuple(_output(name, values) for name, values in outputs.items()))


def problems(signature: Signature, table: Any) -> list[str]:
    """Return why the DataFrame cannot be given to the model, a sentence for each column; empty if it can.

    Columns the model does not know are allowed, and so is a missing one that is not required. Integers pass
    for double and float; floats pass for long or integer only if all of them are whole numbers in range. A number is
    missing only where the registered rows had missing ones too: a graph would answer with nonsense.
    """
    names = [str(name) for name in table.columns]
    position = {name: index for index, name in enumerate(names)}
    twice = {name for name, count in Counter(names).items() if count > 1} if len(position) < len(names) else set()
    dtypes = list(table.dtypes)
    found: list[str] = []
    for column in signature.inputs:
        index = position.get(column.name)
        if index is None:
            if column.required:
                found.append(f"column {column.name!r} ({column.type}) is missing")
        elif column.name in twice:
            found.append(f"column {column.name!r} ({column.type}) appears twice")
        else:
            is_object = str(dtypes[index]) == "object"
            given = _type_of_values(table.iloc[:, index].dropna()) if is_object else _type_of(dtypes[index])
            if given in _ACCEPTED[column.type]:
                if column.type in {"double", "float"} and (why := _no_number(table.iloc[:, index], column.required)):
                    found.append(f"column {column.name!r} must be {column.type}, but some values are {why}")
                continue
            if why := _mismatch(column, given, table.iloc[:, index]):
                found.append(f"column {column.name!r} must be {column.type}, {why}")
    return found


def _no_number(values: Any, required: bool) -> str:
    """Say what is among the values that no model was fitted on; empty where all are fine."""
    if required and bool(values.isna().any()):
        return "missing"
    return "infinite" if bool((abs(values) == float("inf")).any()) else ""


def ordered(signature: Signature, table: Any) -> Any:
    """Return the table with exactly the signature's columns, in its order.

    A column the table lacks is filled with missing values; ask `problems` first whether that is allowed.
    """
    named = table
    if any(not isinstance(name, str) for name in table.columns):
        named = table.set_axis([str(name) for name in table.columns], axis=1)
    return named.reindex(columns=[column.name for column in signature.inputs])


def _type_of(dtype: Any) -> Type | None:
    """Return MLflow's name of a NumPy or pandas dtype; None for one that has none."""
    name = str(dtype).lower()
    if name.startswith("datetime64"):
        return "datetime"
    kind = getattr(dtype, "kind", "")
    if kind == "U":
        return "string"
    if kind == "S":
        return "binary"
    return _TYPES.get(name.partition("[")[0].removeprefix("<").removeprefix(">"))


def _type_of_values(present: Iterable[Any]) -> Type | None:
    """Return the type of an object column by its values, none of them missing; None where they differ."""
    kinds = {_WIDEST.get(kind, kind) for kind in (_type_named(type(value).__name__) for value in present)}
    if len(kinds) > 1:
        return "double" if kinds == {"long", "double"} else None
    return kinds.pop() if kinds else "string"


def _type_named(name: str) -> Type | None:
    """Return the type of Python's and NumPy's scalars by the name of their class."""
    return _PYTHON.get(name) or _TYPES.get(name.lower().rstrip("_"))


def _expressible(name: str, dtype: Any, values: Iterable[Any] | None = None) -> Type:
    kind = _type_of(dtype) if values is None else _type_of_values(values)
    if kind is None and values is not None:
        raise RegistryError(
            f"column {name!r} holds values of several types, which a model's signature cannot express",
            hint="convert it to one of numbers, booleans, strings or dates",
        )
    if kind is None:
        raise RegistryError(
            f"column {name!r} has the type {dtype}, which a model's signature cannot express",
            hint="convert it to numbers, booleans, strings or dates",
        )
    return kind


def _table_columns(table: Any) -> list[Column]:
    missing = table.isna().any(axis=0).tolist()
    return [
        Column(
            name=str(name),
            type=_expressible(str(name), dtype, table.iloc[:, index].dropna() if str(dtype) == "object" else None),
            required=not has_missing,
        )
        for index, (name, dtype, has_missing) in enumerate(zip(table.columns, table.dtypes, missing, strict=True))
    ]


def _array_columns(array: Any) -> list[Column]:
    shape = getattr(array, "shape", None)
    if shape is None or len(shape) != 2:
        raise RegistryError("input data must be a DataFrame or a 2-D array", hint="one row each, one column a feature")
    # Only NaN and NaT differ from themselves, so this finds missing values without knowing the library.
    missing = (array != array).any(axis=0).tolist()
    return [
        Column(name=f"x{index}", type=_expressible(f"x{index}", array.dtype), required=not has_missing)
        for index, has_missing in enumerate(missing)
    ]


def _output(name: str, values: Any) -> Column:
    shape = getattr(values, "shape", None)
    if shape is None or len(shape) not in {1, 2}:
        raise RegistryError(f"output {name!r} must be a 1-D or 2-D array", hint="check what the model returns")
    return Column(
        name=name, type=_expressible(name, values.dtype), shape=None if len(shape) == 1 else (-1, int(shape[1]))
    )


def _mismatch(column: Column, given: Type | None, values: Any) -> str:
    """Say what is wrong with values whose dtype alone does not settle it; empty when they fit."""
    present = values.dropna()
    if len(present) == 0 and not column.required:
        return ""
    if column.type in _RANGE and given in {"integer", "long", "float", "double"}:
        low, high = _RANGE[column.type]
        if given in {"float", "double"}:
            if len(present) < len(values) and column.required:
                return "but some values are missing"
            if not bool((present == present // 1).all()):
                return "but some values are not whole numbers"
        # A double cannot hold 2**63 - 1; `<` against the next power of two is exact for both.
        return "" if bool(((present >= low) & (present < high + 1)).all()) else "but some values are out of its range"
    return f"not {given}" if given else f"not {values.dtype}"
