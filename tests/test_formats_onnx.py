import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from gitops_registry.errors import RegistryError
from gitops_registry.formats import by_file, onnx_graph, onnx_session, open_model
from gitops_registry.formats.estimator import EstimatorModel, facts_of
from gitops_registry.formats.loaded import Trust
from gitops_registry.formats.onnx import PARITY_FLOOR, convert, is_format, load, parity

CANCER_X, CANCER_Y = load_breast_cancer(return_X_y=True, as_frame=True)
WINE_X, WINE_Y = load_wine(return_X_y=True, as_frame=True)
DIABETES_X, DIABETES_Y = load_diabetes(return_X_y=True, as_frame=True)
MIXED = pd.DataFrame(
    {
        "mean radius": CANCER_X["mean radius"].mask(CANCER_X["mean radius"] > 20),
        "label": np.arange(len(CANCER_X)),
        "v3": CANCER_X["mean area"],
        "是": CANCER_X["mean texture"] > 19,
        "city": np.where(CANCER_X["mean texture"] > 19, "東京", "Köln"),
    }
)


def forest(**more):
    return RandomForestClassifier(n_estimators=5, max_depth=4, random_state=0, **more)


def mixed_pipeline(last):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("numbers", numbers, ["mean radius", "label", "v3"]),
            ("flag", "passthrough", ["是"]),
            ("text", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    return make_pipeline(columns, last)


def both(estimator, path, sample):
    convert(estimator, path, sample=sample)
    return EstimatorModel(estimator, facts_of(estimator)[0], "skops"), load(path)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    convert(forest().fit(CANCER_X, CANCER_Y), path, sample=CANCER_X)
    return path


@pytest.mark.parametrize(
    "estimator",
    [
        forest(),
        GradientBoostingClassifier(n_estimators=5),
        HistGradientBoostingClassifier(max_iter=5),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), KNeighborsClassifier()),
        make_pipeline(StandardScaler(), SVC()),
    ],
    ids=lambda estimator: type(estimator[-1] if hasattr(estimator, "steps") else estimator).__name__,
)
@pytest.mark.parametrize("data", [(CANCER_X, CANCER_Y), (WINE_X, WINE_Y)], ids=["binary", "multiclass"])
def test_a_converted_classifier_agrees_and_converting_twice_gives_the_same_bytes(estimator, data, tmp_path):
    estimator.fit(*data)
    path = tmp_path / "model.onnx"
    original, converted = both(estimator, path, data[0])
    once = path.read_bytes()
    convert(estimator, path, sample=data[0])
    assert path.read_bytes() == once
    assert by_file(path) == "onnx"
    assert (converted.format, converted.task, converted.labels) == ("onnx", original.task, original.labels)
    assert len(converted.native.get_inputs()) == 1
    found = parity(original, converted, data[0])
    assert found.rows == len(data[0])
    assert found.agreement >= PARITY_FLOOR
    assert found.max_difference < 1e-5
    assert (converted.predict_proba(data[0]) is None) == (original.predict_proba(data[0]) is None)


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestRegressor(n_estimators=3, random_state=0),
        LinearRegression(),
        HistGradientBoostingRegressor(max_iter=5),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_converted_regressor_agrees(estimator, tmp_path):
    original, converted = both(estimator.fit(DIABETES_X, DIABETES_Y), tmp_path / "model.onnx", DIABETES_X)
    assert (converted.task, converted.labels, converted.predict_proba(DIABETES_X)) == ("regression", None, None)
    assert converted.predict(DIABETES_X).shape == (len(DIABETES_X),)
    found = parity(original, converted, DIABETES_X)
    assert found.agreement == 1.0
    assert found.max_difference < 1e-3


@pytest.mark.parametrize("last", [forest(), LogisticRegression(), HistGradientBoostingClassifier(max_iter=3)])
def test_text_and_numbers_become_an_input_for_each_column(last, tmp_path):
    original, converted = both(mixed_pipeline(last).fit(MIXED, CANCER_Y), tmp_path / "model.onnx", MIXED)
    assert [entry.type for entry in converted.native.get_inputs()] == ["tensor(float)"] * 4 + ["tensor(string)"]
    assert parity(original, converted, MIXED).agreement == 1.0
    shuffled = MIXED[MIXED.columns[::-1]].assign(extra=1)
    assert np.array_equal(converted.predict_proba(shuffled), converted.predict_proba(MIXED))


TOWNS = pd.DataFrame(
    {
        "age": CANCER_X["mean radius"].mask(CANCER_X["mean radius"] > 20),
        "city": pd.Series(np.where(CANCER_X["mean texture"] > 19, "東京", "Köln")).mask(CANCER_X["mean area"] > 900),
        "job": pd.Series(np.where(CANCER_X["mean area"] > 600, "cook", "smith")).mask(CANCER_X["mean texture"] > 25),
        "plain": np.where(CANCER_X["mean area"] > 500, "a", "b"),
    }
)
"""Text with missing values, and text without."""


def imputed(strategy="most_frequent", cities=("city", "job"), others=(), **more):
    """A pipeline that fills in missing text before it encodes it, as most of mixed columns do."""
    fill = make_pipeline(SimpleImputer(strategy=strategy, **more), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("towns", fill, list(cities)),
            ("plain", OneHotEncoder(handle_unknown="ignore"), ["plain"]),
            *others,
        ]
    )
    return make_pipeline(columns, LogisticRegression()).fit(TOWNS, CANCER_Y)


@pytest.mark.parametrize("more", [{}, {"strategy": "constant", "fill_value": "nowhere"}, {"strategy": "constant"}])
@pytest.mark.parametrize("opset", [15, 18])
def test_missing_text_that_a_pipeline_fills_in_is_filled_in_by_the_graph_too(more, opset, tmp_path):
    estimator = imputed(**more)
    before = repr(estimator)
    original = EstimatorModel(estimator, facts_of(estimator)[0], "skops")
    convert(estimator, tmp_path / "model.onnx", sample=TOWNS, opset=opset)
    converted = load(tmp_path / "model.onnx")
    assert repr(estimator) == before
    assert TOWNS["city"].isna().sum() > 50
    assert parity(original, converted, TOWNS).agreement == 1.0
    for table in (
        TOWNS.head(3), TOWNS.assign(city=np.nan), TOWNS.astype({"city": object}), TOWNS.astype({"job": "category"}),
        TOWNS.assign(job="unheard of"),
    ):  # fmt: skip
        assert np.allclose(converted.predict_proba(table), original.predict_proba(table), atol=1e-5)
    assert np.array_equal(converted.predict(TOWNS.to_numpy()), converted.predict(TOWNS))


def test_a_whole_table_of_text_is_filled_in_without_names_of_columns(tmp_path):
    words = TOWNS[["city", "job"]]
    estimator = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(), LogisticRegression()).fit(words, CANCER_Y)  # fmt: skip
    original, converted = both(estimator, tmp_path / "model.onnx", words)
    assert parity(original, converted, words).agreement == 1.0


def test_text_that_the_original_does_not_take_for_missing_is_no_input_of_the_graph(tmp_path):
    _, converted = both(imputed(), tmp_path / "model.onnx", TOWNS)
    for table in (TOWNS.assign(city=""), TOWNS.astype({"city": object}).assign(city=None)):
        with pytest.raises(RegistryError, match="column 'city' has empty text or None") as caught:
            converted.predict(table)
        assert "skops" in caught.value.hint
    with pytest.raises(RegistryError, match="column 'plain' has missing values"):
        converted.predict(TOWNS.assign(plain=np.nan))


@pytest.mark.parametrize(
    "estimator",
    [
        imputed(others=[("again", OneHotEncoder(handle_unknown="ignore"), ["city"])]),
        imputed(add_indicator=True),
    ],
    ids=["read otherwise too", "an indicator"],
)
def test_where_empty_text_would_not_mean_missing_the_step_is_named_that_has_no_equivalent(estimator, tmp_path):
    with pytest.raises(RegistryError, match="Pipeline cannot be converted to ONNX: its SimpleImputer: ") as caught:
        convert(estimator, tmp_path / "model.onnx", sample=TOWNS)
    assert "\n" not in caught.value.message


def test_a_table_that_lacks_a_column_that_the_pipeline_fills_in_is_one_line(tmp_path):
    with pytest.raises(RegistryError, match="Pipeline cannot be converted to ONNX"):
        convert(imputed(), tmp_path / "model.onnx", sample=TOWNS.drop(columns="city"))


def test_a_word_that_stands_for_missing_is_not_taken_for_missing_text(tmp_path):
    words = TOWNS[["plain"]].replace("a", "?")
    fill = SimpleImputer(missing_values="?", strategy="constant", fill_value="x")
    estimator = make_pipeline(fill, OneHotEncoder(), LogisticRegression()).fit(words, CANCER_Y)
    original, converted = both(estimator, tmp_path / "model.onnx", words)
    assert parity(original, converted, words).agreement == 1.0
    with pytest.raises(RegistryError, match="column 'plain' has missing values"):
        converted.predict(words.assign(plain=np.nan))


def test_a_pipeline_that_picks_number_columns_by_name_is_converted(tmp_path):
    columns = ColumnTransformer([("scaled", StandardScaler(), ["mean radius"])], remainder="passthrough")
    estimator = make_pipeline(columns, forest()).fit(CANCER_X, CANCER_Y)
    original, converted = both(estimator, tmp_path / "model.onnx", CANCER_X)
    assert parity(original, converted, CANCER_X).agreement >= PARITY_FLOOR


@pytest.mark.parametrize(
    "labels", [[3, 7], ["悪性", "良性"], [False, True], [0.0, 1.0]], ids=["int", "str", "bool", "float"]
)
def test_labels_keep_their_type(labels, tmp_path):
    estimator = forest().fit(CANCER_X, np.array(labels)[CANCER_Y.to_numpy()])
    original, converted = both(estimator, tmp_path / "model.onnx", CANCER_X)
    assert converted.labels == labels
    assert [type(label) for label in converted.labels] == [type(label) for label in labels]
    found = converted.predict(CANCER_X)
    assert found.tolist() == estimator.predict(CANCER_X).tolist()
    assert type(found.tolist()[0]) is type(labels[0])
    assert parity(original, converted, CANCER_X).agreement == 1.0


def test_another_process_gives_the_same_bytes(stored, tmp_path):
    code = (
        "from pathlib import Path; from sklearn.datasets import load_breast_cancer;"
        "from sklearn.ensemble import RandomForestClassifier;"
        "from gitops_registry.formats.onnx import convert;"
        "X, y = load_breast_cancer(return_X_y=True, as_frame=True);"
        "model = RandomForestClassifier(n_estimators=5, max_depth=4, random_state=0).fit(X, y);"
        f"convert(model, Path({str(tmp_path / 'other.onnx')!r}), sample=X)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    assert (tmp_path / "other.onnx").read_bytes() == stored.read_bytes()


def test_what_has_no_onnx_equivalent_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "model.onnx"
    two_targets = forest().fit(CANCER_X, np.column_stack([CANCER_Y, CANCER_Y]))
    started = GradientBoostingClassifier(n_estimators=2, init=forest()).fit(CANCER_X, CANCER_Y)
    halves = forest().fit(CANCER_X, np.array(["0.5", "1.5"])[CANCER_Y.to_numpy()])
    halves.classes_ = np.array([0.5, 1.5])
    custom = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(CANCER_X, CANCER_Y)
    dates = CANCER_X.assign(day=pd.Timestamp("2026-01-01"))
    for estimator, sample, message in [
        (IsolationForest(n_estimators=2).fit(CANCER_X), CANCER_X, "IsolationForest cannot be converted to ONNX"),
        (started, CANCER_X, "cannot be converted to ONNX: (?!.*30 input)"),
        (two_targets, CANCER_X, "several targets"),
        (halves, CANCER_X, "fractions"),
        (
            imputed(add_indicator=True),
            TOWNS,
            "Pipeline cannot be converted to ONNX: its SimpleImputer: (?!.*raise an issue)",
        ),
        (custom, CANCER_X, r"to ONNX: FunctionTransformer is not supported .*\(= identity\)\n"),
        (forest().fit(CANCER_X, CANCER_Y), dates, "column 'day' of type datetime64"),
        (forest().fit(CANCER_X, CANCER_Y), CANCER_X.astype({"mean area": "datetime64[ns]"}), "of type datetime64"),
    ]:
        with pytest.raises(RegistryError, match=message) as caught:
            convert(estimator, path, sample=sample)
        assert "\n" not in caught.value.message
        assert caught.value.hint
    assert not path.exists()


def test_an_array_of_another_float_type_is_cast(stored):
    model = load(stored)
    expected = model.predict_proba(CANCER_X)
    for array in (CANCER_X.to_numpy(), CANCER_X.to_numpy(dtype="float32")):
        assert np.array_equal(model.predict_proba(array), expected)
    assert model.predict(CANCER_X.iloc[:1]).shape == (1,)


def test_data_the_model_cannot_take_is_one_line_and_a_hint(stored, tmp_path):
    model = load(stored)
    with pytest.raises(RegistryError, match="lacks a column of the model: 'mean radius'"):
        model.predict(CANCER_X.drop(columns="mean radius"))
    for wrong in (CANCER_X.assign(**{"mean radius": "wide"}), CANCER_X.to_numpy()[:, :3]):
        with pytest.raises(RegistryError, match="cannot predict from this data") as caught:
            model.predict(wrong)
        assert "\n" not in caught.value.message
    _, mixed = both(mixed_pipeline(LogisticRegression()).fit(MIXED, CANCER_Y), tmp_path / "mixed.onnx", MIXED)
    with pytest.raises(RegistryError, match="column 'city' has missing values"):
        mixed.predict(MIXED.assign(city=None))
    with pytest.raises(RegistryError, match="needs 5 columns, not 2"):
        mixed.predict(MIXED.to_numpy()[:, :2])


def test_threads_may_share_a_model(stored):
    model = load(stored)
    expected = model.predict_proba(CANCER_X)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: model.predict_proba(CANCER_X), range(16)))
    assert all(np.array_equal(one, expected) for one in found)


def test_a_small_graph_that_asks_for_a_flood_of_memory_is_refused_it(tmp_path):
    initial = [helper.make_tensor("shape", TensorProto.INT64, [2], [1 << 18, 1 << 18])]
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["flood"]), helper.make_node("ReduceSum", ["flood"], ["sum"]),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]  # fmt: skip
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])] for name in "xy"]
    graph = helper.make_graph(nodes, "flood", *ends, initial)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx")
    with pytest.raises(RegistryError, match="needs more than 8192 MB of memory"):
        model.predict(np.zeros((1, 1), dtype=np.float32))


def endless(path):
    """Write a graph of one loop whose condition stays true, which counts nothing."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["x"], ["same"])],
        "body",
        [helper.make_tensor_value_info(name, kind, []) for name, kind in (("turn", TensorProto.INT64), ("go", TensorProto.BOOL))]
        + [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("goes", TensorProto.BOOL, []), helper.make_tensor_value_info("same", TensorProto.FLOAT, None)],
    )  # fmt: skip
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2])] for name in ("input", "output")]
    true = [helper.make_tensor("true", TensorProto.BOOL, [], [True])]
    graph = helper.make_graph(
        [helper.make_node("Loop", ["", "true", "input"], ["output"], body=body)], "g", *ends, true
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def refusal(model, rows):
    with pytest.raises(RegistryError) as caught:
        model.predict(rows)
    return caught.value


def test_a_run_that_does_not_end_is_ended_and_later_runs_are_not(stored, tmp_path, monkeypatch):
    endless(tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx")
    monkeypatch.setattr(onnx_session, "MOST_SECONDS", 0.2)
    with ThreadPoolExecutor(2) as pool:
        for error in pool.map(lambda rows: refusal(model, rows), (np.zeros((3, 2)), np.ones((3, 2)))):
            assert error.message == "the model did not answer 3 rows in the time it has"
            assert "fewer rows" in error.hint
    assert len(load(stored).predict(CANCER_X)) == len(CANCER_X)


def test_a_session_has_few_threads_whatever_the_machine_has(stored, monkeypatch):
    for cores, threads in ((64, 4), (3, 3), (None, 1)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        options = load(stored).native.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)


def test_rows_that_are_tensors_are_taken_as_they_are(tmp_path):
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2, 2])] for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", *ends)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "m.onnx")
    assert load(tmp_path / "m.onnx").predict(np.ones((3, 2, 2))).tolist() == (-np.ones((3, 2, 2))).tolist()


# ── agreement


def test_a_model_that_learnt_something_else_does_not_agree(tmp_path):
    original, _ = both(forest().fit(CANCER_X, CANCER_Y), tmp_path / "one.onnx", CANCER_X)
    _, other = both(forest().fit(CANCER_X, 1 - CANCER_Y), tmp_path / "other.onnx", CANCER_X)
    found = parity(original, other, CANCER_X)
    assert found.agreement < 0.1
    assert found.max_difference > 0.9
    _, wine = both(forest().fit(WINE_X, WINE_Y), tmp_path / "wine.onnx", WINE_X)
    with pytest.raises(RegistryError):
        parity(original, wine, CANCER_X)
    with pytest.raises(RegistryError, match="no rows"):
        parity(
            EstimatorModel(LinearModel([]), "regression", "skops"),
            EstimatorModel(LinearModel([]), "regression", "skops"),
            CANCER_X[:0],
        )


class LinearModel:
    """Answers with given values: parity needs no more."""

    def __init__(self, values, scores=None):
        self.values = np.asarray(values)
        self.scores = scores
        if scores is not None:
            self.classes_ = np.array([0, 1])
            self.predict_proba = lambda table: np.asarray(self.scores)

    def predict(self, table):
        return self.values


def test_a_tie_to_six_digits_is_no_disagreement_but_a_real_one_is():
    table = np.zeros((2, 1))
    original = EstimatorModel(LinearModel([0, 1], [[0.5, 0.5], [0.2, 0.8]]), "binary-classification", "skops")
    tied = EstimatorModel(LinearModel([1, 1], [[0.49999999, 0.50000001], [0.2, 0.8]]), "binary-classification", "skops")
    assert parity(original, tied, table).agreement == 1.0
    clear = EstimatorModel(LinearModel([1, 1], [[0.4, 0.6], [0.2, 0.8]]), "binary-classification", "skops")
    found = parity(original, clear, table)
    assert found.agreement == 0.5
    assert found.max_difference == pytest.approx(0.1)


def test_values_agree_within_a_ten_thousandth_absolute_or_relative():
    table = np.zeros((4, 1))
    original = EstimatorModel(LinearModel([0.0, 1e6, 1.0, 5.0]), "regression", "skops")
    converted = EstimatorModel(LinearModel([5e-5, 1e6 + 50, 1.01, 5.0]), "regression", "skops")
    found = parity(original, converted, table)
    assert found.agreement == 0.75
    assert found.max_difference == pytest.approx(50)


# ── files of others


def test_a_file_converted_by_others_gives_its_labels_and_probabilities(tmp_path):
    path = tmp_path / "model.onnx"
    estimator = forest().fit(CANCER_X.to_numpy(), np.where(CANCER_Y == 1, "good", "bad"))
    path.write_bytes(to_onnx(estimator, CANCER_X.to_numpy(dtype="float32")[:1]).SerializeToString())
    assert by_file(path) == "onnx"
    model = open_model("onnx", path, trust=Trust())
    assert (model.task, model.labels) == ("binary-classification", ["bad", "good"])
    assert model.predict(CANCER_X).tolist() == estimator.predict(CANCER_X.to_numpy()).tolist()
    assert model.predict_proba(CANCER_X) == pytest.approx(estimator.predict_proba(CANCER_X.to_numpy()), abs=1e-6)


def matmul(path, *, weights, inner=None):
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    nodes = [node, *([inner] if inner else [])]
    graph = helper.make_graph(nodes, "g", [x], [y], initializer=[weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def elsewhere(location):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 1], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": "0", "length": "8"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_weights_in_another_file_are_never_followed(tmp_path):
    (tmp_path / "weights.bin").write_bytes(np.ones(2, dtype="float32").tobytes())
    for location in ("weights.bin", "../weights.bin", "/etc/passwd"):
        with pytest.raises(RegistryError, match="keeps its weights in other files"):
            load(matmul(tmp_path / "model.onnx", weights=elsewhere(location)))
    hidden = helper.make_node("Constant", [], ["c"], value=elsewhere("weights.bin"))
    whole = numpy_helper.from_array(np.ones((2, 1), dtype="float32"), "w")
    with pytest.raises(RegistryError, match="keeps its weights in other files"):
        load(matmul(tmp_path / "model.onnx", weights=whole, inner=hidden))
    assert load(matmul(tmp_path / "model.onnx", weights=whole)).predict(np.ones((3, 2))).tolist() == [2, 2, 2]


def test_a_file_of_another_format_renamed_to_onnx_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    model = LinearRegression().fit([[1], [2]], [1, 2])
    for compress in (0, 3):
        joblib.dump(model, path, compress=compress)
        assert not is_format(path)
    for data in (b"", b"PK\x03\x04rest", b"text, not a model\n", b"\x08\x08", random.Random(0).randbytes(500)):
        path.write_bytes(data)
        with pytest.raises(RegistryError, match="its content is not onnx") as caught:
            by_file(path)
        assert caught.value.hint
        with pytest.raises(RegistryError, match="not a readable ONNX model"):
            load(path)
    with pytest.raises(RegistryError, match="cannot read"):
        load(tmp_path / "none.onnx")


def test_damaged_files_are_one_line_and_a_hint(stored, tmp_path):
    good = stored.read_bytes()
    rng = random.Random(0)
    places = rng.sample(range(len(good)), 30)
    bad = [good[: len(good) * part // 8] for part in range(1, 8)]
    bad.extend(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :] for place in places)
    path = tmp_path / "model.onnx"
    refused = []
    for data in bad:
        path.write_bytes(data)
        try:
            load(path)
        except RegistryError as error:
            refused.append(error)
    assert len(refused) >= 7
    assert all("\n" not in error.message and error.hint for error in refused)


def test_an_operator_nobody_knows_is_an_error(tmp_path):
    path = tmp_path / "model.onnx"
    node = helper.make_node("RunCommand", ["x"], ["y"], domain="example.com")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "xy"]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("example.com", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    assert by_file(path) == "onnx"
    with pytest.raises(RegistryError, match="not a readable ONNX model"):
        load(path)


def test_numbering_inner_names_changes_no_answer_and_keeps_the_models_own(tmp_path):
    path = tmp_path / "model.onnx"
    estimator = KNeighborsClassifier().fit(CANCER_X, CANCER_Y)  # its graph has a loop with a graph of its own
    raw = to_onnx(estimator, CANCER_X.to_numpy(dtype="float32")[:1], options={"zipmap": False})
    path.write_bytes(raw.SerializeToString())
    expected = load(path).predict_proba(CANCER_X)
    before = [entry.name for entry in (*raw.graph.input, *raw.graph.output)]
    onnx_graph.renumber(raw.graph)
    onnx.checker.check_model(raw)
    path.write_bytes(raw.SerializeToString())
    assert [entry.name for entry in (*raw.graph.input, *raw.graph.output)] == before
    assert np.array_equal(load(path).predict_proba(CANCER_X), expected)
