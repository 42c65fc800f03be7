import numpy as np
import pandas as pd
import pytest

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.columns import Column, Signature, SignatureFile
from gitops_registry.manifest.reading import parse
from gitops_registry.manifest.writing import dump
from gitops_registry.signature import infer, ordered, problems


def types(table):
    return {column.name: column.type for column in infer(table, {}).inputs}


def fits(kind, values, *, required=True):
    return problems(Signature(inputs=(Column(name="a", type=kind, required=required),)), pd.DataFrame({"a": values}))


def test_every_dtype_gets_mlflows_name():
    table = pd.DataFrame(
        {
            "b": [True, False],
            "i32": np.array([1, 2], dtype="int32"),
            "i64": [1, 2],
            "f32": np.array([1, 2], dtype="float32"),
            "f64": [0.5, 1.5],
            "s": ["x", "y"],
            "o": pd.Series(["x", "y"], dtype=object),
            "c": pd.Categorical(["x", "y"]),
            "d": pd.to_datetime(["2026-01-01", "2026-01-02"]),
            "n": pd.array([1, 2], dtype="Int64"),
        }
    )
    assert types(table) == {
        "b": "boolean",
        "i32": "integer",
        "i64": "long",
        "f32": "float",
        "f64": "double",
        "s": "string",
        "o": "string",
        "c": "string",
        "d": "datetime",
        "n": "long",
    }


def test_a_column_with_missing_values_is_not_required():
    table = pd.DataFrame({"full": [1.0, 2.0], "holes": [1.0, np.nan], "text": ["a", None]})
    assert {column.name: column.required for column in infer(table, {}).inputs} == {
        "full": True,
        "holes": False,
        "text": False,
    }


def test_an_array_names_its_columns_by_number():
    array = np.array([[1.0, np.nan], [2.0, 3.0]], dtype="float32")
    found = infer(array, {}).inputs
    assert [(column.name, column.type, column.required) for column in found] == [
        ("x0", "float", True),
        ("x1", "float", False),
    ]


def test_outputs_carry_a_shape_only_when_they_have_columns():
    outputs = {"label": np.array(["a", "b"]), "probabilities": np.zeros((2, 3)), "flag": np.array([True, False])}
    assert infer(np.zeros((2, 1)), outputs).outputs == (
        Column(name="label", type="string"),
        Column(name="probabilities", type="double", shape=(-1, 3)),
        Column(name="flag", type="boolean"),
    )


def test_what_no_signature_can_express_is_refused():
    with pytest.raises(RegistryError, match="complex128"):
        infer(pd.DataFrame({"z": [1j]}), {})
    with pytest.raises(RegistryError, match="'a' appears twice"):
        infer(pd.DataFrame([[1, 2]], columns=["a", "a"]), {})
    with pytest.raises(RegistryError, match="2-D"):
        infer(np.zeros(3), {})
    with pytest.raises(RegistryError, match="'y'"):
        infer(np.zeros((1, 1)), {"y": np.float64(1)})


def test_the_table_a_signature_was_inferred_from_fits_it():
    table = pd.DataFrame(
        {
            "b": [True, False],
            "i": [1, 2],
            "f": [0.5, None],
            "s": ["x", None],
            "c": pd.Categorical([1, 2]),
            "d": pd.to_datetime(["2026-01-01", "2026-01-02"]),
        }
    )
    assert problems(infer(table, {}), table) == []


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["x", None], "string"),
        ([b"x", b"y"], "binary"),
        ([True, None], "boolean"),
        ([1, 2], "long"),
        ([1, 2.5], "double"),
        ([np.int64(1), np.float32(2)], "double"),
        ([None, None], "string"),
    ],
)
def test_a_column_of_objects_is_judged_by_its_values(values, kind):
    table = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    signature = infer(table, {})
    assert signature.inputs[0].type == kind
    assert problems(signature, table) == []


def test_a_column_of_several_types_is_refused():
    with pytest.raises(RegistryError, match="several types"):
        infer(pd.DataFrame({"a": pd.Series(["x", 1], dtype=object)}), {})


def test_a_missing_column_is_a_problem_only_if_it_is_required_and_extra_ones_never_are():
    signature = Signature(inputs=(Column(name="a", type="long"), Column(name="b", type="double", required=False)))
    assert problems(signature, pd.DataFrame({"c": [1]})) == ["column 'a' (long) is missing"]
    assert problems(signature, pd.DataFrame({"a": [1], "c": ["x"]})) == []


def test_integers_pass_for_numbers_with_a_fraction():
    assert fits("double", [1, 2]) == []
    assert fits("float", [1, 2]) == []
    assert fits("float", [1.5, 2.5]) == []


def test_floats_pass_for_integers_only_if_they_are_whole_and_in_range():
    assert fits("long", [1.0, 2.0]) == []
    assert fits("long", [1.0, 2.5]) == ["column 'a' must be long, but some values are not whole numbers"]
    assert fits("long", [1.0, np.nan]) == ["column 'a' must be long, but some values are missing"]
    assert fits("long", [1.0, np.nan], required=False) == []
    assert fits("long", [1.0, np.inf]) != []
    assert fits("integer", [1, 2]) == []
    assert fits("integer", [1, 2**31]) == ["column 'a' must be integer, but some values are out of its range"]


def test_text_for_a_number_and_a_number_for_text_are_problems():
    assert fits("double", ["a", "b"]) == ["column 'a' must be double, not string"]
    assert fits("string", [1, 2]) == ["column 'a' must be string, not long"]
    assert fits("string", pd.Series([1, "x"], dtype=object)) == ["column 'a' must be string, but some values are long"]
    assert fits("string", pd.Series([1, 2], dtype=object)) == ["column 'a' must be string, not long"]
    assert fits("double", pd.Series([1, 2.5], dtype=object)) == []
    assert fits("string", [np.nan, np.nan], required=False) == []
    assert fits("boolean", [0, 1]) == ["column 'a' must be boolean, not long"]
    assert fits("datetime", ["2026-01-01"]) == ["column 'a' must be datetime, not string"]


def test_a_column_given_twice_is_a_problem():
    signature = Signature(inputs=(Column(name="a", type="long"),))
    assert problems(signature, pd.DataFrame([[1, 2]], columns=["a", "a"])) == ["column 'a' (long) appears twice"]


def test_columns_come_in_the_order_of_the_signature():
    signature = infer(pd.DataFrame({"a": [1.0], "b": [2.0], "0": [3.0]}), {})
    table = ordered(signature, pd.DataFrame({"extra": [9.0], "b": [2.0], "a": [1.0], 0: [3.0]}))
    assert list(table.columns) == ["a", "b", "0"]
    assert table.iloc[0].tolist() == [1.0, 2.0, 3.0]


def test_a_column_that_may_be_absent_is_filled_with_missing_values():
    signature = infer(pd.DataFrame({"a": [1.0], "b": [np.nan]}), {})
    assert ordered(signature, pd.DataFrame({"a": [1.0]}))["b"].isna().all()


def test_ten_thousand_columns_are_checked_and_ordered():
    table = pd.DataFrame(np.zeros((10, 10_000)), columns=[f"c{i}" for i in range(10_000)])
    signature = infer(table, {})
    assert problems(signature, table) == []
    assert len(ordered(signature, table).columns) == 10_000


def test_infinite_numbers_fit_no_column():
    signature = infer(pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2]}), {})
    assert problems(signature, pd.DataFrame({"a": [1.0, np.inf], "b": [1, 2]})) == [
        "column 'a' must be double, but some values are infinite"
    ]
    assert problems(signature, pd.DataFrame({"a": [1.0, 1e300], "b": [1, 2]})) == []


def test_the_exact_dtype_is_kept_where_the_type_does_not_say_it():
    names = ["int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
    table = pd.DataFrame(
        {name: np.array([1, 2], dtype=name) for name in names} | {"N": pd.array([1, 2], dtype="UInt16")}
    )
    assert {column.name: (column.type, column.dtype) for column in infer(table, {}).inputs} == {
        "int8": ("integer", "int8"),
        "uint8": ("integer", "uint8"),
        "int32": ("integer", None),
        "uint32": ("long", "uint32"),
        "int64": ("long", None),
        "uint64": ("long", "uint64"),
        "float16": ("float", "float16"),
        "float32": ("float", None),
        "float64": ("double", None),
        "N": ("integer", "uint16"),
    }
    assert problems(infer(table, {}), table) == []


def test_categories_are_those_of_a_categorical_where_a_manifest_can_hold_them():
    table = pd.DataFrame(
        {
            "text": pd.Categorical(["b", "a"], categories=["b", "a", "never"]),
            "number": pd.Categorical([1, 2]),
            "flag": pd.Categorical([True, False]),
            "date": pd.Categorical(pd.to_datetime(["2026-01-01", "2026-01-02"])),
            "plain": ["a", "b"],
        }
    )
    found = {column.name: (column.type, column.categories) for column in infer(table, {}).inputs}
    assert found == {
        "text": ("string", ("b", "a", "never")),
        "number": ("long", (1, 2)),
        "flag": ("boolean", (False, True)),
        "date": ("datetime", None),
        "plain": ("string", None),
    }
    assert problems(infer(table, {}), table) == []
    many = pd.DataFrame({"a": pd.Categorical([str(i) for i in range(2000)])})
    assert infer(many, {}).inputs[0].categories is None


def test_ranges_are_those_of_what_is_there():
    table = pd.DataFrame(
        {
            "whole": [3, -1],
            "holes": [0.5, np.nan],
            "nullable": pd.array([7, None], dtype="Int64"),
            "large": [2**53 + 1, 0],
            "infinite": [np.inf, 2.0],
            "nothing": [np.nan, np.nan],
            "text": ["a", "b"],
            "single": np.array([0.1, 0.2], dtype="float32"),
            "objects": pd.Series([1, 2.5], dtype=object),
            "groups": pd.Categorical([4, 5]),
        }
    )
    signature = infer(table, {}, ranges=True)
    assert {column.name: (column.minimum, column.maximum) for column in signature.inputs} == {
        "whole": (-1, 3),
        "holes": (0.5, 0.5),
        "nullable": (7, 7),
        "large": (0, 2**53 + 1),
        "infinite": (2.0, 2.0),
        "nothing": (None, None),
        "text": (None, None),
        "single": (float(np.float32(0.1)), float(np.float32(0.2))),
        "objects": (1.0, 2.5),
        "groups": (4, 5),
    }
    assert problems(signature, table.drop(columns="infinite").assign(infinite=2.0)) == []
    assert all(column.minimum is None for column in infer(table, {}).inputs)


def test_an_output_of_many_dimensions_keeps_its_shape():
    outputs = {"mask": np.zeros((2, 4, 4), dtype="uint8")}
    assert infer(np.zeros((2, 1)), outputs).outputs == (
        Column(name="mask", type="integer", dtype="uint8", shape=(-1, 4, 4)),
    )


def test_a_signature_is_written_and_read_as_yaml():
    table = pd.DataFrame({"a": pd.Categorical(["yes", "no", "1e5"]), "b": np.array([1, 2, 3], dtype="uint8")})
    found = infer(table, {"p": np.zeros((3, 2))}, ranges=True, parameters={"threshold": 0.5, "words": ["no"]})
    file = SignatureFile(inputs=found.inputs, outputs=found.outputs, parameters=found.parameters)
    assert parse(dump(file, "signature.yaml"), "signature.yaml", SignatureFile).document.signature == found
