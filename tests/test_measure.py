import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.manifest.facts import ConfusionMatrix
from gitops_registry.measure import Measured, measure, read_table, split_target


def near(**expected):
    return pytest.approx(expected, abs=1e-12)


def test_binary_metrics_are_the_ones_computed_by_hand():
    # tp 3, fn 1, fp 2, tn 4
    truth = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    guess = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]
    found = measure(truth, guess)
    assert found.task == "binary-classification"
    assert found.rows == 10
    assert found.metrics == near(
        accuracy=0.7, precision=3 / 5, recall=3 / 4, f1=6 / 9, false_positive_rate=2 / 6, false_negative_rate=1 / 4
    )
    assert found.confusion_matrix == ConfusionMatrix(labels=(0, 1), counts=((4, 2), (1, 3)))


def test_the_last_label_is_the_positive_one_whatever_its_name():
    found = measure(["good", "bad", "bad"], ["good", "good", "bad"], labels=["good", "bad"])
    assert found.confusion_matrix == ConfusionMatrix(labels=("good", "bad"), counts=((1, 0), (1, 1)))
    assert found.metrics["recall"] == 0.5
    assert found.metrics["precision"] == 1.0


def test_roc_auc_is_the_share_of_pairs_in_the_right_order_and_ties_count_half():
    # positives .9 .5, negatives .5 .1: pairs (.9,.5) (.9,.1) (.5,.1) right, (.5,.5) tied: 3.5 of 4
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    for given in (scores, np.column_stack([1 - scores, scores])):
        found = measure([1, 1, 0, 0], [1, 1, 1, 0], probabilities=given, labels=[0, 1])
        assert found.metrics["roc_auc"] == pytest.approx(3.5 / 4)


def test_metrics_that_are_undefined_are_left_out():
    only_negatives = measure([0, 0], [0, 0], probabilities=[[0.9, 0.1], [0.8, 0.2]], labels=[0, 1])
    assert only_negatives.metrics == near(accuracy=1.0, false_positive_rate=0.0)
    assert only_negatives.task == "binary-classification"
    never_positive = measure([0, 1], [0, 0], labels=[0, 1]).metrics
    assert "precision" not in never_positive
    assert never_positive["f1"] == 0.0


def test_multiclass_metrics_are_the_unweighted_means_computed_by_hand():
    truth = ["a", "a", "b", "b", "c", "c"]
    guess = ["a", "b", "b", "b", "c", "a"]
    found = measure(truth, guess)
    # precision a 1/2, b 2/3, c 1; recall 1/2, 1, 1/2; f1 1/2, 4/5, 2/3
    assert found.task == "multiclass-classification"
    assert found.metrics == near(
        accuracy=4 / 6,
        precision=(1 / 2 + 2 / 3 + 1) / 3,
        recall=(1 / 2 + 1 + 1 / 2) / 3,
        f1=(1 / 2 + 4 / 5 + 2 / 3) / 3,
        # against the rest: a 1 of 4 wrongly named and 1 of 2 missed, b 1 of 4 and none, c none and 1 of 2
        false_positive_rate=(1 / 4 + 1 / 4 + 0) / 3,
        false_negative_rate=(1 / 2 + 0 + 1 / 2) / 3,
    )
    assert found.confusion_matrix == ConfusionMatrix(labels=("a", "b", "c"), counts=((1, 1, 0), (0, 2, 0), (1, 0, 1)))


def test_multiclass_roc_auc_equals_scikit_learns_and_needs_every_class():
    rng = np.random.default_rng(0)
    scores = rng.dirichlet([1, 1, 1], size=60)
    truth = rng.integers(0, 3, size=60)
    found = measure(truth, scores.argmax(axis=1), probabilities=scores, labels=[0, 1, 2])
    assert found.metrics["roc_auc"] == pytest.approx(roc_auc_score(truth, scores, multi_class="ovr", average="macro"))
    assert "roc_auc" not in measure([0, 1], [0, 1], probabilities=scores[:2], labels=[0, 1, 2]).metrics


def test_regression_metrics_are_the_ones_computed_by_hand():
    found = measure([1.0, 2.0, 3.0, 6.0], [1.0, 3.0, 3.0, 4.0])
    # errors 0 1 0 2; SSE 5; mean 3, SST 4 + 1 + 0 + 9
    assert found == Measured("regression", near(mae=0.75, rmse=math.sqrt(5 / 4), r2=1 - 5 / 14), None, 4)


def test_r2_of_a_truth_that_does_not_vary_is_left_out():
    assert measure([2.0, 2.0], [2.0, 3.0]).metrics == near(mae=0.5, rmse=math.sqrt(0.5))
    assert "r2" not in measure([2.0], [2.0]).metrics


def test_whole_numbers_are_measured_as_a_regression_when_the_task_says_so():
    assert measure([1, 2, 3], [1, 2, 4], task="regression").metrics["mae"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "labels", [[0, 1], [False, True], ["no", "yes"], [0.0, 1.0]], ids=["int", "bool", "str", "float"]
)
def test_labels_of_every_type_give_the_same_numbers_and_keep_their_type(labels):
    truth = pd.Series([labels[i] for i in (0, 1, 1, 0)])
    guess = np.array([labels[i] for i in (0, 1, 0, 0)])
    found = measure(truth, guess, labels=labels)
    assert found.metrics["accuracy"] == 0.75
    assert found.confusion_matrix is not None
    assert [type(label) for label in found.confusion_matrix.labels] == [type(label) for label in labels]


def test_a_target_of_zero_and_one_measures_a_model_of_true_and_false():
    found = measure([0, 1, 1], np.array([False, True, False]), labels=[False, True])
    assert found.metrics["accuracy"] == pytest.approx(2 / 3)


def test_every_metric_is_a_finite_plain_float():
    found = measure(np.array([0, 1]), np.array([0, 1]), probabilities=np.eye(2, dtype="float32"))
    assert all(type(value) is float and math.isfinite(value) for value in found.metrics.values())
    assert "roc_auc" in found.metrics


def test_a_class_the_model_does_not_know_extends_the_matrix_of_many_classes():
    found = measure(["a", "b", "c", "d"], ["a", "b", "c", "a"], labels=["c", "b", "a"])
    assert found.confusion_matrix is not None
    assert found.confusion_matrix.labels == ("c", "b", "a", "d")


@pytest.mark.parametrize(
    ("truth", "guess", "more", "message"),
    [
        ([1, 0], [1], {}, "2 true values but 1 predictions"),
        ([1.0, np.nan], [1.0, 2.0], {}, "the target has a missing value"),
        ([1.0, 2.0], [1.0, np.nan], {}, "the prediction has a missing value"),
        (["a", None], ["a", "a"], {}, "the target has a missing value"),
        ([], [], {}, "no rows"),
        (["0", "1"], [0, 1], {"labels": [0, 1]}, "no value of the target is one of the model's labels"),
        ([0, 1, 2], [0, 1, 1], {"task": "binary-classification", "labels": [0, 1]}, "3 classes"),
        (["a", "b"], [1.0, 2.0], {"task": "regression"}, "needs numbers"),
        ([1.0, np.inf], [1.0, 2.0], {}, "infinite"),
        ([[1, 2], [3, 4]], [1, 2], {}, "must be one column"),
        ([0, 1], [0, 1], {"probabilities": [[0.5, np.nan], [0.5, 0.5]]}, "probabilities"),
        ([0, 1], [0, 1], {"probabilities": [[0.2, 0.3, 0.5]] * 2}, "probabilities"),
        (list(range(2000)), list(range(2000)), {}, "too many for classes"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(truth, guess, more, message):
    with pytest.raises(RegistryError, match=message) as caught:
        measure(truth, guess, **more)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_csv_is_read_with_its_types_and_its_japanese(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("age,名前,label\n30,山田,1\n40,,0\n", encoding="utf-8-sig")
    table = read_table(path)
    assert list(table.columns) == ["age", "名前", "label"]
    assert table["age"].tolist() == [30, 40]
    assert table["名前"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty"),
        ("header.csv", b"a,b\n", "no rows"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "not a CSV table"),
        ("shifted.csv", b"a,b\n1,2,3\n4,5,6\n", "more fields than the header"),
        ("quote.csv", b'a,b\n"1,2\n', "not a CSV table"),
        ("latin.csv", "a\ncafé\n".encode("latin-1"), "not UTF-8"),
        ("binary.csv", bytes(range(256)), "not"),
        ("twice.csv", b"a,a\n1,2\n", "two columns named 'a'"),
        ("data.txt", b"a\n1\n", "no table the registry reads"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RegistryError, match=message) as caught:
        read_table(path)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(NotFound, match="no file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(RegistryError, match="folder"):
        read_table(tmp_path)


def test_a_file_that_is_not_parquet_is_an_error_with_a_hint(tmp_path):
    path = tmp_path / "data.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(RegistryError, match="parquet") as caught:
        read_table(path)
    assert caught.value.hint


def test_the_target_is_split_from_the_rest():
    rest, y = split_target(pd.DataFrame({"a": [1], "label": [0], "b": [2]}), "label")
    assert list(rest.columns) == ["a", "b"]
    assert y.tolist() == [0]


def test_an_unknown_target_names_the_closest_column_and_the_others():
    with pytest.raises(NotFound, match="'lable'") as caught:
        split_target(pd.DataFrame({"a": [1], "label": [0]}), "lable")
    assert "did you mean 'label'?" in caught.value.hint
    assert "a, label" in caught.value.hint


def test_a_parquet_table_is_read_with_its_types(tmp_path):
    table = pd.DataFrame({"年齢": [1, 2], "ok": [True, False], "name": ["a", None]})
    table.to_parquet(tmp_path / "rows.parquet")
    read = read_table(tmp_path / "rows.parquet")
    assert list(read.columns) == ["年齢", "ok", "name"]
    assert read["年齢"].tolist() == [1, 2]
    assert read["ok"].tolist() == [True, False]


@pytest.mark.parametrize(("text", "sign"), [("a;b\n1;2\n", "';'"), ("a\tb\n1\t2\n", "tabs"), ("a|b\n1|2\n", "'|'")])
def test_a_table_with_another_separator_is_told_by_it(tmp_path, text, sign):
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(RegistryError, match="separates its columns by") as caught:
        read_table(tmp_path / "rows.csv")
    assert sign in caught.value.message
    assert caught.value.hint == "save it with commas"
