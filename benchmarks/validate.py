"""A million rows of five columns against a signature, beside asking pandas alone whether anything is missing.

The floor is what anybody would have to pay: one look at every column. Categories and ranges come on top of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any

from ground import in_turns, table

from gitops_registry.manifest.columns import Column, Signature
from gitops_registry.signature import misfits

ROWS = 1_000_000
TARGET = 0.3
TIMES = 11
GRADES = ("excellent", "good", "fair", "poor")
SIGNATURE = Signature(
    inputs=(
        Column(name="age", type="long"),
        Column(name="income", type="double"),
        Column(name="score", type="double", minimum=0, maximum=1),
        Column(name="grade", type="string", categories=GRADES),
        Column(name="member", type="boolean"),
    )
)


def main() -> None:
    """Print the table."""
    clean = people()
    forms = {
        "as a CSV file is read": clean,
        "with text as objects": clean.astype({"grade": object}),
        "nullable dtypes": clean.astype({"age": "Int64", "income": "Float64", "score": "Float64", "member": "boolean"}),
        "with 100,000 misfits of each kind": spoilt(clean),
        "the numbers as one array": clean[["age", "income", "score"]].to_numpy(),
    }
    rows = []
    for name, data in forms.items():
        signature = SIGNATURE if hasattr(data, "columns") else Signature(inputs=SIGNATURE.inputs[:3])
        found = in_turns(
            {"floor": partial(timed, missing, data), "validate": partial(timed, partial(misfits, signature), data)},
            times=TIMES,
        )
        is_within = "within" if found["validate"] <= TARGET else "OVER"
        rows.append([name, *(f"{value * 1000:.1f}" for value in found.values()), f"{TARGET * 1000:.0f}", is_within])
    table(
        f"validate: CPU milliseconds for {ROWS:,} rows × 5 columns, medians in turns; floor = isna().any() of each column",
        ["data", "floor", "validate", "target", ""],
        rows,
    )


def people() -> Any:
    """Return rows that fit."""
    import numpy
    import pandas

    dice = numpy.random.default_rng(0)
    return pandas.DataFrame(
        {
            "age": dice.integers(18, 90, ROWS),
            "income": dice.lognormal(10, 1, ROWS),
            "score": dice.random(ROWS),
            "grade": pandas.Series(numpy.array(GRADES)[dice.integers(0, len(GRADES), ROWS)], dtype="str"),
            "member": dice.random(ROWS) > 0.5,
        }
    )


def spoilt(clean: Any) -> Any:
    """Return the rows with every tenth income missing, score out of range, and grade unknown."""
    rows = clean.copy()
    rows.loc[::10, "income"] = None
    rows.loc[::10, "score"] = 2
    rows.loc[::10, "grade"] = "unknown"
    return rows


def missing(data: Any) -> None:
    """Ask of each column whether anything is missing."""
    if not hasattr(data, "columns"):
        for place in range(data.shape[1]):
            bool((data[:, place] != data[:, place]).any())
        return
    for name in data.columns:
        bool(data[name].isna().any())


def timed(judge: Callable[[Any], Any], data: Any) -> float:
    """Return the CPU seconds of one judgement."""
    start = process_time()
    judge(data)
    return process_time() - start


if __name__ == "__main__":
    main()
