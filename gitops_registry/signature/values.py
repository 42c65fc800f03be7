"""The values of one column against what a signature says of it, all of them at once.

What is there is taken apart once, into the values that are present and where they stand; each check then answers with a
mask over these. Comparisons are exact: an integer beyond 2**53 is never rounded to a double.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gitops_registry.manifest.columns import Column, ColumnType
from gitops_registry.signature.dtypes import ACCEPTED, FLOATS, LIMITS, WHOLE, accepted_classes, type_of, type_of_values
from gitops_registry.signature.misfit import Misfit, in_rows

Place = Callable[[Any], Any]

_SHOWN = 3


@dataclass(frozen=True)
class _Present:
    """The values that are not missing: an array, or text as pandas keeps it.

    `rows` turns a mask over them into ascending positions of rows. `is_categorical`: they are the categories in use.
    """

    type: ColumnType | None
    dtype: str
    values: Any
    rows: Callable[[Any], Any]
    is_categorical: bool = False


def judged(column: Column, values: Any, *, place: Place | None = None) -> Iterator[Misfit]:
    """Yield what is wrong with the values of a column, a Series or a 1-D array.

    `place` turns ascending positions of values into ascending rows; without it each value is a row.
    """
    missing = _missing(values)
    if not missing.any():
        missing = None
    elif not column.may_be_missing:
        rows = missing.nonzero()[0]
        message = f"column {column.name!r} must be {column.type}, but some values are missing"
        yield in_rows("null", column.name, message, place(rows) if place else rows)
    present = _present(values, missing, place)
    if len(present.values) == 0:
        return  # of no value it is not known what it would have been: a CSV's empty column is of any type
    bad = _mistyped(column, present)
    if bad is not None:
        what = f"not {present.type or present.dtype}"
        if not bad.all():
            what = f"but some values are {type_of_values(present.values[bad]) or 'of other types'}"
        yield in_rows("type", column.name, f"column {column.name!r} must be {column.type}, {what}", present.rows(bad))
        if bad.all():
            return
        present = _others(present, bad)  # what is wrong with these is told as well
    if column.type in WHOLE | FLOATS:
        yield from _numbers(column, present)
    if column.categories is not None:
        yield from _categories(column, column.categories, present)


def _missing(values: Any) -> Any:
    """Return which values are missing: None, NaN, NaT, NA."""
    if hasattr(values, "isna"):
        found = values.isna().to_numpy()
        if getattr(values.dtype, "kind", "") == "f" and hasattr(values.dtype, "numpy_dtype"):
            return found | _is_nan(values)  # pandas' own dtypes may hold NaN beside NA
        return found
    if values.dtype == object:
        import pandas

        return pandas.isna(values)
    if values.dtype.kind in "biuUSV":
        return _numpy().zeros(values.shape, dtype=bool)
    return values != values  # of NumPy's own only NaN and NaT differ from themselves


def _is_nan(values: Any) -> Any:
    plain = values.to_numpy(dtype=values.dtype.numpy_dtype, na_value=math.nan)
    return plain != plain


def _present(values: Any, missing: Any, place: Place | None) -> _Present:
    """Take a column apart; `missing` is None where no value is."""
    dtype = values.dtype
    if getattr(dtype, "categories", None) is not None:
        return _of_categories(values)
    there = None if missing is None else (~missing).nonzero()[0]

    def rows(bad: Any) -> Any:
        found = bad.nonzero()[0] if there is None else there[bad.nonzero()[0]]
        return place(found) if place else found

    is_series = hasattr(values, "iloc")
    if there is not None:
        values = values.iloc[there] if is_series else values[there]
    if is_series:
        values = _unwrapped(values)
    if str(dtype) != "object":
        return _Present(type_of(dtype), str(dtype), values, rows)
    kind = type_of_values(values)
    return _Present(kind, "object", _plain_objects(values) if kind in WHOLE | FLOATS else values, rows)


def _unwrapped(values: Any) -> Any:
    """Return a Series without missing values as an array, where that costs nothing: text and dates stay as they are."""
    dtype = values.dtype
    plain = getattr(dtype, "numpy_dtype", None)
    if isinstance(dtype, _numpy().dtype):
        return values.to_numpy()
    if plain is not None and plain.kind in "biuf":
        return values.to_numpy(dtype=plain)
    return values.astype(object) if str(dtype).startswith("dictionary<") else values


def _numpy() -> Any:
    import numpy

    return numpy


def _plain_objects(values: Any) -> Any:
    """Return an array of Python's own numbers, which compare exactly, instead of NumPy's scalars."""
    if all(kind in {int, float} for kind in set(map(type, values))):
        return values
    made = _numpy().empty(len(values), dtype=object)
    made[:] = [value.item() if hasattr(value, "item") else value for value in values]
    return made


def _of_categories(values: Any) -> _Present:
    """Return the categories in use as the values, and the rows that hold one of those that a mask names."""
    numpy = _numpy()
    codes = values.cat.codes.to_numpy()
    used = numpy.zeros(len(values.dtype.categories), dtype=bool)
    used[codes[codes >= 0]] = True
    numbers = used.nonzero()[0]

    def rows(bad: Any) -> Any:
        is_bad = numpy.zeros(len(used) + 1, dtype=bool)  # the last for the code -1, a missing value
        is_bad[numbers[bad]] = True
        return is_bad[codes].nonzero()[0]

    held = values.dtype.categories[used]
    return _Present(type_of(values.dtype), f"category of {held.dtype}", held.to_numpy(), rows, is_categorical=True)


def _mistyped(column: Column, present: _Present) -> Any | None:
    """Return which values are of another type than the model's; None where none is."""
    if present.type in ACCEPTED[column.type]:
        return None
    if present.is_categorical and column.type == "string" and column.categories is None:
        return None  # what was written before categories had their own type
    numpy = _numpy()
    if present.dtype == "object":
        classes = accepted_classes(set(map(type, present.values)), column.type)
        some = numpy.fromiter((type(value) not in classes for value in present.values), bool, len(present.values))
        if some.any():
            return some
    return numpy.ones(len(present.values), dtype=bool)


def _others(present: _Present, bad: Any) -> _Present:
    """Return the objects that a mask leaves: of one type, or numbers of several."""
    numbers = (~bad).nonzero()[0]
    values = present.values[numbers]
    kind = type_of_values(values)

    def rows(mask: Any) -> Any:
        whole = _numpy().zeros(len(bad), dtype=bool)
        whole[numbers[mask]] = True
        return present.rows(whole)

    return _Present(kind, "object", _plain_objects(values) if kind in WHOLE | FLOATS else values, rows)


def _numbers(column: Column, present: _Present) -> Iterator[Misfit]:
    """Yield what is wrong with numbers: infinite, not whole, out of range."""
    values = present.values
    head = f"column {column.name!r} must be {column.dtype or column.type}, but some values are"
    finite = None
    if present.type in FLOATS and (math.inf in (values.max(), -values.min())):
        infinite = (values == math.inf) | (values == -math.inf)
        yield in_rows("infinite", column.name, f"{head} infinite", present.rows(infinite))
        finite = ~infinite
    if column.type in WHOLE and present.type in FLOATS:
        broken = ~_is_whole(values if finite is None else _numpy().where(finite, values, 0))
        if broken.any():
            yield in_rows("type", column.name, f"{head} not whole numbers", present.rows(broken))
    low, high = bounds(column)
    beyond = _beyond(values, low, high, is_whole=present.type in WHOLE)
    if beyond is not None:
        beyond = beyond if finite is None else finite & beyond
        if beyond.any():
            told = _range_told(column)
            message = (
                f"column {column.name!r} must be {told}, but some values are not"
                if told
                else f"{head} out of its range"
            )
            yield in_rows("range", column.name, message, present.rows(beyond))


def _is_whole(values: Any) -> Any:
    """Return which finite numbers have no fraction."""
    return (values // 1 == values).astype(bool) if values.dtype == object else _numpy().floor(values) == values


def bounds(column: Column) -> tuple[float | None, float | None]:
    """Return the least and the greatest value that a column may have, by its type, dtype and range; None for no limit."""
    least, greatest = LIMITS.get(column.dtype or column.type, (None, None))
    lows = [one for one in (least, column.minimum) if one is not None]
    highs = [one for one in (greatest, column.maximum) if one is not None]
    return max(lows, default=None), min(highs, default=None)


def _range_told(column: Column) -> str:
    if column.minimum is not None and column.maximum is not None:
        return f"from {column.minimum} to {column.maximum}"
    if column.minimum is not None:
        return f"at least {column.minimum}"
    return f"at most {column.maximum}" if column.maximum is not None else ""


def _beyond(values: Any, low: float | None, high: float | None, *, is_whole: bool) -> Any:
    """Return which values are below `low` or above `high`; None where none is."""
    if values.dtype != object:
        low, high = _as_far(values.dtype, low, is_low=True), _as_far(values.dtype, high, is_low=False)
    elif is_whole:
        low, high = _whole(low, is_low=True), _whole(high, is_low=False)
    if low is not None and values.min() < low:
        return (values < low) if high is None else (values < low) | (values > high)
    return (values > high) if high is not None and values.max() > high else None


def _whole(bound: float | None, *, is_low: bool) -> float | None:
    """Return the nearest integer inside a bound: integers are compared with integers, exactly."""
    if bound is None:
        return None
    return math.ceil(bound) if is_low else math.floor(bound)


def _as_far(dtype: Any, bound: float | None, *, is_low: bool) -> Any:
    """Return a bound as values of a dtype compare with it exactly.

    For floating-point values an integer bound becomes the nearest value inside it; one with a fraction is rounded to their
    precision, so that 0.1 as float32 is no more than 0.1.
    """
    if bound is None or dtype.kind != "f":
        return _whole(bound, is_low=is_low)
    numpy = _numpy()
    try:
        with numpy.errstate(over="ignore"):
            near = dtype.type(bound)
    except OverflowError:
        near = dtype.type(math.inf if bound > 0 else -math.inf)
    if isinstance(bound, int) and (float(near) < bound if is_low else float(near) > bound):
        return numpy.nextafter(near, dtype.type(math.inf if is_low else -math.inf))
    return near


def _categories(column: Column, categories: tuple[Any, ...], present: _Present) -> Iterator[Misfit]:
    """Yield the values that are none of the categories."""
    import pandas

    values = present.values
    is_narrow = getattr(values.dtype, "kind", "") == "f"
    allowed = {float(values.dtype.type(one)) if is_narrow else one for one in categories}
    if getattr(values.dtype, "kind", "") == "U":
        values = values.astype(object)
    distinct = values.unique() if hasattr(values, "unique") else pandas.unique(values)
    unknown = [one for one in distinct.tolist() if one not in allowed]
    if not unknown:
        return
    alike = values.isin(unknown) if hasattr(values, "isin") else _is_in(values, unknown)
    shown = ", ".join(_shown(one) for one in unknown[:_SHOWN]) + (", …" if len(unknown) > _SHOWN else "")
    message = f"column {column.name!r} has values that are none of its categories: {shown}"
    yield in_rows(
        "category", column.name, message, present.rows(alike.to_numpy() if hasattr(alike, "to_numpy") else alike)
    )


def _is_in(values: Any, some: list[Any]) -> Any:
    """Return which values are among some of them; these have the values' own dtype, so nothing is rounded."""
    numpy = _numpy()
    if values.dtype == object:
        wanted = set(some)
        return numpy.fromiter((value in wanted for value in values), bool, len(values))
    return numpy.isin(values, numpy.asarray(some, dtype=values.dtype))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
