"""Data against a signature: every misfit at once, exact whatever the dtype."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gitops_registry.errors import ManifestError, RegistryError
from gitops_registry.manifest.columns import Column, Parameter, Signature, SignatureFile
from gitops_registry.manifest.reading import parse
from gitops_registry.signature import Misfit, infer, misfits, ordered, parameters_of, problems
from gitops_registry.using import data_in, validate

FIVE = Signature(
    inputs=(
        Column(name="age", type="long", minimum=0, maximum=120),
        Column(name="income", type="double"),
        Column(name="score", type="float", required=False),
        Column(name="grade", type="string", categories=("A", "B")),
        Column(name="member", type="boolean"),
    )
)


def found(values, kind="double", **more) -> list[tuple]:
    """Return kind, count and rows of what is wrong with one column's values."""
    column = Column(name="a", type=kind, **more)
    table = pd.DataFrame({"a": values})
    return [(one.kind, one.count, one.rows) for one in misfits(Signature(inputs=(column,)), table)]


def test_every_problem_is_told_at_once_with_counts_and_the_first_rows() -> None:
    table = pd.DataFrame(
        {
            "extra": 1,
            "grade": ["A", "C"] * 4,
            "age": [1, 2, 3, 4, 5, 6, 121, -1],
            "income": [1.0, np.nan, np.inf, *[1.0] * 5],
            "member": ["yes"] * 8,
        }
    )
    assert misfits(FIVE, table) == [
        Misfit("range", "age", "column 'age' must be from 0 to 120, but some values are not", 2, (6, 7)),
        Misfit("null", "income", "column 'income' must be double, but some values are missing", 1, (1,)),
        Misfit("infinite", "income", "column 'income' must be double, but some values are infinite", 1, (2,)),
        Misfit("category", "grade", "column 'grade' has values that are none of its categories: 'C'", 4, (1, 3, 5, 7)),
        Misfit("type", "member", "column 'member' must be boolean, not string", 8, (0, 1, 2, 3, 4)),
        Misfit("unexpected", "extra", "column 'extra' is none that the model knows", severity="warning"),
        Misfit(
            "reordered",
            "",
            "the columns 'grade', 'age', 'income' stand in another order than the model's",
            severity="warning",
        ),
    ]
    assert misfits(FIVE, table)[0].to_json() == {
        "kind": "range", "severity": "error", "column": "age", "count": 2, "rows": [6, 7],
        "message": "column 'age' must be from 0 to 120, but some values are not",
    }  # fmt: skip
    assert len(problems(FIVE, table)) == 5


def test_values_beside_some_of_another_type_are_judged_all_the_same() -> None:
    ages = pd.Series([17, "abc", 200, None, 30.5], dtype=object)
    limits = {"minimum": 18, "maximum": 120}
    assert found(ages, "long", **limits) == [
        ("null", 1, (3,)), ("type", 1, (1,)), ("type", 1, (4,)), ("range", 2, (0, 2)),
    ]  # fmt: skip
    assert found(pd.Series([np.inf, "x", -1.0], dtype=object), minimum=0) == [
        ("type", 1, (1,)), ("infinite", 1, (0,)), ("range", 1, (2,)),
    ]  # fmt: skip
    assert found(pd.Series([3, "C", "A"], dtype=object), "string", categories=("A",)) == [
        ("type", 1, (0,)), ("category", 1, (1,)),
    ]  # fmt: skip


def test_one_wrong_cell_of_a_csv_is_the_row_that_is_told(tmp_path: Path) -> None:
    columns = {"age": "long", "paid": "boolean", "on": "datetime", "plain": "integer"}
    signature = Signature(inputs=tuple(Column(name=name, type=kind) for name, kind in columns.items()))
    file = tmp_path / "rows.csv"
    many = ["40,True,2026-01-02,1"] * 1000
    many[600], many[700] = "4O,maybe,2026-01-02,1", "9007199254740993,false,yesterday,1"
    file.write_text("\n".join([",".join(columns), *many]) + "\n")
    wrong, rows = validate(signature, file)
    assert (rows, [(one.kind, one.column, one.count, one.rows) for one in wrong]) == (1000, [
        ("type", "age", 1, (600,)), ("type", "paid", 1, (600,)), ("type", "on", 1, (700,)),
    ])  # fmt: skip
    assert wrong[0].message == "column 'age' must be long, but some values are string"
    assert data_in(file, signature)["age"][700] == 9007199254740993
    file.write_text("age,paid,on,plain\nx,y,z,1\n")
    assert next(one.message for one in validate(signature, file)[0]) == "column 'age' must be long, not string"


def test_rows_are_positions_whatever_the_index_says() -> None:
    table = pd.DataFrame({"a": [1.0, np.nan, 2.0, np.nan]}, index=["x", "x", "y", "y"])
    assert misfits(Signature(inputs=(Column(name="a", type="double"),)), table)[0].rows == (1, 3)


@pytest.mark.parametrize(
    ("values", "column", "wrong"),
    [
        ([2**53, 2**53 + 1], {"kind": "long", "maximum": 2**53}, [("range", 1, (1,))]),
        ([2**53 + 1, 2**53 + 2], {"kind": "long", "minimum": float(2**53)}, []),
        ([float(2**53), float(2**53 + 2)], {"maximum": 2**53 + 1}, [("range", 1, (1,))]),
        ([float(2**53), float(2**53 + 2)], {"minimum": 2**53 + 1}, [("range", 1, (0,))]),
        (np.array([2**63 - 1, 2**63], dtype="uint64"), {"kind": "long"}, [("range", 1, (1,))]),
        (np.array([2**64 - 1], dtype="uint64"), {"kind": "long", "dtype": "uint64"}, []),
        ([2.0**63, -(2.0**63)], {"kind": "long"}, [("range", 1, (0,))]),
        (np.array([2.0**63], dtype="float32"), {"kind": "long"}, [("range", 1, (0,))]),
        (pd.Series([2**70, 1], dtype=object), {"kind": "long"}, [("range", 1, (0,))]),
        (pd.Series([2**53 + 1, 2**53], dtype=object), {"kind": "long", "maximum": 2.0**53}, [("range", 1, (0,))]),
        (pd.Series([np.int64(2**53 + 1), 0.5], dtype=object), {"maximum": 2**53}, [("range", 1, (0,))]),
        ([2**53, 2**53 + 1], {"kind": "long", "categories": (2**53 + 1,)}, [("category", 1, (0,))]),
        ([255, 256, -1], {"kind": "integer", "dtype": "uint8"}, [("range", 2, (1, 2))]),
        ([65504.0, 65520.0], {"kind": "float", "dtype": "float16"}, [("range", 1, (1,))]),
        (np.array([0.1], dtype="float32"), {"kind": "float", "maximum": 0.1}, []),
        (np.array([0.1], dtype="float32"), {"kind": "float", "categories": (0.1,)}, []),
        ([1.0], {"maximum": 10**400}, []),
        ([1.0], {"maximum": -(10**400)}, [("range", 1, (0,))]),
        ([-0.0, 0.0], {"minimum": 0, "maximum": 0}, []),
        ([5e-324, 0.0], {"maximum": 0}, [("range", 1, (0,))]),
    ],
)
def test_numbers_are_compared_exactly(values, column, wrong) -> None:
    assert found(values, **column) == wrong


@pytest.mark.parametrize(
    ("values", "kind", "wrong"),
    [
        (pd.array([1, None, 3], dtype="Int64"), "long", [("null", 1, (1,))]),
        (pd.array([1, None, 300], dtype="Int16"), "double", [("null", 1, (1,))]),
        (pd.array([1.5, None, np.inf], dtype="Float64"), "double", [("null", 1, (1,)), ("infinite", 1, (2,))]),
        (pd.array([1.5, 2.0], dtype="Float32"), "long", [("type", 1, (0,))]),
        (pd.array([True, None], dtype="boolean"), "boolean", [("null", 1, (1,))]),
        (pd.array(["a", None], dtype="string"), "string", [("null", 1, (1,))]),
        (pd.array(["a", None], dtype="str"), "string", [("null", 1, (1,))]),
        (pd.array(["a", "b"], dtype="string[python]"), "string", []),
        (pd.Categorical(["a", None]), "string", [("null", 1, (1,))]),
        (pd.Categorical([1, 2]), "long", []),
        (pd.Categorical([1.5, 2]), "long", [("type", 1, (0,))]),
        (pd.Categorical([1, 2]), "string", []),
        (pd.Categorical(["a"]), "long", [("type", 1, (0,))]),
        (pd.array([1, None], dtype="int64[pyarrow]"), "long", [("null", 1, (1,))]),
        (pd.array([1.5, 2.5], dtype="double[pyarrow]"), "double", []),
        (pd.array([1.5, 2.0], dtype="float[pyarrow]"), "long", [("type", 1, (0,))]),
        (pd.array([True], dtype="bool[pyarrow]"), "boolean", []),
        (pd.array([b"a"], dtype="binary[pyarrow]"), "binary", []),
        (pd.array(["a"], dtype=pd.ArrowDtype(pa.large_string())), "string", []),
        (pd.array(["a"], dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))), "string", []),
        (pd.to_datetime(["2026-01-01", None]), "datetime", [("null", 1, (1,))]),
        (pd.to_datetime(["2026-01-01T00:00Z"]), "datetime", []),
        (pd.array([pd.Timestamp("2026-01-01")], dtype="timestamp[us][pyarrow]"), "datetime", []),
        (pd.Series([pd.Timestamp("2026-01-01"), None], dtype=object), "datetime", [("null", 1, (1,))]),
        (pd.Series([True, None, pd.NA, np.nan], dtype=object), "boolean", [("null", 3, (1, 2, 3))]),
        (pd.Series(["x", 1, None], dtype=object), "string", [("null", 1, (2,)), ("type", 1, (1,))]),
        (pd.Series([1, True], dtype=object), "long", [("type", 1, (1,))]),
        (pd.Series([1, 2.5], dtype=object), "long", [("type", 1, (1,))]),
        (pd.Series([1, math.inf], dtype=object), "long", [("infinite", 1, (1,))]),
        (pd.Series([[1], [2]], dtype=object), "double", [("type", 2, (0, 1))]),
        (pd.Series([object()], dtype=object), "string", [("type", 1, (0,))]),
        ([1.0, math.nan, math.inf, -math.inf, 1.5], "long", [("null", 1, (1,)), ("infinite", 2, (2, 3)), ("type", 1, (4,))]),
        (pd.period_range("2026-01", periods=1, freq="M"), "datetime", [("type", 1, (0,))]),
        (pd.arrays.SparseArray([1.0]), "double", [("type", 1, (0,))]),
        ([1j], "double", [("type", 1, (0,))]),
        ([pd.Timedelta(1, "s")], "datetime", [("type", 1, (0,))]),
        ([None, None], "long", [("null", 2, (0, 1))]),
    ],
)  # fmt: skip
def test_values_are_judged_alike_in_every_dtype(values, kind, wrong) -> None:
    assert found(values, kind) == wrong


@pytest.mark.parametrize("dtype", ["object", "str", "string", "category", "string[pyarrow]"])
def test_unknown_categories_of_text_are_found_in_every_dtype(dtype) -> None:
    values = pd.Series(["A", "x", None, "B", "x"]).astype(dtype)
    assert found(values, "string", nullable=True, categories=("A", "B")) == [("category", 2, (1, 4))]
    assert found(values, "string", nullable=True, categories=("A", "B", "x")) == []


def test_categories_that_a_table_only_could_have_are_no_values() -> None:
    assert found(pd.Categorical(["A"], categories=["A", "never"]), "string", categories=("A",)) == []


@pytest.mark.parametrize(
    "dtype", ["int8", "int64", "uint8", "float32", "float64", "Int64", "Float64", "object", "category"]
)
def test_unknown_categories_of_numbers_are_found_in_every_dtype(dtype) -> None:
    assert found(pd.Series([1, 2, 7]).astype(dtype), "long", categories=(1, 2)) == [("category", 1, (2,))]


def test_only_three_unknown_categories_are_named_and_none_at_length() -> None:
    signature = Signature(inputs=(Column(name="a", type="string", categories=("x",)),))
    (one,) = misfits(signature, pd.DataFrame({"a": ["q" * 100, "b", "c", "d"]}))
    assert one.message.endswith(": '" + "q" * 38 + "…, 'b', 'c', …")


def test_nullable_and_required_are_two_things() -> None:
    assert found([1.0, None], nullable=True) == []
    assert found([1.0, None], required=False) == []
    assert found([1.0, None], required=False, nullable=False) == [("null", 1, (1,))]


def test_of_no_rows_only_the_columns_are_judged() -> None:
    assert [one.kind for one in misfits(FIVE, pd.DataFrame({"age": []}))] == ["missing", "missing", "missing"]
    empty = pd.DataFrame(columns=[column.name for column in FIVE.inputs])
    assert misfits(FIVE, empty) == []
    assert misfits(FIVE, np.empty((0, 5))) == []
    assert misfits(Signature(), pd.DataFrame({"a": [1]})) == []


def test_columns_are_known_by_the_text_of_their_names() -> None:
    table = pd.DataFrame([[1, 2.0]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    assert misfits(infer(table, {}), table) == []
    assert [column.name for column in infer(table, {}).inputs] == ["('a', 'x')", "('a', 'y')"]
    numbers = pd.DataFrame([[1, 2]], columns=[0, 1])
    assert misfits(infer(numbers, {}), numbers.rename(columns=str)) == []
    twice = pd.DataFrame([[1, 2, 3]], columns=[0, "0", 1])
    assert [one.kind for one in misfits(infer(numbers, {}), twice)] == ["duplicate"]


def test_ten_thousand_columns_are_judged_one_by_one() -> None:
    table = pd.DataFrame(np.zeros((3, 10_000)), columns=[f"c{i}" for i in range(10_000)])
    signature = infer(table, {}, ranges=True)
    table.iloc[2, 9_999] = 1
    assert [(one.kind, one.column, one.rows) for one in misfits(signature, table)] == [("range", "c9999", (2,))]


# ── arrays


def test_the_columns_of_an_array_are_taken_by_position() -> None:
    signature = Signature(inputs=(Column(name="a", type="long"), Column(name="b", type="double", maximum=1)))
    assert misfits(signature, np.array([[1.0, 0.5]])) == []
    wrong = misfits(signature, np.array([[1.0, 0.5], [1.5, 2.0], [np.nan, 1.0]]))
    assert [(one.kind, one.column, one.rows) for one in wrong] == [
        ("null", "a", (2,)),
        ("type", "a", (1,)),
        ("range", "b", (1,)),
    ]
    assert [one.message for one in misfits(signature, np.zeros((2, 3)))] == [
        "the data has the shape [2, 3], and the model takes [-1, 2]"
    ]
    assert [one.kind for one in misfits(signature, np.zeros(2))] == ["shape"]
    assert misfits(signature, [[1, 0.5], [2, 1]]) == []
    assert misfits(signature, [{"a": 1, "b": 0.5}]) == []
    text = Signature(inputs=(Column(name="a", type="long"), Column(name="b", type="string")))
    assert misfits(text, [[1, "x"], [2, "y"]]) == []
    assert misfits(text, np.array([[1, "x"], [2, "y"]], dtype=object)) == []


def test_one_tensor_is_judged_by_rows() -> None:
    images = np.zeros((4, 1, 8, 8), dtype="float32")
    signature = infer(images, {"label": np.array([0, 1, 0, 1])}, ranges=True)
    assert signature.inputs == (Column(name="input", type="float", shape=(-1, 1, 8, 8), minimum=0.0, maximum=0.0),)
    assert misfits(signature, images) == []
    images[1, 0, 0, 0] = images[1, 0, 7, 7] = images[3, 0, 2, 2] = 5
    images[2, 0, 1, 1] = np.nan
    assert [(one.kind, one.count, one.rows) for one in misfits(signature, images)] == [
        ("null", 1, (2,)),
        ("range", 2, (1, 3)),
    ]
    (one,) = misfits(signature, np.zeros((4, 8, 8)))
    assert (one.kind, one.message) == ("shape", "'input' must have the shape [-1, 1, 8, 8], not [4, 8, 8]")
    assert [one.kind for one in misfits(signature, np.array(1.0))] == ["shape"]


def test_several_tensors_are_given_by_their_names() -> None:
    data = {"ids": np.zeros((3, 7), dtype="int64"), "weight": np.ones(3)}
    signature = infer(data, {})
    assert [(column.name, column.shape) for column in signature.inputs] == [("ids", (-1, 7)), ("weight", None)]
    assert misfits(signature, data) == []
    assert misfits(signature, {**data, "weight": np.ones((3, 1))}) == []
    wrong = misfits(signature, {"ids": np.zeros((3, 8), dtype="int64"), "weight": np.ones(2), "more": np.ones(3)})
    assert [(one.kind, one.column) for one in wrong] == [("shape", "ids"), ("unexpected", "more"), ("rows", "")]
    assert [one.kind for one in misfits(signature, {"ids": data["ids"]})] == ["missing"]
    assert "mapping" in misfits(signature, np.zeros((3, 8)))[0].message


def test_a_table_may_hold_a_tensor_in_cells_or_be_one() -> None:
    column = Column(name="v", type="double", shape=(-1, 2), maximum=9)
    signature = Signature(inputs=(column, Column(name="n", type="long")))
    table = pd.DataFrame({"v": [np.array([1.0, 2]), [3, 4], [5, 10], [1, 2, 3], "x", None], "n": range(6)})
    assert [(one.kind, one.rows) for one in misfits(signature, table)] == [
        ("null", (5,)),
        ("shape", (3, 4)),
        ("range", (2,)),
    ]
    alone = Signature(inputs=(column,))
    matrix = pd.DataFrame({"p": [1.0, 2], "q": [3.0, 10]})
    assert [(one.kind, one.rows) for one in misfits(alone, matrix)] == [("range", (1,))]
    assert list(ordered(alone, matrix).columns) == ["p", "q"]
    assert [one.kind for one in misfits(alone, matrix.assign(r=1.0))] == ["shape"]


@pytest.mark.parametrize(
    "data", [None, 3, "text", np.ma.masked_array([[1.0]], mask=[[True]]), [[1], [2, 3]], {"a": "b"}]
)
def test_what_is_no_data_is_refused_in_one_line(data) -> None:
    with pytest.raises(RegistryError, match="input data") as refused:
        misfits(Signature(inputs=(Column(name="a", type="double"),)), data)
    assert "\n" not in str(refused.value)
    assert refused.value.hint


# ── all together

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from(["A", "B", ""])
columns = st.builds(
    lambda kind, low, required, categories: Column(
        name="a", type=kind, required=required,
        minimum=low if kind in {"long", "double", "integer", "float"} else None,
        categories=categories if kind == "string" else None,
    ),
    st.sampled_from(["boolean", "integer", "long", "float", "double", "string"]),
    st.none() | st.integers(-5, 2**60) | st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none() | st.just(("A",)),
)  # fmt: skip


def one_by_one(column: Column, value) -> bool:
    """Judge one value as slowly and plainly as it can be."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return column.may_be_missing
    if column.type in {"boolean", "string"}:
        is_kind = type(value) is (bool if column.type == "boolean" else str)
        return is_kind and (column.categories is None or value in column.categories)
    if type(value) not in {int, float} or not (type(value) is int or math.isfinite(value)):
        return False
    bits = {"integer": 31, "long": 63}.get(column.type)
    if bits and not (value == math.floor(value) and -(2**bits) <= value < 2**bits):
        return False
    return column.minimum is None or value >= column.minimum


@settings(max_examples=300, deadline=None)
@given(columns, scalars)
def test_a_value_among_others_is_judged_as_if_it_were_alone(column: Column, value) -> None:
    table = pd.DataFrame({"a": pd.Series([value], dtype=object)})
    assert (misfits(Signature(inputs=(column,)), table) == []) == one_by_one(column, value)


# ── parameters and files

PARAMETERS = Signature(
    parameters=(
        Parameter(name="threshold", type="double", default=0.5),
        Parameter(name="top", type="long", default=3),
        Parameter(name="words", type="string", default=("a",), shape=(-1,)),
        Parameter(name="since", type="datetime"),
    )
)


def test_parameters_have_their_defaults_and_take_what_fits_their_type() -> None:
    assert parameters_of(PARAMETERS, {}) == {"threshold": 0.5, "top": 3, "words": ["a"], "since": None}
    given = {"threshold": 1, "top": np.int32(5), "words": ("b", "c"), "since": "2026-01-01"}
    assert parameters_of(PARAMETERS, given) == {"threshold": 1, "top": 5, "words": ["b", "c"], "since": "2026-01-01"}


def test_every_wrong_parameter_is_named() -> None:
    with pytest.raises(RegistryError) as refused:
        parameters_of(PARAMETERS, {"threshold": "high", "top": True, "words": "a", "since": "soon", "topp": 1})
    assert str(refused.value) == (
        "parameter 'topp' is none that the model knows; parameter 'threshold' must be double, not 'high'; "
        "parameter 'top' must be long, not True; parameter 'words' must be a list of string, not 'a'; "
        "parameter 'since' must be datetime, not 'soon'"
    )
    assert refused.value.hint == "it takes threshold (double), top (long), words (string), since (datetime)"
    with pytest.raises(RegistryError, match="None"):
        parameters_of(PARAMETERS, {"threshold": None})


def test_parameters_are_inferred_from_their_defaults() -> None:
    signature = infer(np.zeros((1, 1)), {}, parameters={"t": np.float64(0.5), "n": 3, "w": ["a"], "f": False})
    assert [(one.name, one.type, one.default, one.shape) for one in signature.parameters] == [
        ("t", "double", 0.5, None), ("n", "long", 3, None), ("w", "string", ("a",), (-1,)), ("f", "boolean", False, None),
    ]  # fmt: skip
    with pytest.raises(RegistryError, match="says no type"):
        infer(np.zeros((1, 1)), {}, parameters={"t": None})


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("inputs: [{name: a, type: long, categories: [x]}]", "category 'x' is no long"),
        ("inputs: [{name: a, type: boolean, categories: [1]}]", "category 1 is no boolean"),
        ("inputs: [{name: a, type: datetime, categories: [2026-01-01]}]", "has no categories"),
        ("inputs: [{name: a, type: long}, {name: a, type: long}]", "inputs name 'a' twice"),
        (
            "inputs: [{name: a, type: long}]\nparameters: [{name: t, type: double, default: x}]",
            "its default 'x' is no double",
        ),
        ("inputs: [{name: a, type: long}]\nparameters: [{name: t, type: double, shape: [3]}]", "write [-1] for a list"),
        (
            "inputs: [{name: a, type: long}]\nparameters: [{name: t, type: double, default: [1]}]",
            "goes with 'shape: [-1]'",
        ),
    ],
)
def test_a_signature_that_nothing_could_fit_is_refused_where_it_is_read(wrong: str, why: str) -> None:
    with pytest.raises(ManifestError) as refused:
        parse(f"kind: Signature\nschema_version: 1\n{wrong}\n".encode(), "signature.yaml", SignatureFile)
    assert why in str(refused.value)


def test_a_category_of_no_number_is_refused() -> None:
    with pytest.raises(ValidationError):
        Column(name="a", type="long", categories=(1.5,))
    assert Column(name="a", type="long", dtype="uint64", categories=(2**64 - 1,)).categories == (2**64 - 1,)
