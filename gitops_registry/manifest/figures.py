"""Numbers that were measured beside the metrics: by group of a column, and of the formats a model can be stored in."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from gitops_registry.manifest.parts import Finite, Part, Scalar, Text

MetricName = Annotated[str, StringConstraints(max_length=200)]
"""A key between brackets: YAML takes none that is longer than 1,024 signs."""
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Group(Part):
    """The rows that have one value in a column, and the metrics on them alone."""

    flow: ClassVar[bool] = True
    value: Scalar = None
    rows: Annotated[int, Field(ge=1)]
    metrics: dict[MetricName, Finite] = {}


class Slice(Part):
    """Metrics by group of a column: a group for each value, in order; rows without one are the group of null."""

    column: Text
    groups: Annotated[tuple[Group, ...], Field(min_length=1, max_length=1000)]


class FormatFigures(Part):
    """One format of a model, measured: bytes, and the median milliseconds of saving, loading and predicting 1 and 100 rows.

    `agreement` is the share of rows on which it says what the original says; None where there was nothing to compare.
    """

    flow: ClassVar[bool] = True
    format: Text
    size: Annotated[int, Field(ge=0)]
    save_ms: NotNegative | None = None
    load_ms: NotNegative | None = None
    predict_1_ms: NotNegative | None = None
    predict_100_ms: NotNegative | None = None
    agreement: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    runs: Annotated[int, Field(ge=1)] = 1


class Classes(Part):
    """The classes of a model whose file does not say them, in the order of its scores, and what the scores are."""

    labels: Annotated[tuple[Scalar, ...], Field(min_length=2, max_length=1000)]
    scores: Literal["probabilities", "logits"] = "probabilities"
