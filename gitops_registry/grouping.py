"""Metrics by group of a column: the same measurement, on the rows of each value alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.manifest.figures import Group, Slice
from gitops_registry.manifest.parts import Task
from gitops_registry.measure import measure

_MOST_GROUPS = 100


def slices_of(
    table: Any, columns: Sequence[str], truth: Any, predicted: Any,
    *, probabilities: Any = None, labels: Sequence[Any] | None = None, task: Task | None = None,
) -> tuple[Slice, ...]:  # fmt: skip
    """Return the metrics by group of each of the table's columns; the other values have one for each of its rows.

    Groups are in order of their values, rows without a value last. A metric that is not defined on a group's rows is left
    out there. Raises NotFound for a column that is not there, RegistryError for one of too many values.
    """
    there = [str(name) for name in table.columns]
    found = []
    for column in dict.fromkeys(columns):
        if column not in there:
            raise NotFound(f"there is no column {column!r} to group by", hint=f"columns: {', '.join(there[:20])}")
        values = table.iloc[:, there.index(column)]
        found.append(_slice(column, values, truth, predicted, probabilities, labels, task))
    return tuple(found)


def _slice(
    column: str, values: Any, truth: Any, predicted: Any, probabilities: Any, labels: Sequence[Any] | None, task: Task | None
) -> Slice:  # fmt: skip
    import numpy
    import pandas

    codes, distinct = pandas.factorize(values, sort=True, use_na_sentinel=True)
    if len(distinct) > _MOST_GROUPS:
        raise RegistryError(
            f"column {column!r} has {len(distinct)} different values, and groups are {_MOST_GROUPS} at most",
            hint="group by a column of few values, or make bands of it first",
        )
    true, guess = numpy.asarray(truth), numpy.asarray(predicted)

    def metrics(rows: Any, _: Any) -> Any:
        scores = None if probabilities is None else probabilities[rows]
        return measure(true[rows], guess[rows], probabilities=scores, labels=labels, task=task).metrics

    by_group = _metric_frame()(
        metrics={"metrics": metrics}, y_true=numpy.arange(len(true)), y_pred=numpy.arange(len(true)),
        sensitive_features=pandas.Series(codes, name="group"),
    ).by_group["metrics"]  # fmt: skip
    counts = pandas.Series(codes).value_counts()
    order = [*range(len(distinct)), *([-1] if -1 in counts else [])]
    return Slice(
        column=column,
        groups=tuple(
            Group(
                value=None if code < 0 else _plain(distinct[code]), rows=int(counts[code]), metrics=by_group.loc[code]
            )
            for code in order
            if code in counts
        ),
    )


def _metric_frame() -> Any:
    try:
        from fairlearn.metrics import MetricFrame
    except ImportError as error:
        raise RegistryError(
            "metrics by group need fairlearn, which is not installed", hint="pip install 'gitops-registry[fairness]'"
        ) from error
    return MetricFrame


def _plain(value: Any) -> Any:
    """Return a value of a table as a manifest keeps it."""
    import numpy

    if isinstance(value, numpy.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():  # whole numbers, in a column that has missing ones
        return int(value)
    return value if isinstance(value, bool | int | float | str) else str(value)
