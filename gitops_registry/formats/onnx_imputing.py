"""Missing text in a graph: ONNX has none, so where a pipeline fills it in, it is handed in as empty text.

Only where every step that reads a column of text begins by filling it in does empty text mean the same as none; a column
that is read otherwise, too, stays as it is. Text that is truly empty is then no input of such a column.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any


def with_empty_text(estimator: Any, sample: Any, is_text: Sequence[bool]) -> tuple[Any, list[str]]:
    """Return an estimator for which empty text is missing text, and the names of the columns it is so for.

    It is the estimator itself where there are none, else a copy; the fitted estimator stays as it is. `sample` is a
    DataFrame with its columns.
    """
    places = list(range(len(sample.columns)))
    texts = {place for place, text in enumerate(is_text) if text}
    filled = _filled(_readers(estimator, sample, places), texts)
    if not filled:
        return estimator, []
    own = copy.deepcopy(estimator)
    for step, read in _readers(own, sample, places):
        if read and set(read) <= filled:
            step.missing_values = ""
    return own, [str(sample.columns[place]) for place in sorted(filled)]


def _filled(readers: Iterator[tuple[Any, list[int]]], texts: set[int]) -> set[int]:
    """Return the columns that nothing reads but what fills in missing text, in columns of which all are such."""
    filling: list[set[int]] = []
    filled = set(texts)
    for step, places in readers:
        if _fills_in_text(step):
            filling.append(set(places))
        else:
            filled -= set(places)
    # A step that reads another column, too, is not changed, and then nothing of what it reads may be empty text.
    while mixed := [read for read in filling if read & filled and not read <= filled]:
        filled -= mixed[0]
    return filled & set().union(*filling)


def _readers(step: Any, sample: Any, places: list[int]) -> Iterator[tuple[Any, list[int]]]:
    """Yield what reads columns of the table first, and the places of those columns."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    if isinstance(step, Pipeline):
        first = next((one for _, one in step.steps if one is not None and one != "passthrough"), "passthrough")
        yield from _readers(first, sample, places)
    elif isinstance(step, ColumnTransformer) and hasattr(step, "transformers_"):
        for _, one, columns in step.transformers_:
            if not (isinstance(one, str) and one == "drop"):
                yield from _readers(one, sample, [places[place] for place in _picked(sample.iloc[:0, places], columns)])
    else:
        yield step, places


def _picked(empty: Any, columns: Any) -> list[int]:
    """Return the places of the columns that a fitted ColumnTransformer picks: names, places, a slice or marks."""
    import numpy
    import pandas

    numbered = pandas.DataFrame([range(len(empty.columns))], columns=empty.columns)
    if isinstance(columns, str | int):
        columns = [columns]
    if isinstance(columns, slice):
        is_named = isinstance(columns.start, str) or isinstance(columns.stop, str)
    else:
        columns = numpy.asarray(columns)
        is_named = columns.dtype.kind not in "iu" and len(columns) > 0
        columns = columns if is_named else columns.astype(int)
    part = numbered.loc[:, columns] if is_named else numbered.iloc[:, columns]
    return [int(place) for place in part.iloc[0].tolist()]


def _fills_in_text(step: Any) -> bool:
    """Say whether a step replaces NaN by text, and does nothing else."""
    from sklearn.impute import SimpleImputer

    missing = getattr(step, "missing_values", None)
    return (
        type(step) is SimpleImputer
        and isinstance(missing, float)
        and missing != missing
        and not step.add_indicator
        and all(isinstance(value, str) for value in getattr(step, "statistics_", [None]))
    )
