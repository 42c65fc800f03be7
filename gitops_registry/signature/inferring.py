"""A signature from what a model was given and what it answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.columns import NUMBERS, Column, ColumnType, Parameter, Signature
from gitops_registry.signature import arrays
from gitops_registry.signature.dtypes import WHOLE, exact_of, type_of, type_of_values
from gitops_registry.signature.parameters import inferred

_MOST_CATEGORIES, _LONGEST_CATEGORIES = 1_000, 64_000
"""Beyond these a manifest would no longer be read by people, nor at last by us: it may have 1 MiB."""


def infer(
    inputs: Any,
    outputs: Mapping[str, Any],
    *,
    parameters: Sequence[Parameter] | Mapping[str, Any] = (),
    ranges: bool = False,
) -> Signature:
    """Return the signature of a model that was given `inputs` and answered `outputs`.

    `inputs` is a DataFrame; a 2-D array, whose columns are called x0, x1 …; an array of more dimensions, one tensor called
    `input`; or a mapping of names to arrays. An output is a 1-D array, or one of more dimensions, whose shape is kept with
    -1 for the rows. A column with missing values is not required. Categories are those of a pandas Categorical, where they
    are not too many. With `ranges` the least and the greatest value of each column of numbers are its limits. `parameters`
    are those of prediction, or names with their defaults. Raises RegistryError for types no signature can express and for
    two columns of the same name.
    """
    if hasattr(inputs, "columns"):
        columns = _table_columns(inputs, ranges=ranges)
    elif isinstance(inputs, Mapping):
        columns = [_tensor(str(name), arrays.array_of(values), ranges=ranges) for name, values in inputs.items()]
    else:
        columns = _array_columns(inputs, ranges=ranges)
    twice = [name for name, count in Counter(column.name for column in columns).items() if count > 1]
    if twice:
        raise RegistryError(f"column {twice[0]!r} appears twice in the input data", hint="rename one of the two")
    return Signature(
        inputs=tuple(columns),
        outputs=tuple(_output(name, values) for name, values in outputs.items()),
        parameters=inferred(parameters) if isinstance(parameters, Mapping) else tuple(parameters),
    )


def _table_columns(table: Any, *, ranges: bool) -> list[Column]:
    missing = table.isna().any(axis=0).tolist()
    return [
        _column(str(name), table.iloc[:, place], is_missing=is_missing, ranges=ranges)
        for place, (name, is_missing) in enumerate(zip(table.columns, missing, strict=True))
    ]


def _array_columns(data: Any, *, ranges: bool) -> list[Column]:
    shape = getattr(data, "shape", None)
    if shape is None or len(shape) < 2:
        raise RegistryError("input data must be a DataFrame or a 2-D array", hint="one row each, one column a feature")
    array = arrays.array_of(data)
    if array.ndim > 2:
        return [_tensor("input", array, ranges=ranges)]
    return [_tensor(f"x{place}", array[:, place], ranges=ranges) for place in range(array.shape[1])]


def _tensor(name: str, array: Any, *, ranges: bool) -> Column:
    if array.ndim == 0:
        raise RegistryError(f"input {name!r} has no rows", hint="give an array of one or more dimensions")
    flat = array.reshape(-1)
    column = _column(name, flat, is_missing=bool(_is_missing(flat).any()), ranges=ranges)
    return column if array.ndim == 1 else column.model_copy(update={"shape": (-1, *map(int, array.shape[1:]))})


def _is_missing(values: Any) -> Any:
    if values.dtype != object:
        return values != values  # of NumPy's own only NaN and NaT differ from themselves
    import pandas

    return pandas.isna(values)


def _column(name: str, values: Any, *, is_missing: bool, ranges: bool) -> Column:
    """Return what is known of a column, a Series or a 1-D array."""
    is_object = str(values.dtype) == "object"
    present = values
    if is_missing and (is_object or ranges):
        present = values.dropna() if hasattr(values, "dropna") else values[~_is_missing(values)]
    kind = _expressible(name, values.dtype, present if is_object else None)
    least, greatest = _range(present, kind) if ranges and kind in NUMBERS else (None, None)
    return Column(
        name=name,
        type=kind,
        dtype=exact_of(values.dtype),
        required=not is_missing,
        minimum=least,
        maximum=greatest,
        categories=_categories(values.dtype, kind),
    )


def _expressible(name: str, dtype: Any, values: Iterable[Any] | None = None) -> ColumnType:
    kind = type_of(dtype) if values is None else type_of_values(values)
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


def _range(present: Any, kind: ColumnType) -> tuple[Any, Any]:
    """Return the least and the greatest finite value; None and None where there is none."""
    categories = getattr(present.dtype, "categories", None)
    if categories is not None:
        present = present.astype(categories.dtype)
    plain = int if kind in WHOLE else float
    if not len(present):
        return None, None
    least, greatest = plain(present.min()), plain(present.max())
    if isfinite(least) and isfinite(greatest):
        return least, greatest
    finite = present[abs(present) != float("inf")]
    return (plain(finite.min()), plain(finite.max())) if len(finite) else (None, None)


def _categories(dtype: Any, kind: ColumnType) -> tuple[Any, ...] | None:
    """Return the categories of a pandas Categorical, where a manifest can hold them."""
    found = getattr(dtype, "categories", None)
    if found is None or not 0 < len(found) <= _MOST_CATEGORIES or kind in {"binary", "datetime"}:
        return None
    plain = tuple(one.item() if hasattr(one, "item") else one for one in found.tolist())
    if any(isinstance(one, float) and not isfinite(one) for one in plain):
        return None
    return plain if sum(len(str(one)) for one in plain) <= _LONGEST_CATEGORIES else None


def _output(name: str, values: Any) -> Column:
    shape = getattr(values, "shape", None)
    if shape is None or len(shape) == 0:
        raise RegistryError(
            f"output {name!r} must be an array of one or more dimensions", hint="check what the model returns"
        )
    is_object = str(values.dtype) == "object"
    kind = _expressible(
        name, values.dtype, values.reshape(-1) if is_object and len(shape) > 1 else values if is_object else None
    )
    return Column(
        name=name,
        type=kind,
        dtype=exact_of(values.dtype),
        shape=None if len(shape) == 1 else (-1, *map(int, shape[1:])),
    )
