"""Tables read from files, and what a model's predictions on them are worth.

Every number comes from scikit-learn or is a quotient of counts in the confusion matrix. Metrics are finite
plain floats; one that is undefined on the data (a quotient by zero, one class only) is left out, never NaN.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.manifest.facts import ConfusionMatrix
from gitops_registry.manifest.parts import Task

_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Measured:
    """A model's measured quality. `confusion_matrix` is None for regressors."""

    task: Task
    metrics: dict[str, float]
    confusion_matrix: ConfusionMatrix | None
    rows: int


def read_table(path: Path) -> Any:
    """Return the DataFrame in a .csv (UTF-8, comma, a header line) or .parquet file, with at least one row."""
    if path.is_dir():
        raise RegistryError(f"{path} is a folder, not a table", hint="name the .csv or .parquet file inside it")
    if not path.is_file():
        raise NotFound(f"there is no file {path}", hint="check the path")
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RegistryError(f"{path.name} is no table the registry reads", hint="give a .csv or .parquet file")
    try:
        table = reader(path)
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror or error}", hint="check the file") from error
    if len(table) == 0:
        raise RegistryError(f"{path.name} has no rows", hint="it needs a header line and at least one row below it")
    return table


def _read_csv(path: Path) -> Any:
    import pandas

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            header, first = next(lines, []), next(lines, [])
        other = next((sign for sign in ";\t|" if len(header) == 1 and sign in header[0]), "")
        if other:
            shown = "tabs" if other == "\t" else f"{other!r}"
            raise RegistryError(f"{path.name} separates its columns by {shown}", hint="save it with commas")
        twice = next((name for index, name in enumerate(header) if name in header[:index]), None)
        if twice is not None:
            raise RegistryError(f"{path.name} has two columns named {twice!r}", hint="rename one of the two")
        # Where every row is longer than the header, pandas takes the first fields as the index: all names shift.
        if len(first) > len(header) > 0:
            raise RegistryError(
                f"{path.name} has rows with more fields than the header", hint="check commas and quotes"
            )
        return pandas.read_csv(path, encoding="utf-8-sig", low_memory=False)
    except UnicodeDecodeError as error:
        raise RegistryError(f"{path.name} is not UTF-8 text", hint="save it as UTF-8") from error
    except pandas.errors.EmptyDataError as error:
        raise RegistryError(f"{path.name} is empty", hint="it needs a header line and rows below it") from error
    except (pandas.errors.ParserError, csv.Error, ValueError) as error:
        raise RegistryError(f"{path.name} is not a CSV table: {_line(error)}", hint="check that line") from error


def _read_parquet(path: Path) -> Any:
    import pandas

    try:
        return pandas.read_parquet(path)
    except ImportError as error:
        raise RegistryError(
            f"cannot read {path.name}: reading parquet needs pyarrow",
            hint="pip install 'gitops-registry[parquet]', or give a .csv file",
        ) from error
    except OSError:
        raise
    except Exception as error:  # pyarrow's own classes cannot be named without importing it
        raise RegistryError(f"{path.name} is not a parquet table: {_line(error)}", hint="write it again") from error


def split_target(table: Any, target: str) -> tuple[Any, Any]:
    """Return the table without the target column, and that column."""
    names = [str(name) for name in table.columns]
    if target not in names:
        close = difflib.get_close_matches(target, names, n=1)
        shown = ", ".join(names) if len(names) <= 20 else ", ".join([*names[:9], "…", *names[-9:]])
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise NotFound(f"there is no column {target!r} in the data", hint=f"{hint}columns: {shown}")
    index = names.index(target)
    return table.drop(columns=table.columns[index]), table.iloc[:, index]


def measure(
    truth: Any,
    predicted: Any,
    *,
    probabilities: Any = None,
    labels: Sequence[Any] | None = None,
    task: Task | None = None,
) -> Measured:
    """Return the metrics of `predicted` against `truth`, which have a value for each row.

    `labels` are the classes in the order of the columns of `probabilities`; the last of two is the positive
    one. Without `task`, labels or a truth that is not floating-point mean classification. Raises for
    missing values, different lengths and a truth that the labels do not know.
    """
    true, guess = _column(truth, "the target"), _column(predicted, "the prediction")
    if len(true) != len(guess):
        raise RegistryError(f"{len(true)} true values but {len(guess)} predictions", hint="give the same rows to both")
    if len(true) == 0:
        raise RegistryError("there are no rows to measure on", hint="give data with at least one row")
    if task in {None, "other"}:
        task = "regression" if labels is None and true.dtype.kind == "f" else None
    if task == "regression":
        return Measured("regression", _regression(true, guess), None, len(true))
    return _classification(true, guess, probabilities=probabilities, labels=labels, task=task)


def _column(values: Any, what: str) -> Any:
    import numpy
    import pandas

    array = values.to_numpy() if hasattr(values, "to_numpy") else numpy.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise RegistryError(f"{what} must be one column, not {array.ndim}-dimensional", hint="measure one target")
    missing = int(pandas.isna(array).sum())
    if missing:
        many = "a missing value" if missing == 1 else f"{missing} missing values"
        raise RegistryError(f"{what} has {many}", hint="drop those rows or fill them in")
    return array


def _regression(true: Any, guess: Any) -> dict[str, float]:
    """Mean absolute error, root mean squared error, and the coefficient of determination 1 - SSE/SST.

    As scikit-learn's User Guide, "Regression metrics"; r2 is left out where the truth does not vary.
    """
    import numpy
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    try:
        true, guess = true.astype(float), guess.astype(float)
    except (TypeError, ValueError) as error:
        raise RegistryError(f"a regression needs numbers: {_line(error)}", hint="check the target column") from error
    if not (numpy.isfinite(true).all() and numpy.isfinite(guess).all()):
        raise RegistryError("the target or the prediction has infinite values", hint="drop those rows")
    found = {"mae": mean_absolute_error(true, guess), "rmse": root_mean_squared_error(true, guess)}
    if true.min() < true.max():
        found["r2"] = r2_score(true, guess)
    return _finite(found)


def _classification(true: Any, guess: Any, *, probabilities: Any, labels: Any, task: Task | None) -> Measured:
    import numpy
    import pandas

    known = _labels(true, guess, labels)
    is_binary = len(known) == 2 if task is None else task == "binary-classification"
    if is_binary and len(known) != 2:
        raise RegistryError(
            f"a binary model was measured on {len(known)} classes: {_names(known)}", hint="check the target column"
        )
    # Codes instead of labels from here on, so that scikit-learn sees one type; == decides, so True is 1.
    index = pandas.Index(known, dtype=object)
    true_codes = index.get_indexer(pandas.Index(true.tolist(), dtype=object))
    guess_codes = index.get_indexer(pandas.Index(guess.tolist(), dtype=object))
    counts = numpy.zeros((len(known), len(known)), dtype=int)
    numpy.add.at(counts, (true_codes, guess_codes), 1)
    scores = _scores(probabilities, rows=len(true), classes=len(labels) if labels is not None else len(known))
    if is_binary:
        found = _binary(counts) | _binary_auc(true_codes, scores)
    else:
        found = (
            _multiclass(true_codes, guess_codes)
            | _multiclass_rates(counts)
            | _multiclass_auc(true_codes, scores, len(known))
        )
    matrix = ConfusionMatrix(labels=tuple(known), counts=tuple(tuple(row) for row in counts.tolist()))
    return Measured(
        "binary-classification" if is_binary else "multiclass-classification", _finite(found), matrix, len(true)
    )


def _labels(true: Any, guess: Any, labels: Sequence[Any] | None) -> list[Any]:
    """Return the classes, the given ones first; classes only the truth has follow in order."""
    import numpy

    given = numpy.asarray(labels, dtype=object).tolist() if labels is not None else []
    given = [label.item() if isinstance(label, numpy.generic) else label for label in given]
    seen = set(true.tolist()) | set(guess.tolist())
    extra = sorted(seen - set(given), key=lambda label: (isinstance(label, str), label))
    if given and not set(true.tolist()) & set(given):
        raise RegistryError(
            f"no value of the target is one of the model's labels: {_names(extra)} against {_names(given)}",
            hint="check the target column's values and type (text or numbers)",
        )
    if len(given) + len(extra) > _MOST_CLASSES:
        raise RegistryError(
            f"the target has {len(given) + len(extra)} distinct values, too many for classes",
            hint="a target of numbers belongs to a regressor; give floating-point values or name the task",
        )
    return given + extra


def _names(labels: Sequence[Any]) -> str:
    return ", ".join(repr(label) for label in labels[:6]) + (", …" if len(labels) > 6 else "")


def _scores(probabilities: Any, *, rows: int, classes: int) -> Any:
    """Return probabilities as rows x classes (or rows, for the positive class alone); None without them."""
    import numpy

    if probabilities is None:
        return None
    scores = numpy.asarray(probabilities, dtype=float)
    if scores.shape not in {(rows, classes), (rows,)} or not numpy.isfinite(scores).all():
        raise RegistryError(
            f"probabilities must be {rows} x {classes} finite numbers",
            hint="check what the model's predict_proba returns",
        )
    return scores


def _binary(counts: Any) -> dict[str, float]:
    """Quotients of the confusion matrix, the last label being positive.

    Definitions of Fawcett, "An introduction to ROC analysis" (2006), section 2, which are scikit-learn's too.
    """
    (tn, fp), (fn, tp) = counts.tolist()
    quotients = {
        "accuracy": (tp + tn, tp + tn + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "false_positive_rate": (fp, fp + tn),
        "false_negative_rate": (fn, fn + tp),
    }
    return {name: above / below for name, (above, below) in quotients.items() if below}


def _binary_auc(true_codes: Any, scores: Any) -> dict[str, float]:
    """Area under the ROC curve, `sklearn.metrics.roc_auc_score`: ties count half."""
    from sklearn.metrics import roc_auc_score

    if scores is None or true_codes.min() == true_codes.max():
        return {}
    return {"roc_auc": roc_auc_score(true_codes == 1, scores if scores.ndim == 1 else scores[:, 1])}


def _multiclass(true_codes: Any, guess_codes: Any) -> dict[str, float]:
    """Accuracy, and the unweighted means over the classes that occur, `average="macro"` of scikit-learn.

    A class that is never predicted counts as 0 in the mean of the precisions, as it does there.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(
        true_codes, guess_codes, average="macro", zero_division=0.0
    )
    return {"accuracy": accuracy_score(true_codes, guess_codes), "precision": precision, "recall": recall, "f1": f1}


def _multiclass_rates(counts: Any) -> dict[str, float]:
    """Unweighted means of each class's rates against the rest, over the classes that the truth has."""
    import numpy

    right, true, guessed = numpy.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    has, others = true > 0, counts.sum() - true
    missed = (true - right)[has] / true[has]
    wrong = (guessed - right)[has & (others > 0)] / others[has & (others > 0)]
    rates = {"false_positive_rate": wrong, "false_negative_rate": missed}
    return {name: float(values.mean()) for name, values in rates.items() if len(values)}


def _multiclass_auc(true_codes: Any, scores: Any, classes: int) -> dict[str, float]:
    """Unweighted mean of one-against-the-rest areas (`multi_class="ovr"`), where every class occurs."""
    import numpy
    from sklearn.metrics import roc_auc_score

    if scores is None or scores.ndim != 2 or scores.shape[1] != classes or len(set(true_codes.tolist())) < classes:
        return {}
    if classes < 3:
        return {}
    areas = [roc_auc_score(true_codes == code, scores[:, code]) for code in range(classes)]
    return {"roc_auc": float(numpy.mean(areas))}


def _finite(found: dict[str, Any]) -> dict[str, float]:
    import math

    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
