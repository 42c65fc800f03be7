"""Pickles and joblib files: what is reviewed opens and predicts as before, everything else is refused before it runs."""

from __future__ import annotations

import bz2
import copyreg
import gzip
import io
import lzma
import pickle
import random
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import hostile_pickles
import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from gitops_registry import formats
from gitops_registry.errors import RegistryError
from gitops_registry.formats import joblib as joblib_format
from gitops_registry.formats import pickle as pickle_format
from gitops_registry.formats.joblib_reading import built
from gitops_registry.formats.loaded import Trust, Unreviewed
from gitops_registry.formats.pickle_reader import examine
from gitops_registry.formats.pickle_reviewed import renamed
from gitops_registry.formats.pickle_values import Refused

TRUST = Trust(formats=frozenset({"joblib", "pickle"}))
X, Y = load_breast_cancer(return_X_y=True, as_frame=True)
X, Y = X.iloc[:90, :5], Y.iloc[:90]
WORDS = Y.map({0: "malign", 1: "gutartig 良性"})
MIXED = X.assign(city=np.where(X.iloc[:, 1] > 19, "東京", "Köln"))
MIXED.iloc[3, 0] = np.nan
NUMBERS = list(X.columns)


def columns(last):
    first = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS[:3]),
            ("same", "passthrough", slice(3, 5)),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    return make_pipeline(first, last)


PARTS = [("a", LogisticRegression(max_iter=50)), ("b", DecisionTreeClassifier(max_depth=2))]
ESTIMATORS = {
    "logistic regression": (LogisticRegression(), X, WORDS),
    "linear regression": (LinearRegression(), X, Y * 2.5),
    "tree": (DecisionTreeClassifier(max_depth=3), X, WORDS),
    "forest": (RandomForestClassifier(n_estimators=4, max_depth=3, random_state=np.random.RandomState(0)), X, Y),
    "gradient boosting": (GradientBoostingClassifier(n_estimators=3), X, Y),
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=3, early_stopping=True), X, WORDS),
    "support vectors": (SVC(), X, Y),
    "sparse support vectors": (SVC(kernel="linear"), csr_matrix(X.to_numpy()), Y),
    "nearest neighbours": (KNeighborsClassifier(algorithm="kd_tree", metric="manhattan"), X, Y),
    "ball tree": (KNeighborsClassifier(algorithm="ball_tree", p=3), X, WORDS),
    "neural network": (MLPClassifier((4,), max_iter=5, early_stopping=True), X, WORDS),
    "columns": (columns(LogisticRegression(max_iter=50)), MIXED, WORDS),
    "voting": (VotingClassifier(PARTS, voting="soft"), X, WORDS),
    "stacking": (StackingClassifier(PARTS, cv=2), X, Y),
    "calibrated": (CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2), X, Y),
    "search": (GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, None], "criterion": ["gini"]}, cv=2, scoring="accuracy"), X, Y),
    "naive Bayes": (GaussianNB(), X, WORDS),
    "discriminants": (LinearDiscriminantAnalysis(), X, Y),
    "stochastic descent": (SGDClassifier(loss="modified_huber"), X, Y),
    "isotonic": (IsotonicRegression(), X.iloc[:, 0].to_numpy(), Y * 1.0),
}  # fmt: skip
PACKED = [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 1), ("xz", 1)]


@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: (estimator.fit(x, y), x) for name, (estimator, x, y) in ESTIMATORS.items()}


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "it-ran"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refused(load, path: Path, trust: Trust = TRUST) -> RegistryError:
    """Return the error that a file is refused with: one line and a hint."""
    with pytest.raises(RegistryError) as caught:
        load(path, trust)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.hint
    return caught.value


# What opens


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_pickled_estimator_of_any_protocol_predicts_like_the_original(name, fitted, tmp_path):
    estimator, x = fitted[name]
    for protocol in range(6):
        path = write(tmp_path / f"{protocol}.pkl", pickle.dumps(estimator, protocol))
        assert formats.by_file(path) == "pickle"
        model = pickle_format.load(path, TRUST)
        assert model.format == "pickle"
        assert (model.predict(x) == estimator.predict(x)).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_dumped_by_joblib_predicts_like_the_original(name, fitted, tmp_path):
    estimator, x = fitted[name]
    for protocol in range(6):
        path = tmp_path / f"{protocol}.joblib"
        joblib.dump(estimator, path, protocol=protocol)
        assert formats.by_file(path) == "joblib"
        model = joblib_format.load(path, TRUST)
        assert model.format == "joblib"
        assert (model.predict(x) == estimator.predict(x)).all()


@pytest.mark.parametrize("packed", PACKED, ids=str)
def test_a_joblib_file_opens_however_it_is_packed_and_whatever_it_is_named(packed, fitted, tmp_path):
    estimator, x = fitted["columns"]
    path = tmp_path / "model.joblib"
    joblib.dump(estimator, path, compress=packed)
    assert (formats.open_model("joblib", path, trust=TRUST).predict(x) == estimator.predict(x)).all()


ARRAYS = {
    "empty": np.empty((0, 3)),
    "one number": np.array(2.5),
    "three dimensions": np.arange(24, dtype="i4").reshape(2, 3, 4),
    "by columns": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "of the other order of bytes": np.arange(5, dtype=">f8"),
    "records": np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "<i8"), ("b", "<f8")]),
    "records of the other order of bytes": np.array([(1, 2.5), (3, 4.5)], dtype=[("a", ">i8"), ("b", ">f8")]),
    "truth values": np.array([[True], [False]]),
    "text": np.array(["東京", "Köln"]),
    "bytes": np.array([b"ab", b"c"]),
    "complex": np.array([1 + 2j]),
    "objects": np.array(["a", None, 3.5, (1, "b")], dtype=object),
    "nothing of objects": np.empty((0,), dtype=object),
}


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_come_out_of_a_joblib_file_as_joblib_itself_reads_them(protocol, tmp_path):
    value = {"first": ARRAYS, "again": [ARRAYS["text"], ARRAYS["by columns"], {"deep": ARRAYS["objects"]}]}
    path = tmp_path / "arrays"
    joblib.dump(value, path, protocol=protocol)
    data = path.read_bytes()
    found = examine(data, has_arrays=True)
    names = []

    def resolve(module, name):
        names.append(renamed(module, name))
        return getattr(sys.modules[names[-1].rpartition(".")[0]], name)

    ours, theirs = built(data, found.arrays, resolve), joblib.load(path)
    assert names == list(found.order)
    pairs = [(ours["first"][name], theirs["first"][name]) for name in ARRAYS]
    pairs += list(zip(ours["again"][:2], theirs["again"][:2], strict=True))
    pairs.append((ours["again"][2]["deep"], theirs["again"][2]["deep"]))
    for own, other in pairs:
        assert (own.dtype, own.shape) == (other.dtype, other.shape)
        assert own.tolist() == other.tolist()
        assert own.flags.writeable
        assert own.flags.f_contiguous == other.flags.f_contiguous


def test_an_array_whose_dtype_is_not_what_was_examined_is_refused():
    file = io.BytesIO()
    joblib.dump({"x": np.arange(4.0)}, file)
    found = examine(file.getvalue(), has_arrays=True)

    def other(module, name):
        return (lambda *_: np.dtype("f4")) if name == "dtype" else getattr(sys.modules[module], name)

    with pytest.raises(Refused, match="does not have the size it claims"):
        built(file.getvalue(), found.arrays, other)


def test_a_plain_pickle_is_a_joblib_file_too_but_not_the_other_way_round(fitted, tmp_path):
    estimator, x = fitted["logistic regression"]
    plain = write(tmp_path / "plain.joblib", pickle.dumps(estimator))
    assert (joblib_format.load(plain, TRUST).predict(x) == estimator.predict(x)).all()
    dumped = tmp_path / "dumped.pkl"
    joblib.dump(estimator, dumped)
    assert not pickle_format.is_format(dumped)
    assert "joblib" in str(refused(pickle_format.load, dumped))
    with pytest.raises(RegistryError, match="content is not pickle"):
        formats.by_file(dumped)


def test_a_file_says_its_class_and_version_and_modules_without_being_opened(fitted, tmp_path):
    for name, kind in (("columns", "Pipeline"), ("forest", "RandomForestClassifier")):
        path = tmp_path / "model.joblib"
        joblib.dump(fitted[name][0], path, compress=("xz", 1))
        found = joblib_format.describe(path)
        assert (found.format, found.model_type) == ("joblib", kind)
        assert found.framework is not None
        assert (found.framework.name, found.framework.version[:2]) == ("scikit-learn", "1.")
        assert found.modules == ("joblib", "numpy", "sklearn")


def test_the_walk_names_what_pythons_own_reader_asks_for_in_the_same_order(fitted):
    class Listening(pickle.Unpickler):
        def find_class(self, module, name):
            asked.append(f"{module}.{name}")
            return super().find_class(module, name)

    for estimator, _ in fitted.values():
        asked: list[str] = []
        data = pickle.dumps(estimator, 4)
        Listening(io.BytesIO(data)).load()
        found = examine(data)
        assert list(found.order) == asked
        assert found.root == type(estimator).__name__


# What is refused


@pytest.mark.parametrize("kind", ["joblib", "pickle"])
def test_a_format_that_registry_yaml_does_not_trust_is_refused_with_the_line_to_add(kind, fitted, tmp_path):
    path = write(tmp_path / f"model.{kind}", pickle.dumps(fitted["tree"][0]))
    module = {"joblib": joblib_format, "pickle": pickle_format}[kind]
    with pytest.raises(Unreviewed) as caught:
        module.load(path, Trust(formats=frozenset({"joblib", "pickle"} - {kind})))
    assert f"trusted_formats: [{kind}]" in caught.value.hint
    assert "registry.yaml" in caught.value.hint
    with pytest.raises(Unreviewed):
        module.load(path)


HARM = sorted(hostile_pickles.that_run(Path("m")))
LIES = sorted(hostile_pickles.that_lie(Path("m")))
JOBLIB_LIES = sorted(hostile_pickles.joblibs_that_lie(Path("m")))


@pytest.mark.parametrize("name", HARM)
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(name, marker, tmp_path):
    data = hostile_pickles.that_run(marker)[name]
    before = set(sys.modules)
    for load in (pickle_format.load, joblib_format.load):
        refused(load, write(tmp_path / "model.bin", data))
        for module in (pickle_format, joblib_format):
            module.is_format(tmp_path / "model.bin")
    for first in (zlib.compress, gzip.compress, bz2.compress, lzma.compress):
        refused(joblib_format.load, write(tmp_path / "model.bin", first(data)))
    assert set(sys.modules) == before
    assert not marker.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pickle.loads(data)  # it is no empty threat
    assert marker.exists()


@pytest.mark.parametrize("packed", PACKED, ids=str)
def test_a_pickle_inside_an_array_of_a_joblib_file_is_read_by_the_same_rules(packed, marker, tmp_path):
    value = {"classes_": np.array([hostile_pickles.Harm(marker), None], dtype=object)}
    path = tmp_path / "model.joblib"
    joblib.dump(value, path, compress=packed)
    assert joblib_format.is_format(path)
    error = refused(joblib_format.load, path)
    assert isinstance(error, Unreviewed)
    assert "posix.mkdir" in str(error)
    assert "posix" in joblib_format.describe(path).modules
    assert not marker.exists()
    joblib.load(path)
    assert marker.exists()


def test_a_refusal_names_every_name_that_nobody_reviewed(marker, tmp_path):
    path = write(tmp_path / "model.pkl", hostile_pickles.that_run(marker)["functools.partial"])
    assert "functools.partial, os.mkdir" in str(refused(pickle_format.load, path))
    assert pickle_format.is_format(path)


@pytest.mark.parametrize("name", LIES)
def test_a_pickle_that_no_writer_writes_is_refused_at_once(name, marker, tmp_path):
    path = write(tmp_path / "model.pkl", hostile_pickles.that_lie(marker)[name])
    before = set(sys.modules)
    for load in (pickle_format.load, joblib_format.load):
        assert "estimator" not in str(refused(load, path))  # not for what it was, once it was built
    with pytest.raises(RegistryError):
        pickle_format.describe(path)
    assert set(sys.modules) == before
    assert not marker.exists()


@pytest.mark.parametrize("name", JOBLIB_LIES)
def test_a_joblib_file_that_joblib_does_not_write_is_refused_at_once(name, marker, tmp_path):
    path = write(tmp_path / "model.joblib", hostile_pickles.joblibs_that_lie(marker)[name])
    before = set(sys.modules)
    assert "estimator" not in str(refused(joblib_format.load, path))
    assert set(sys.modules) == before
    assert not marker.exists()


@pytest.mark.parametrize(
    "opcode", [b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"], ids=["EXT1", "EXT2", "EXT4"]
)
def test_an_extension_code_is_refused_even_where_the_process_has_registered_it(opcode, marker, tmp_path):
    data = hostile_pickles.two(hostile_pickles.called(opcode, hostile_pickles.text(str(marker))))
    copyreg.add_extension("os", "mkdir", 0xF0)
    try:
        refused(pickle_format.load, write(tmp_path / "model.pkl", data))
        assert not marker.exists()
        pickle.loads(data)
        assert marker.exists()
    finally:
        copyreg.remove_extension("os", "mkdir", 0xF0)
        copyreg.clear_extension_cache()


@pytest.mark.parametrize(
    "last", [FunctionTransformer(np.log1p), FunctionTransformer(np.load), FunctionTransformer(print, kw_args={"sep": ""})]
)  # fmt: skip
def test_a_transformer_that_calls_a_function_is_refused_unless_the_function_is_trusted(last, tmp_path):
    model = make_pipeline(last, LinearRegression())
    if last.func is np.log1p:
        model.fit(X, Y)
    path = write(tmp_path / "model.pkl", pickle.dumps(model))
    assert last.func.__name__ in str(refused(pickle_format.load, path))
    if last.func is np.log1p:
        opened = pickle_format.load(path, Trust(types=("numpy.log1p",), formats=TRUST.formats))
        assert np.allclose(opened.predict(X), model.predict(X))


def test_a_reviewed_function_cannot_be_an_attribute_even_if_a_caller_trusts_it_too(tmp_path):
    model = FunctionTransformer(np.log1p)
    model.func = np.dtype
    path = write(tmp_path / "model.pkl", pickle.dumps(model))
    trust = Trust(types=("numpy.dtype", "numpy.log1p"), formats=TRUST.formats)
    assert "numpy.dtype" in str(refused(pickle_format.load, path, trust))


def test_a_trusted_class_of_ones_own_opens_and_its_neighbour_does_not(tmp_path):
    path = write(tmp_path / "model.pkl", pickle.dumps(Halved().fit(X, Y)))
    own = f"{__name__}.Halved"
    assert own in str(refused(pickle_format.load, path))
    assert own in str(refused(pickle_format.load, path, Trust(types=(f"{__name__}.Halve",), formats=TRUST.formats)))
    model = pickle_format.load(path, Trust(types=(own,), formats=TRUST.formats))
    assert np.allclose(model.predict(X), Halved().fit(X, Y).predict(X))


class Halved(LinearRegression):
    def predict(self, x):
        return super().predict(x) / 2


def test_a_class_that_reads_arrays_in_its_own_way_is_refused_even_if_it_is_trusted(tmp_path):
    own = hostile_pickles.named(__name__, "OwnArray")
    path = write(tmp_path / "model.joblib", hostile_pickles.two(own + b")\x81}b"))
    trust = Trust(types=(f"{__name__}.OwnArray",), formats=TRUST.formats)
    assert "OwnArray" in str(refused(joblib_format.load, path, trust))


class OwnArray(joblib.numpy_pickle.NumpyArrayWrapper):
    def __init__(self):
        raise AssertionError("it was made")


@pytest.mark.parametrize(
    "pack", [zlib.compress, gzip.compress, bz2.compress, lzma.compress], ids=["zlib", "gzip", "bz2", "lzma"]
)
def test_a_packed_file_that_floods_or_ends_early_or_goes_on_is_refused(pack, tmp_path, fitted):
    bomb = pack(b"\x80\x02B\x00\x00\x60\x04" + bytes(70 << 20) + b".")
    assert "unpack to more than" in str(refused(joblib_format.load, write(tmp_path / "bomb.joblib", bomb)))
    good = pack(pickle.dumps(fitted["naive Bayes"][0]))
    assert joblib_format.is_format(write(tmp_path / "good.joblib", good))
    for name, data in {"cut": good[:-9], "more": good + b"\0", "twice": good + good, "empty": good[:9]}.items():
        assert not joblib_format.is_format(write(tmp_path / f"{name}.joblib", data))
        refused(joblib_format.load, tmp_path / f"{name}.joblib")


def test_other_formats_under_a_pickles_name_are_no_pickles(tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("schema.json", "{}")
    others = {
        "zip": archive.getvalue(), "text": b"hello, world\n", "sentence": b"N. B.: no pickle\n", "json": b'{"a": 1}', "empty": b"",
        "onnx": b"\x08\x07\x12\x07skl2onnx", "stop": b".", "html": b"<html></html>", "zeros": bytes(64),
    }  # fmt: skip
    for name, data in others.items():
        path = write(tmp_path / name, data)
        assert not pickle_format.is_format(path), name
        assert not joblib_format.is_format(path), name
        refused(pickle_format.load, path)
        refused(joblib_format.load, path)
    refused(pickle_format.load, tmp_path / "nothing")


def test_a_pickle_of_what_is_no_fitted_estimator_is_refused(tmp_path):
    for value in ({"a": 1}, [1, 2], LinearRegression(), StandardScaler().fit(X), LinearRegression, np.arange(3), None):
        refused(pickle_format.load, write(tmp_path / "model.pkl", pickle.dumps(value)))


def test_a_sparse_matrix_or_a_tree_whose_indices_lead_out_of_it_is_refused(fitted, tmp_path):
    def damaged(name, change):
        model = pickle.loads(pickle.dumps(fitted[name][0]))
        change(model)
        joblib.dump(model, tmp_path / "model.joblib")
        return str(refused(joblib_format.load, tmp_path / "model.joblib"))

    def far(model):
        model.support_vectors_.indices[0] = 1 << 20

    def hidden(model):
        model.support_vectors_.indptr[:] = 0
        model.support_vectors_.indptr[1] = 1 << 20

    def method(model):
        model.support_vectors_._swap = tuple

    def child(model):
        state = model.tree_.__getstate__()
        state["nodes"]["left_child"][0] = 1 << 20
        model.tree_.__setstate__(state)

    assert "indices must be" in damaged("sparse support vectors", far)
    assert "sparse matrix overlap" in damaged("sparse support vectors", hidden)
    assert "csr_matrix" in damaged("sparse support vectors", method)
    assert "child leads out" in damaged("tree", child)


@pytest.mark.parametrize("name", ["logistic regression", "naive Bayes", "columns", "search"])
def test_damage_anywhere_gives_an_error_of_ours_or_a_model_and_imports_nothing(name, fitted, tmp_path):
    chance = random.Random(7)
    estimator, _ = fitted[name]
    dumped = hostile_pickles.joblib_dumped(estimator)
    kinds = [
        (pickle_format, pickle.dumps(estimator, 4)),
        (pickle_format, pickle.dumps(estimator, 0)),
        (joblib_format, dumped),
    ]
    for module, whole in kinds:  # what whole files need is there before: packages, and encodings of strings
        module.load(write(tmp_path / "model.bin", whole), TRUST)
    before, ends, said = set(sys.modules), {"opened": 0, "refused": 0}, []
    for module, whole in kinds:
        for turn in range(70):
            data = bytearray(whole)
            at = chance.randrange(len(data))
            if turn % 3 == 0:
                data[at : at + 4] = chance.randbytes(4)
            elif turn % 3 == 1:
                data[at] ^= 1 << chance.randrange(8)
            else:
                del data[at : at + chance.randrange(1, 40)]
            path = write(tmp_path / "model.bin", bytes(data))
            try:
                assert module.load(path, TRUST).native is not None
                ends["opened"] += 1
            except RegistryError as error:
                ends["refused"] += 1
                said.append(str(error))
    assert set(sys.modules) == before
    assert not any("\n" in line for line in said)
    assert min(ends.values()) > 5


def test_random_bytes_and_random_opcodes_give_an_error_of_ours(tmp_path):
    chance = random.Random(11)
    opcodes = b"(.0aR]}tcb\x81\x85\x86\x87\x8c\x93\x94K\x01N\x88)hsuqdl"
    before = set(sys.modules)
    for turn in range(400):
        body = bytes(chance.choices(opcodes, k=30)) if turn % 2 else chance.randbytes(chance.randrange(1, 200))
        path = write(tmp_path / "model.bin", [b"", b"\x80\x04", b"\x78\x9c", b"BZh9"][turn % 4] + body)
        for module in (pickle_format, joblib_format):
            refused(module.load, path)
    assert set(sys.modules) == before


def test_a_table_of_a_pickled_pipeline_is_read_by_its_columns(fitted, tmp_path):
    estimator, x = fitted["columns"]
    model = pickle_format.load(write(tmp_path / "model.pkl", pickle.dumps(estimator)), TRUST)
    assert model.labels == ["gutartig 良性", "malign"]
    assert (model.predict(pd.DataFrame(x[sorted(x.columns)])) == estimator.predict(x)).all()
    probabilities = model.predict_proba(x)
    assert probabilities is not None
    assert np.allclose(probabilities, estimator.predict_proba(x))
