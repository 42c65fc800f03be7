"""Data against a signature: every reason why it cannot be given to the model, found at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from gitops_registry.manifest.columns import Column, Signature
from gitops_registry.signature import arrays
from gitops_registry.signature.misfit import Misfit
from gitops_registry.signature.values import judged

_SHOWN = 5
_FITTING_INTEGER = frozenset({"int8", "int16", "int32", "uint8", "uint16"})
_FITTING_LONG = _FITTING_INTEGER | {"int64", "uint32"}
_PASSING = {
    "integer": _FITTING_INTEGER,
    "long": _FITTING_LONG,
    "float": _FITTING_LONG | {"float32", "float64"},
    "double": _FITTING_LONG | {"float32", "float64"},
}
"""Dtypes of NumPy whose every finite number passes for a type."""


def misfits(signature: Signature, data: Any) -> list[Misfit]:
    """Return everything in which data does not fit a signature, by column in its order; empty when it fits.

    `data` is a DataFrame, an array (its columns by position, or the one tensor that the model takes), a mapping of names to
    arrays, or a list of rows. Integers pass for float and double, and whole numbers for integer and long whatever their
    dtype. Columns that the model does not know, and another order, are warnings. Of no rows nothing but the columns is
    judged. Raises RegistryError for what is none of these.
    """
    if not signature.inputs:
        return []
    if isinstance(data, list | tuple):
        data = arrays.listed(data)
    if hasattr(data, "columns"):
        if _is_tensor(signature, data):
            return list(arrays.of_array(signature, data.to_numpy()))
        return list(_of_table(signature, data))
    if isinstance(data, Mapping):
        return list(arrays.of_mapping(signature, data))
    return list(arrays.of_array(signature, data))


def problems(signature: Signature, data: Any) -> list[str]:
    """Return why data cannot be given to the model, a sentence for each reason; empty if it can.

    Columns the model does not know are allowed, and so are another order and a missing column that is not required.
    """
    if _is_plain(signature, data):
        return []
    return [misfit.message for misfit in misfits(signature, data) if misfit.is_error]


def _is_plain(signature: Signature, data: Any) -> bool:
    """Whether data is the model's own columns in its order, all of them finite numbers of types that pass for theirs.

    Most predictions are, and of one row this takes a tenth of the time. It never says so of what `misfits` would refuse.
    """
    if not hasattr(data, "columns") or len(data.columns) != len(signature.inputs):
        return False
    for column, name, dtype in zip(signature.inputs, data.columns, data.dtypes, strict=True):
        is_numpy = type(dtype).__module__.startswith("numpy")
        unlimited = (column.minimum, column.maximum, column.categories, column.shape, column.dtype) == (None,) * 5
        if name != column.name or not is_numpy or not unlimited or dtype.name not in _PASSING.get(column.type, ()):
            return False
    values = data.to_numpy()
    return values.dtype.kind in "iuf" and bool((abs(values) < float("inf")).all())


def ordered(signature: Signature, table: Any) -> Any:
    """Return the table with exactly the signature's columns, in its order.

    A column the table lacks is filled with missing values; ask `problems` first whether that is allowed. A table whose
    columns are the one tensor of the signature is returned as it is.
    """
    if _is_tensor(signature, table):
        return table
    wanted = [column.name for column in signature.inputs]
    if list(table.columns) == wanted:
        return table
    named = table
    if any(not isinstance(name, str) for name in table.columns):
        named = table.set_axis([str(name) for name in table.columns], axis=1)
    return named.reindex(columns=wanted)


def _is_tensor(signature: Signature, table: Any) -> bool:
    """Whether a table as a whole is the matrix that the model takes as its only input: none of its columns has that name."""
    if len(signature.inputs) != 1:
        return False
    column = signature.inputs[0]
    is_matrix = column.shape is not None and len(column.shape) == 2
    return is_matrix and column.name not in {str(name) for name in table.columns}


def _of_table(signature: Signature, table: Any) -> Iterator[Misfit]:
    names = [str(name) for name in table.columns]
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name, place)
    twice = {name for name, count in Counter(names).items() if count > 1} if len(places) < len(names) else set()
    for column in signature.inputs:
        if column.name not in places:
            if column.required:
                yield Misfit("missing", column.name, f"column {column.name!r} ({column.type}) is missing")
        elif column.name in twice:
            yield Misfit("duplicate", column.name, f"column {column.name!r} ({column.type}) appears twice")
        else:
            yield from _column(column, table.iloc[:, places[column.name]])
    known = {column.name for column in signature.inputs}
    for name in places:
        if name not in known:
            yield Misfit("unexpected", name, f"column {name!r} is none that the model knows", severity="warning")
    yield from _order([column.name for column in signature.inputs if column.name in places], places)


def _column(column: Column, values: Any) -> Iterator[Misfit]:
    if column.shape is not None and len(column.shape) > 1:
        yield from arrays.of_cells(column, values)
    else:
        yield from judged(column, values)


def _order(wanted: list[str], places: Mapping[str, int]) -> Iterator[Misfit]:
    """Yield a warning where the columns that are there stand in another order."""
    given = sorted(wanted, key=places.__getitem__)
    moved = [name for name, other in zip(given, wanted, strict=True) if name != other]
    if moved:
        shown = ", ".join(repr(name) for name in moved[:_SHOWN]) + (", …" if len(moved) > _SHOWN else "")
        message = f"the columns {shown} stand in another order than the model's"
        yield Misfit("reordered", "", message, severity="warning")
