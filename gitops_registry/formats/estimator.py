"""A fitted scikit-learn estimator: what it is, and how it predicts, whichever format it was stored in."""

from __future__ import annotations

import math
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import lacking, reason
from gitops_registry.manifest.facts import Framework
from gitops_registry.manifest.parts import Param, Task


class EstimatorModel:
    """An estimator behind the interface of `LoadedModel`, whichever format it came from."""

    def __init__(self, estimator: Any, task: Task, format: str) -> None:  # noqa: A002
        self.format = format
        self.native = estimator
        self.task = task
        classes = getattr(estimator, "classes_", None)
        self.labels: list[Any] | None = None
        if task in {"binary-classification", "multiclass-classification"} and classes is not None:
            self.labels = list(classes.tolist())

    def predict(self, table: Any, **parameters: Any) -> Any:
        return self._call("predict", table, **parameters)

    def predict_proba(self, table: Any) -> Any | None:
        if self.labels is None or not hasattr(self.native, "predict_proba"):
            return None
        return self._call("predict_proba", table)

    def _call(self, method: str, table: Any, **parameters: Any) -> Any:
        import numpy

        try:
            return numpy.asarray(getattr(self.native, method)(self.fitting(table), **parameters))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise RegistryError(
                f"the model cannot predict from this data: {reason(error)}",
                hint="compare the data with the columns and types the model was fitted on",
            ) from error

    def fitting(self, table: Any) -> Any:
        """Return the table as the estimator was fitted: its columns in its order, or the bare numbers."""
        if not hasattr(table, "columns"):
            return table
        names = getattr(self.native, "feature_names_in_", None)
        if names is None:
            is_numeric = all(getattr(dtype, "kind", "O") in "biuf" for dtype in table.dtypes)
            return table.to_numpy() if is_numeric else table
        missing = [name for name in names if name not in table.columns]
        if missing:
            raise lacking(missing, list(table.columns))
        return table[list(names)]


def needs_table(estimator: Any) -> bool:
    """Say whether some part of an estimator picks columns by name, which only a DataFrame has: an array would be refused."""
    from sklearn.compose import ColumnTransformer

    parts = [estimator, *estimator.get_params(deep=True).values()]
    return any(
        _is_by_name(columns)
        for part in parts
        if isinstance(part, ColumnTransformer)
        for _, _, columns in part.transformers
    )


def _is_by_name(columns: Any) -> bool:
    """Say whether names, or a rule such as make_column_selector, pick the columns."""
    if callable(columns):
        return True
    ends = (columns.start, columns.stop) if isinstance(columns, slice) else [columns]
    given = columns if hasattr(columns, "__iter__") and not isinstance(columns, str) else ends
    return any(isinstance(one, str) for one in given)


def facts_of(estimator: Any) -> tuple[Task, str, Framework, dict[str, Param]]:
    """Return the task, the kind of model, the framework and the parameters of a fitted estimator.

    A pipeline is described by its last step, whose parameters carry scikit-learn's `step__name`; the others
    stand as class names. Parameters that are not plain values, NaN and infinities are left out. Raises for
    anything that is not fitted or cannot predict.
    """
    import sklearn
    from sklearn.base import is_classifier, is_regressor

    _check_fitted(estimator)
    task: Task = "other"
    classes: Any = getattr(estimator, "classes_", None)
    if is_classifier(estimator) and getattr(classes, "ndim", 0) == 1 and len(classes) > 1:
        task = "binary-classification" if len(classes) == 2 else "multiclass-classification"
    elif is_regressor(estimator):
        task = "regression"
    last = estimator
    prefix = ""
    params: dict[str, Param] = {}
    while (steps := getattr(last, "steps", None)) and hasattr(last, "named_steps"):
        params |= {f"{prefix}{name}": step if isinstance(step, str) else type(step).__name__ for name, step in steps}
        prefix, last = f"{prefix}{steps[-1][0]}__", steps[-1][1]
    for name, value in last.get_params(deep=False).items():
        is_plain, plain = _plain(value)
        if is_plain:
            params[f"{prefix}{name}"] = plain
    return task, type(last).__name__, Framework(name="scikit-learn", version=sklearn.__version__), params


def _check_fitted(estimator: Any) -> None:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    name = type(estimator).__name__
    if isinstance(estimator, type) or not isinstance(estimator, BaseEstimator):
        raise RegistryError(f"a {name} is not a scikit-learn estimator", hint="give a fitted estimator or a pipeline")
    if not hasattr(estimator, "predict"):
        raise RegistryError(
            f"{name} cannot predict", hint="give a classifier or regressor, or a pipeline ending in one"
        )
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise RegistryError(f"{name} is not fitted", hint="call its fit(X, y) first") from error


def _plain(value: Any) -> tuple[bool, Param]:
    """Return whether the value can stand in a manifest, and as what."""
    import numpy

    if isinstance(value, numpy.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return True, value
    if isinstance(value, float):
        return math.isfinite(value), value
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        is_plain = all(ok and not isinstance(item, tuple) for ok, item in items)
        return is_plain, tuple(item for _, item in items if not isinstance(item, tuple))
    if hasattr(value, "get_params") and not isinstance(value, type):
        return True, type(value).__name__
    return False, None
