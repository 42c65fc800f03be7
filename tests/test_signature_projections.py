"""A signature in other systems' words, each read by that system's own reader."""

from __future__ import annotations

import base64
import json
import math

import mlflow.pyfunc
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.models.utils import _enforce_params_schema, _enforce_schema
from onnx import helper
from open_inference.openapi.types import InferenceRequest, MetadataModelResponse
from skl2onnx import convert_sklearn
from sklearn.linear_model import LogisticRegression

from gitops_registry.manifest.columns import Column, Parameter, Signature
from gitops_registry.signature import infer, misfits
from gitops_registry.signature.projecting import jsonschema, openinference
from gitops_registry.signature.projecting import mlflow as mlflow_words
from gitops_registry.signature.projecting import onnx as onnx_words

EVERYTHING = Signature(
    inputs=(
        Column(name="age", type="long", minimum=0, maximum=120),
        Column(name="income", type="double", required=False),
        Column(name="pixel", type="integer", dtype="uint8"),
        Column(name="ratio", type="float", nullable=True),
        Column(name="grade", type="string", categories=("A", "B")),
        Column(name="member", type="boolean"),
        Column(name="since", type="datetime"),
        Column(name="blob", type="binary"),
    ),
    outputs=(Column(name="label", type="long"), Column(name="p", type="double", shape=(-1, 2))),
    parameters=(
        Parameter(name="threshold", type="double", default=0.5),
        Parameter(name="words", type="string", default=("a", "b"), shape=(-1,)),
        Parameter(name="top", type="integer"),
    ),
)
TENSORS = Signature(
    inputs=(
        Column(name="image", type="integer", dtype="uint8", shape=(-1, 1, 8, 8)),
        Column(name="mask", type="float", shape=(-1, -1)),
    ),
    outputs=(Column(name="p", type="float", shape=(-1, 10)),),
)


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [30, 40],
            "income": [1.5, np.nan],
            "pixel": np.array([1, 2], dtype="int32"),
            "ratio": np.array([0.5, np.nan], dtype="float32"),
            "grade": ["A", "B"],
            "member": [True, False],
            "since": pd.to_datetime(["2026-01-01", "2026-01-02"]),
            "blob": pd.Series([b"a", b"b"], dtype=object),
        }
    )


# ── MLflow


def test_mlflow_reads_every_column_parameter_and_array() -> None:
    value, notes = mlflow_words.model_signature(EVERYTHING)
    read = ModelSignature.from_dict(value)
    types = {column.name: (column.type.name, column.required) for column in read.inputs}
    assert types == {
        "age": ("long", True), "income": ("double", False), "pixel": ("integer", True), "ratio": ("float", True),
        "grade": ("string", True), "member": ("boolean", True), "since": ("datetime", True), "blob": ("binary", True),
    }  # fmt: skip
    assert [str(column) for column in read.outputs] == ["'label': long (required)", "'p': Array(double) (required)"]
    assert [(one.name, one.dtype.name, one.default, one.shape) for one in read.params] == [
        ("threshold", "double", 0.5, None), ("words", "string", ["a", "b"], (-1,)), ("top", "integer", None, None),
    ]  # fmt: skip
    assert notes == [
        "age: not said: at least 0 and at most 120",
        "income: not said: its values may be missing",
        "pixel: not said: exactly uint8",
        "ratio: not said: its values may be missing",
        "grade: not said: its categories (2)",
        "p: not said: its shape [-1, 2]; it is an array",
        "MLflow looks at types only: missing and infinite values pass",
    ]


def test_mlflow_lets_through_what_fits_and_refuses_another_type() -> None:
    schema = ModelSignature.from_dict(mlflow_words.model_signature(EVERYTHING)[0])
    assert misfits(EVERYTHING, rows()) == []
    assert list(_enforce_schema(rows(), schema.inputs).columns) == list(rows().columns)
    for wrong in (rows().assign(age="x"), rows().drop(columns="grade"), rows().assign(member=[1, 0])):
        assert misfits(EVERYTHING, wrong) != []
        with pytest.raises(MlflowException):
            _enforce_schema(wrong, schema.inputs)
    assert _enforce_params_schema({"threshold": 0.7}, schema.params)["threshold"] == 0.7
    with pytest.raises(MlflowException):
        _enforce_params_schema({"threshold": "high"}, schema.params)


def test_mlflow_reads_tensors_with_their_exact_dtypes() -> None:
    value, notes = mlflow_words.model_signature(TENSORS)
    read = ModelSignature.from_dict(value)
    assert read.inputs.is_tensor_spec()
    assert [(one.name, str(one.type), one.shape) for one in read.inputs] == [
        ("image", "uint8", (-1, 1, 8, 8)), ("mask", "float32", (-1, -1)),
    ]  # fmt: skip
    data = {"image": np.zeros((2, 1, 8, 8), dtype="uint8"), "mask": np.zeros((2, 3), dtype="float32")}
    assert set(_enforce_schema(data, read.inputs)) == {"image", "mask"}
    with pytest.raises(MlflowException):
        _enforce_schema({**data, "image": np.zeros((2, 8, 8), dtype="uint8")}, read.inputs)
    assert notes == ["MLflow looks at types only: missing and infinite values pass"]


def test_what_mlflow_itself_infers_of_a_table_is_what_is_projected() -> None:
    table = rows().drop(columns=["income", "ratio"]).assign(pixel=np.array([1, 2], dtype="int32"))
    ours = ModelSignature.from_dict(mlflow_words.model_signature(infer(table, {}))[0])
    assert ours.inputs == mlflow.models.infer_signature(table).inputs


def test_parameters_that_mlflow_does_not_have_are_left_out_with_a_note() -> None:
    lost = (Parameter(name="b", type="binary"), Parameter(name="l", type="long", shape=(-1,)))
    value, notes = mlflow_words.model_signature(Signature(parameters=lost))
    assert value == {}
    assert [note.partition(":")[0] for note in notes] == ["parameter b", "parameter l"]


# ── ONNX


def test_onnx_takes_the_tensors_and_onnxruntime_what_fits_them() -> None:
    inputs, outputs = onnx_words.value_infos(TENSORS)
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=1),
        helper.make_node("ReduceSum", ["cast", "axes"], ["sum"], keepdims=0),
        helper.make_node("Concat", ["sum"] * 10, ["p"], axis=1),
        helper.make_node("Identity", ["mask"], ["same"]),
    ]
    axes = helper.make_tensor("axes", 7, [2], [2, 3])
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=[axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [(one.name, one.type, len(one.shape)) for one in session.get_inputs()] == [
        ("image", "tensor(uint8)", 4), ("mask", "tensor(float)", 2),
    ]  # fmt: skip
    data = {"image": np.ones((3, 1, 8, 8), dtype="uint8"), "mask": np.zeros((3, 2), dtype="float32")}
    assert misfits(TENSORS, data) == []
    assert session.run(None, data)[0].shape == (3, 10)
    wrong = {**data, "image": np.ones((3, 1, 8, 9), dtype="uint8")}
    assert [one.kind for one in misfits(TENSORS, wrong)] == ["shape"]
    with pytest.raises(Exception, match="image"):
        session.run(None, wrong)


def test_a_column_is_a_matrix_of_one_column_and_what_has_no_tensor_is_left_out() -> None:
    value, notes = onnx_words.tensors(EVERYTHING)
    assert value["inputs"][:3] == [
        {"name": "age", "elem_type": onnx.TensorProto.INT64, "shape": [None, 1]},
        {"name": "income", "elem_type": onnx.TensorProto.DOUBLE, "shape": [None, 1]},
        {"name": "pixel", "elem_type": onnx.TensorProto.UINT8, "shape": [None, 1]},
    ]
    assert [one["name"] for one in value["inputs"]] == ["age", "income", "pixel", "ratio", "grade", "member"]
    assert value["outputs"][1] == {"name": "p", "elem_type": onnx.TensorProto.DOUBLE, "shape": [None, 2]}
    assert "since: left out, for ONNX has no tensors of datetime" in notes
    assert "income: not said: it may be left out, its values may be missing" in notes
    text = Signature(inputs=(Column(name="t", type="string", nullable=True),))
    assert "t: a tensor of string has no missing values; fill them in" in onnx_words.tensors(text)[1]


def test_every_element_type_is_the_one_that_onnx_calls_so() -> None:
    dtypes = [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    ]
    table = pd.DataFrame({name: np.array([1], dtype=name) for name in dtypes})
    value, _ = onnx_words.tensors(infer(table, {}))
    assert [one["elem_type"] for one in value["inputs"]] == [
        helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in dtypes
    ]
    assert [type(kind).__name__ for _, kind in onnx_words.initial_types(infer(table, {}))][:2] == [
        "BooleanTensorType", "Int8TensorType",
    ]  # fmt: skip


def test_skl2onnx_converts_from_the_initial_types() -> None:
    values = np.array([[0.0, 1], [1, 0], [2, 5], [3, 4]], dtype="float32")
    model = LogisticRegression().fit(values, [0, 0, 1, 1])
    signature = Signature(inputs=(Column(name="X", type="float", shape=(-1, 2)),))
    graph = convert_sklearn(
        model, initial_types=onnx_words.initial_types(signature), options={"zipmap": False}, name="model"
    )
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"X": values})[0].tolist() == model.predict(values).tolist()


# ── Open Inference Protocol

DATATYPES = {
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
}
"""The protocol's "Tensor Data Types"; its generated reader takes any text."""


@pytest.mark.parametrize("signature", [EVERYTHING, TENSORS])
def test_the_protocols_own_reader_takes_the_metadata_and_a_request(signature: Signature) -> None:
    value, notes = openinference.metadata(signature, name="credit", version="3")
    read = MetadataModelResponse.parse_obj(value)
    assert (read.name, read.versions) == ("credit", ["3"])
    assert [one.name for one in read.inputs] == [column.name for column in signature.inputs]
    assert {one.datatype for one in (*read.inputs, *read.outputs)} <= DATATYPES
    request = InferenceRequest.parse_obj(openinference.request(signature))
    for one, said in zip(request.inputs, read.inputs, strict=True):
        assert one.datatype == said.datatype
        assert len(one.data.__root__) == math.prod(one.shape)
        assert all(want in (-1, size) for size, want in zip(one.shape, said.shape, strict=True))
    if signature is EVERYTHING:
        assert "since: datetime goes as BYTES" in notes
        assert "parameter threshold: not said; a request may give it" in notes
        assert request.parameters == {"threshold": 0.5, "words": ["a", "b"]}


def test_the_example_request_fits_the_signature_it_was_made_of() -> None:
    signature = Signature(
        inputs=(
            Column(name="low", type="double", minimum=3.5),
            Column(name="high", type="long", maximum=-2),
            Column(name="zero", type="long", minimum=-1, maximum=1),
            Column(name="grade", type="string", categories=("B", "A")),
            Column(name="flag", type="boolean"),
        )
    )
    data = {
        one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in openinference.request(signature)["inputs"]
    }
    assert misfits(signature, data) == []
    assert {name: values.item() for name, values in data.items()} == {
        "low": 3.5, "high": -2, "zero": 0, "grade": "B", "flag": False,
    }  # fmt: skip


# ── JSON Schema


def test_the_schemas_are_schemas_and_take_rows_in_both_bodies() -> None:
    row, notes = jsonschema.row(EVERYTHING)
    body, _ = jsonschema.body(EVERYTHING)
    Draft202012Validator.check_schema(row)
    Draft202012Validator.check_schema(body)
    table = rows().assign(blob=[base64.b64encode(value).decode() for value in rows()["blob"]])
    records = json.loads(table.to_json(orient="records", date_format="iso"))
    assert Draft202012Validator(row).is_valid(records[0])
    split = json.loads(table.to_json(orient="split", date_format="iso"))
    read = Draft202012Validator(body)
    assert read.is_valid({"dataframe_records": records})
    assert read.is_valid({"dataframe_split": split, "params": {"threshold": 1, "words": [], "top": None}})
    assert not read.is_valid({"dataframe_records": [{**records[0], "age": 121}]})
    assert not read.is_valid({"dataframe_split": {**split, "columns": split["columns"][::-1]}})
    assert not read.is_valid({"dataframe_split": {**split, "data": [split["data"][0][:-1]]}})
    assert not read.is_valid({"dataframe_split": split, "params": {"threshold": "high"}})
    assert not read.is_valid({"dataframe_split": split, "params": {"unknown": 1}})
    assert not read.is_valid({})
    assert "blob: binary goes as base64, and most readers do not look at its form" in notes


def test_a_tensor_is_lists_in_lists() -> None:
    read = Draft202012Validator(jsonschema.row(TENSORS)[0])
    image = np.zeros((1, 8, 8), dtype=int).tolist()
    assert read.is_valid({"image": image, "mask": [0.5, 1]})
    assert not read.is_valid({"image": image[0], "mask": []})
    assert not read.is_valid({"image": (np.zeros((1, 8, 8), dtype=int) + 256).tolist(), "mask": []})


columns = st.builds(
    lambda kind, required, nullable, bound, categories: Column(
        name="a", type=kind, required=required, nullable=nullable,
        maximum=bound if kind in {"long", "integer", "double"} else None,
        categories=categories.get(kind),
    ),
    st.sampled_from(["boolean", "integer", "long", "double", "string"]),
    st.booleans(),
    st.none() | st.booleans(),
    st.none() | st.integers(-3, 2**40) | st.floats(-5, 5),
    st.sampled_from([{}, {"string": ("A", "é"), "long": (1, 2**60), "double": (0.5, 1), "boolean": (True,)}]),
)  # fmt: skip
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.sampled_from([1, 0.5, 1.0, 2**60, -(2**31), 2**31]),
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["A", "é", "x", ""]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(columns, st.dictionaries(st.sampled_from(["a", "b"]), values))
def test_json_schema_takes_and_refuses_what_the_signature_does(column: Column, row: dict) -> None:
    signature = Signature(inputs=(column,))
    table = pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in row.items()}, index=[0])
    fits = not any(one.is_error for one in misfits(signature, table))
    assert Draft202012Validator(jsonschema.row(signature)[0]).is_valid(json.loads(json.dumps(row))) == fits
