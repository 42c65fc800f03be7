"""Arrays against a signature: columns by their position, one tensor, or several by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.columns import Column, Signature
from gitops_registry.signature.misfit import Misfit, in_rows
from gitops_registry.signature.values import judged


def array_of(data: Any) -> Any:
    """Return data as a NumPy array. Raises RegistryError for what is no array."""
    import numpy

    if not hasattr(data, "shape") and not isinstance(data, list | tuple):
        kind = type(data).__name__
        raise RegistryError(f"input data cannot be a {kind}", hint="give a DataFrame, an array, or a mapping of arrays")
    if numpy.ma.isMaskedArray(data) and data.mask.any():
        raise RegistryError("input data has masked values", hint="fill them in: array.filled(…)")
    try:
        found = numpy.asarray(data)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RegistryError(
            f"input data is no array: {str(error).splitlines()[0]}", hint="give rows of one length"
        ) from error
    if found.dtype == object and found.ndim == 0:
        raise RegistryError(f"input data cannot be a {type(data).__name__}", hint="give a dense array, or a DataFrame")
    return found


def listed(rows: Sequence[Any]) -> Any:
    """Return a list of rows as a table where the rows have names, else as an array. Raises RegistryError."""
    if rows and all(isinstance(row, Mapping) for row in rows):
        import pandas

        return pandas.DataFrame(list(rows))
    found = array_of(rows)
    if found.dtype.kind in "US":  # a number beside text would have become text
        import numpy

        return numpy.asarray(rows, dtype=object)
    return found


def of_array(signature: Signature, data: Any) -> Iterator[Misfit]:
    """Yield in what an array does not fit: as the one tensor that the model takes, else with its columns by position."""
    array = array_of(data)
    inputs = signature.inputs
    if len(inputs) == 1 and (_is_tensor(inputs[0]) or array.ndim != 2):
        yield from _tensor(inputs[0], array)
        return
    if any(_is_tensor(column) for column in inputs):
        yield Misfit("shape", "", f"the model takes {len(inputs)} tensors: give a mapping of their names to arrays")
    elif array.ndim != 2 or array.shape[1] != len(inputs):
        took = f"[-1, {len(inputs)}]"
        yield Misfit("shape", "", f"the data has the shape {list(array.shape)}, and the model takes {took}")
    else:
        for place, column in enumerate(inputs):
            yield from judged(column, array[:, place])


def of_mapping(signature: Signature, data: Mapping[str, Any]) -> Iterator[Misfit]:
    """Yield in what arrays by name do not fit."""
    given = {str(name): array_of(values) for name, values in data.items()}
    for column in signature.inputs:
        if column.name in given:
            yield from _tensor(column, given[column.name])
        elif column.required:
            yield Misfit("missing", column.name, f"tensor {column.name!r} ({column.type}) is missing")
    known = {column.name for column in signature.inputs}
    for name in given:
        if name not in known:
            yield Misfit("unexpected", name, f"tensor {name!r} is none that the model knows", severity="warning")
    lengths = {name: array.shape[0] for name, array in given.items() if name in known and array.ndim}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        yield Misfit("rows", "", f"the tensors have different numbers of rows: {told}")


def of_cells(column: Column, cells: Any) -> Iterator[Misfit]:
    """Yield in what a table's column does not fit that holds, in each row, one array of a tensor."""
    import numpy

    missing = cells.isna().to_numpy()
    if missing.any() and not column.may_be_missing:
        message = f"column {column.name!r} must be {column.type}, but some values are missing"
        yield in_rows("null", column.name, message, missing.nonzero()[0])
    there = (~missing).nonzero()[0]
    found = [
        array_of(cell) if hasattr(cell, "shape") or isinstance(cell, list | tuple) else None
        for cell in cells.iloc[there]
    ]
    wanted = list(column.shape or ())[1:]
    good = [
        (row, array)
        for row, array in zip(there, found, strict=True)
        if array is not None and _agrees(array.shape, wanted)
    ]
    if len(good) < len(there):
        message = f"column {column.name!r} must hold an array of the shape {wanted} in each row"
        yield in_rows("shape", column.name, message, numpy.setdiff1d(there, [row for row, _ in good]))
    if good:
        rows = numpy.repeat([row for row, _ in good], [array.size for _, array in good])
        values = numpy.concatenate([array.reshape(-1) for _, array in good])
        yield from judged(column, values, place=lambda positions: numpy.unique(rows[positions]))


def _tensor(column: Column, array: Any) -> Iterator[Misfit]:
    """Yield in what an array does not fit a column or tensor; a column of scalars may also be a matrix of one column."""
    import numpy

    wanted = list(column.shape or (-1,))
    if len(wanted) == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if not _agrees(array.shape, wanted):
        message = f"{column.name!r} must have the shape {wanted}, not {list(array.shape)}"
        yield Misfit("shape", column.name, message)
        return
    width = prod(array.shape[1:])
    place = (lambda positions: numpy.unique(positions // width)) if array.ndim > 1 else None
    yield from judged(column, array.reshape(-1), place=place)


def _is_tensor(column: Column) -> bool:
    return column.shape is not None and len(column.shape) > 1


def _agrees(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(want in (-1, size) for size, want in zip(shape, wanted, strict=True))
