"""Serves one registered model over HTTP: POST /predict takes rows, and answers each.

Written by `gitops-registry export --to bentoml`, and needs neither that package nor the registry. The model's SHA-256 is
compared before it is opened. A request whose rows do not fit the model's signature is answered with 400 and every problem,
before its rows meet those of others in a batch.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import bentoml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictStr, create_model
from registered_model import DESCRIPTION, ExportedModel

HERE = Path(__file__).parent
SAID = json.loads((HERE / DESCRIPTION).read_text(encoding="utf-8"))
MOST_ROWS = 10_000
DTYPES = {"double": "float64", "float": "float64", "integer": "int64", "long": "int64", "boolean": "bool"}


def is_number(value: Any) -> Any:
    """Return a number as it is: a truth value or a text is none, though Python would convert it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("it is no number")
    return value


def is_whole(value: Any) -> Any:
    """Return a whole number, also where it was written with a point."""
    if isinstance(is_number(value), float) and not value.is_integer():
        raise ValueError("it is no whole number")
    return int(value)


def is_one_of(column: dict[str, Any]) -> AfterValidator:
    """Return what refuses a value that is none of the column's categories."""
    known = {(type(value) is bool, value) for value in column["categories"]}

    def check(value: Any) -> Any:
        if (type(value) is bool, value) not in known:
            raise ValueError(f"it is none of {', '.join(map(repr, column['categories'][:20]))}")
        return value

    return AfterValidator(check)


def field(column: dict[str, Any]) -> tuple[Any, Any]:
    """Return a column of the signature as a field of a row."""
    limits = Field(ge=column["minimum"], le=column["maximum"], allow_inf_nan=False)
    kind: Any = {
        "double": Annotated[float, limits, BeforeValidator(is_number)],
        "float": Annotated[float, limits, BeforeValidator(is_number)],
        "integer": Annotated[int, Field(ge=column["minimum"], le=column["maximum"]), BeforeValidator(is_whole)],
        "long": Annotated[int, Field(ge=column["minimum"], le=column["maximum"]), BeforeValidator(is_whole)],
        "boolean": StrictBool,
        "string": StrictStr,
        "datetime": datetime,
    }[column["type"]]
    if column["filled"]:
        kind = Annotated[StrictStr, Field(min_length=1)]
    if column["categories"]:
        kind = Annotated[kind, is_one_of(column)]
    if column["nullable"]:
        kind = kind | None
    return kind, Field(... if column["required"] else None, alias=column["name"])


class Part(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=(), populate_by_name=False)


Row = create_model("Row", __base__=Part, **{f"column_{n}": field(column) for n, column in enumerate(SAID["inputs"])})


class Answer(Part):
    """The label or value that the model gives a row, and, of a classifier that has them, the probability of each label."""

    prediction: Any
    probabilities: dict[str, float] | None = None


def as_rows(value: Any) -> Any:
    """Return rows: one alone needs no list."""
    return [value] if isinstance(value, dict) else value


Rows = Annotated[list[Row], Field(min_length=1, max_length=MOST_ROWS), BeforeValidator(as_rows)]


def table_of(rows: list[Any]) -> Any:
    """Return rows as a table with the columns of the signature, in its order, and their types."""
    import pandas

    columns = {}
    for n, column in enumerate(SAID["inputs"]):
        values = [getattr(row, f"column_{n}") for row in rows]
        dtype = DTYPES.get(column["type"], "object")
        if column["type"] == "string":  # scikit-learn takes NaN for missing text, and None for a word of its own
            values = [float("nan") if value is None else value for value in values]
        if any(value is None for value in values) and dtype != "object":
            dtype = "object" if dtype == "bool" else "float64"
        columns[column["name"]] = pandas.Series(values, dtype=dtype)
        if column["type"] == "datetime":
            columns[column["name"]] = pandas.to_datetime(columns[column["name"]])
    return pandas.DataFrame(columns)


@bentoml.service(name=SAID["service"], traffic={"timeout": 60})
class RegisteredService:
    """One version of a registered model."""

    def __init__(self) -> None:
        self.model = ExportedModel(HERE)

    @bentoml.api(batchable=True, max_batch_size=1000)
    def predict(self, rows: Rows) -> list[Answer]:
        """Answer rows, each a mapping of column to value. Rows of several requests are computed together."""
        values, scores = self.model.answers(table_of(rows))
        return [Answer(prediction=value, probabilities=scores[n] if scores else None) for n, value in enumerate(values)]

    @bentoml.api
    def version(self) -> dict[str, Any]:
        """Say which version of which model answers, from which commit, and its signature."""
        return {key: SAID[key] for key in ("version", "commit", "sha256", "format", "labels", "inputs")}
