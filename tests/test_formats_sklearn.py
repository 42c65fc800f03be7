import io
import json
import pickle
import random
import zipfile
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from gitops_registry.errors import RegistryError
from gitops_registry.formats import by_file, open_model
from gitops_registry.formats.estimator import facts_of
from gitops_registry.formats.loaded import Trust
from gitops_registry.formats.sklearn import DEFAULT_TRUSTED_TYPES, load, load_pickle, save, untrusted

CANCER_X, CANCER_Y = load_breast_cancer(return_X_y=True, as_frame=True)
MIXED = pd.DataFrame(
    {
        "radius": CANCER_X["mean radius"].mask(CANCER_X["mean radius"] > 20),
        "area": CANCER_X["mean area"],
        "city": np.where(CANCER_X["mean texture"] > 19, "東京", "Köln"),
    }
)


def forest(**more):
    return RandomForestClassifier(n_estimators=5, max_depth=4, random_state=0, **more)


def mixed_pipeline(last):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include=np.number)),
            ("text", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    return make_pipeline(columns, last)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("skops") / "model.skops"
    save(forest().fit(CANCER_X, CANCER_Y), path)
    return path


@pytest.mark.parametrize(
    "estimator",
    [
        forest(),
        GradientBoostingClassifier(n_estimators=5),
        HistGradientBoostingClassifier(max_iter=5),
        make_pipeline(StandardScaler(), LogisticRegression()),
        SVC(),
        KNeighborsClassifier(),
        make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="ball_tree")),
        make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="kd_tree", metric="manhattan")),
    ],
    ids=lambda estimator: type(estimator[-1] if hasattr(estimator, "steps") else estimator).__name__,
)
def test_common_estimators_are_saved_and_loaded_without_any_trust_given(estimator, tmp_path):
    estimator.fit(CANCER_X, CANCER_Y)
    path = tmp_path / "model.skops"
    save(estimator, path)
    assert by_file(path) == "skops"
    assert untrusted(path) == []
    model = open_model("skops", path, trust=Trust())
    assert (model.format, model.task, model.labels) == ("skops", "binary-classification", [0, 1])
    assert (model.predict(CANCER_X) == estimator.predict(CANCER_X)).all()
    scores = model.predict_proba(CANCER_X)
    if hasattr(estimator, "predict_proba"):
        assert np.array_equal(scores, estimator.predict_proba(CANCER_X))
    else:
        assert scores is None


@pytest.mark.parametrize("last", [forest(), HistGradientBoostingClassifier(max_iter=3), LogisticRegression()])
def test_a_pipeline_of_text_and_numbers_survives(last, tmp_path):
    estimator = mixed_pipeline(last).fit(MIXED, CANCER_Y)
    path = tmp_path / "model.skops"
    save(estimator, path)
    assert np.array_equal(load(path).predict_proba(MIXED), estimator.predict_proba(MIXED))


@pytest.mark.parametrize(
    "labels", [[3, 7], ["悪性", "良性"], [False, True], [0.0, 1.0]], ids=["int", "str", "bool", "float"]
)
def test_labels_keep_their_type(labels, tmp_path):
    y = np.array(labels)[CANCER_Y.to_numpy()]
    path = tmp_path / "model.skops"
    save(forest().fit(CANCER_X, y), path)
    model = load(path)
    assert model.labels == labels
    assert [type(label) for label in model.labels] == [type(label) for label in labels]
    assert set(model.predict(CANCER_X).tolist()) == set(labels)


def test_regressors_and_many_classes_are_told_apart(tmp_path):
    path = tmp_path / "model.skops"
    save(RandomForestRegressor(n_estimators=3).fit(*load_diabetes(return_X_y=True)), path)
    model = load(path)
    assert (model.task, model.labels) == ("regression", None)
    assert model.predict_proba(load_diabetes().data) is None
    save(forest().fit(*load_wine(return_X_y=True)), path)
    assert (load(path).task, load(path).labels) == ("multiclass-classification", [0, 1, 2])


def test_columns_are_picked_by_name_whatever_their_order_and_company(stored):
    model = load(stored)
    shuffled = CANCER_X[CANCER_X.columns[::-1]].assign(note="x")
    assert np.array_equal(model.predict_proba(shuffled), model.predict_proba(CANCER_X))


def test_a_model_fitted_on_an_array_takes_a_table(tmp_path):
    path = tmp_path / "model.skops"
    save(forest().fit(CANCER_X.to_numpy(), CANCER_Y), path)
    model = load(path)
    assert np.array_equal(model.predict(CANCER_X), model.predict(CANCER_X.to_numpy()))


def test_data_the_model_cannot_take_is_one_line_and_a_hint(stored):
    model = load(stored)
    with pytest.raises(RegistryError, match="lacks a column of the model: 'mean radius'"):
        model.predict(CANCER_X.drop(columns="mean radius"))
    with pytest.raises(RegistryError, match="cannot predict from this data") as caught:
        model.predict(CANCER_X.assign(**{"mean radius": "wide"}))
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_threads_may_share_a_model(stored):
    model = load(stored)
    expected = model.predict_proba(CANCER_X)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: model.predict_proba(CANCER_X), range(8)))
    assert all(np.array_equal(one, expected) for one in found)


def test_the_file_is_compressed(stored):
    with zipfile.ZipFile(stored) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_DEFLATED}


# ── description


def test_an_estimator_is_described_by_its_plain_parameters():
    task, kind, framework, params = facts_of(forest(class_weight={0: 1, 1: 2}).fit(CANCER_X, CANCER_Y))
    assert (task, kind, framework.name) == ("binary-classification", "RandomForestClassifier", "scikit-learn")
    assert params["n_estimators"] == 5
    assert params["max_features"] == "sqrt"
    assert params["max_leaf_nodes"] is None
    assert "class_weight" not in params


def test_a_pipeline_is_described_by_its_last_step():
    _, kind, _, params = facts_of(mixed_pipeline(forest()).fit(MIXED, CANCER_Y))
    assert kind == "RandomForestClassifier"
    assert params["columntransformer"] == "ColumnTransformer"
    assert params["randomforestclassifier__n_estimators"] == 5


def test_parameters_that_yaml_cannot_hold_are_left_out():
    class Odd(LogisticRegression):
        def get_params(self, deep=True):
            return {
                "nan": float("nan"), "inf": float("inf"), "array": np.zeros(2), "call": len, "nested": forest(),
                "number": np.float64(0.5), "sizes": (3, np.int64(4)), "pairs": [("a", (1, 2))],
                "bad": (1.0, float("nan")),
            }  # fmt: skip

    params = facts_of(Odd().fit(CANCER_X[:50], CANCER_Y[:50]))[3]
    assert params == {"nested": "RandomForestClassifier", "number": 0.5, "sizes": (3, 4)}
    assert type(params["number"]) is float


def test_what_is_not_a_fitted_estimator_that_predicts_is_refused(tmp_path):
    for thing, message in [
        (forest(), "RandomForestClassifier is not fitted"),
        (mixed_pipeline(forest()), "is not fitted"),
        (RandomForestClassifier, "not a scikit-learn estimator"),
        ({"a": 1}, "a dict is not a scikit-learn estimator"),
        (StandardScaler().fit(CANCER_X), "StandardScaler cannot predict"),
    ]:
        with pytest.raises(RegistryError, match=message):
            facts_of(thing)
        with pytest.raises(RegistryError, match=message):
            save(thing, tmp_path / "model.skops")
    assert not (tmp_path / "model.skops").exists()


class OwnEstimator(LinearRegression):
    pass


def test_ones_own_class_is_named_until_the_registry_trusts_it(tmp_path):
    path = tmp_path / "model.skops"
    save(OwnEstimator().fit([[1], [2]], [1, 2]), path)
    name = f"{OwnEstimator.__module__}.OwnEstimator"
    assert untrusted(path) == untrusted(path.read_bytes()) == [name]
    with pytest.raises(RegistryError, match=name) as caught:
        load(path)
    assert "add those you trust to trusted_types in registry.yaml" in caught.value.hint
    assert untrusted(path, [name]) == []
    assert load(path, Trust((name,))).predict(np.array([[3]])) == pytest.approx([3])


def test_something_skops_cannot_express_is_refused_when_saved(tmp_path):
    model = LinearRegression().fit([[1], [2]], [1, 2])
    model.handle = (line for line in [])
    with pytest.raises(RegistryError, match="cannot be stored as skops"):
        save(model, tmp_path / "model.skops")


# ── hostile and damaged files


def node(loader, module, name, **more):
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def text(value):
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def arguments(*values):
    return node("TupleNode", "builtins", "tuple", content=[text(value) for value in values])


def write_skops(path, schema, **files):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({**schema, "protocol": 2, "_skops_version": "0.16.0"}))
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def call(module, name, *values):
    return node("ConstructorFromReduceNode", module, name, content=arguments(*values))


@pytest.mark.parametrize("kind", ["call", "function", "type", "partial", "nested", "method"])
@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("evil_module", "Evil")])
def test_a_hostile_file_is_refused_before_anything_runs(kind, module, name, tmp_path, monkeypatch):
    mark = tmp_path / "it-ran"
    (tmp_path / "evil_module.py").write_text(
        f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nclass Evil:\n    pass\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    payload = f"touch {mark}" if name == "system" else f"__import__('pathlib').Path({str(mark)!r}).touch()"
    function = node("FunctionNode", module, name, content={"module_path": module, "function": name})
    empty = node("DictNode", "builtins", "dict", content={}, key_types=node("ListNode", "builtins", "list", content=[]))
    schema = {
        "call": call(module, name, payload),
        "function": function,
        "type": node("TypeNode", module, name),
        "partial": node(
            "PartialNode", "functools", "partial",
            content={"func": function, "args": arguments(payload), "kwds": empty, "namespace": text(None)},
        ),
        "nested": node("ListNode", "builtins", "list", content=[text(1), call(module, name, payload)]),
        "method": node(
            "MethodNode", module, name,
            content={"func": "__init__", "obj": node("ObjectNode", module, name)},
        ),
    }[kind]  # fmt: skip
    path = write_skops(tmp_path / "model.skops", schema)
    with pytest.raises(RegistryError) as caught:
        load(path)
    assert f"{module}.{name}" in caught.value.message
    assert "trusted_types" in caught.value.hint
    assert not mark.exists()


def test_a_joblib_or_pickle_file_renamed_to_skops_is_refused(tmp_path):
    model = LinearRegression().fit([[1], [2]], [1, 2])
    path = tmp_path / "model.skops"
    joblib.dump(model, path)
    with pytest.raises(RegistryError, match="its content is not skops"):
        by_file(path)
    with pytest.raises(RegistryError, match="not a readable skops file"):
        load(path)
    path.write_bytes(pickle.dumps(model))
    with pytest.raises(RegistryError, match="its content is not skops"):
        by_file(path)


def test_a_zip_that_is_no_skops_file_is_refused(tmp_path):
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"")
    with pytest.raises(RegistryError, match="its content is not skops"):
        by_file(path)
    with pytest.raises(RegistryError, match="not a readable skops file"):
        load(path)


def test_unknown_suffixes_folders_and_missing_files_have_no_format(tmp_path):
    for name in ("model.bin", "model.zip", "model"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(RegistryError, match="in no format the registry stores") as caught:
            by_file(tmp_path / name)
        assert caught.value.hint
    with pytest.raises(RegistryError, match="folder"):
        by_file(tmp_path)
    with pytest.raises(RegistryError, match="no file"):
        by_file(tmp_path / "none.skops")
    with pytest.raises(RegistryError, match="unknown model format 'keras'"):
        open_model("keras", tmp_path / "model.keras", trust=Trust())


def test_damaged_files_are_one_line_and_a_hint(stored, tmp_path):
    good = stored.read_bytes()
    rng = random.Random(0)
    bad = [b"", b"PK", rng.randbytes(1000), *(good[: len(good) * part // 8] for part in range(1, 8))]
    places = rng.sample(range(len(good)), 40)
    bad.extend(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :] for place in places)
    path = tmp_path / "model.skops"
    refused = []
    for data in bad:
        path.write_bytes(data)
        try:
            load(path)
        except RegistryError as error:
            refused.append(error)
    assert len(refused) >= 10
    assert all("\n" not in error.message and error.hint for error in refused)
    with pytest.raises(RegistryError, match="cannot read"):
        load(tmp_path / "none.skops")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        text("just text"),
        node("NoSuchNode", "a", "b"),
        node("ListNode", "builtins", "list"),
        call("builtins", "int"),
    ],
    ids=["empty", "text", "unknown loader", "no content", "untrusted call"],
)
def test_odd_schemas_are_refused(schema, tmp_path):
    with pytest.raises(RegistryError):
        load(write_skops(tmp_path / "model.skops", schema))


def test_a_type_name_cannot_break_the_line_or_colour_the_terminal(tmp_path):
    path = write_skops(tmp_path / "model.skops", node("TypeNode", "evil", "Name\n\x1b[31merror: all is well"))
    with pytest.raises(RegistryError, match=r"evil\.Name") as caught:
        load(path)
    assert caught.value.message.isprintable()


def test_a_schema_nested_without_end_is_refused(tmp_path):
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", "[" * 200_000)
    with pytest.raises(RegistryError, match="not a readable skops file"):
        load(path)


def test_a_small_file_that_unpacks_to_a_flood_is_refused(stored, tmp_path):
    path = tmp_path / "model.skops"
    data = bytearray(stored.read_bytes())
    entry = data.rfind(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(RegistryError, match="unpack to"):
        load(path)


def with_changed_array(source, target, field, change):
    """Copy a skops file with `change` applied to each stored array that has the field."""
    changed = 0
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(data))
                if array.dtype.names and field in array.dtype.names:
                    changed += 1
                    change(array[field])
                    buffer = io.BytesIO()
                    np.save(buffer, array)
                    data = buffer.getvalue()
            new.writestr(name, data)
    assert changed
    return target


def first(value):
    def change(array):
        array[0] = value

    return change


@pytest.mark.parametrize(
    ("estimator", "field", "value"),
    [
        (forest(), "left_child", 1_000_000),
        (forest(), "right_child", 0),
        (forest(), "left_child", -5),
        (forest(), "feature", 30),
        (forest(), "feature", -3),
        (GradientBoostingClassifier(n_estimators=2), "feature", 10**9),
        (HistGradientBoostingClassifier(max_iter=2), "left", 1_000_000),
        (HistGradientBoostingClassifier(max_iter=2), "feature_idx", 31),
        (HistGradientBoostingClassifier(max_iter=2), "is_categorical", 1),
        (KNeighborsClassifier(algorithm="kd_tree"), "idx_end", 10**6),
        (KNeighborsClassifier(algorithm="ball_tree"), "idx_start", -1),
    ],
)
def test_a_tree_whose_index_leads_out_of_it_is_refused(estimator, field, value, tmp_path):
    save(estimator.fit(CANCER_X, CANCER_Y), tmp_path / "good.skops")
    path = with_changed_array(tmp_path / "good.skops", tmp_path / "model.skops", field, first(value))
    with pytest.raises(RegistryError, match=r"a (search )?tree"):
        load(path)


def test_a_search_tree_whose_last_nodes_claim_children_is_refused(tmp_path):
    save(KNeighborsClassifier(algorithm="kd_tree").fit(CANCER_X, CANCER_Y), tmp_path / "good.skops")

    def no_leaf(array):
        array[:] = 0

    path = with_changed_array(tmp_path / "good.skops", tmp_path / "model.skops", "is_leaf", no_leaf)
    with pytest.raises(RegistryError, match="search tree"):
        load(path)


def test_a_pickle_opens_only_where_it_is_asked_for_by_name(tmp_path):
    model = forest().fit(CANCER_X, CANCER_Y)
    joblib.dump(model, tmp_path / "model.joblib", compress=3)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    for name in ("model.joblib", "model.pkl"):
        assert np.array_equal(load_pickle(tmp_path / name).predict(CANCER_X), model.predict(CANCER_X))


def test_a_damaged_pickle_is_one_line(tmp_path):
    path = tmp_path / "model.pkl"
    for data in (b"", b"garbage", pickle.dumps(forest())[:-20], b"cno_such_module\nThing\n."):
        path.write_bytes(data)
        with pytest.raises(RegistryError) as caught:
            load_pickle(path)
        assert "\n" not in caught.value.message
    with pytest.raises(RegistryError, match="cannot read"):
        load_pickle(tmp_path / "none.pkl")


def test_every_type_of_the_reviewed_list_exists_and_comes_from_scikit_learn_or_numpy():
    import importlib

    for name in DEFAULT_TRUSTED_TYPES:
        module, _, attribute = name.rpartition(".")
        assert module.split(".")[0] in {"sklearn", "numpy"}
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, type), f"{name} is code, not data"
