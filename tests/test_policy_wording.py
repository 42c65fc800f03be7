"""Rules in words: the common shapes in English and Japanese, with the values of parameters; nothing where a shape has none."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops_registry.policy.wording import outline_of, words_of
from gitops_registry.site.words import words_in

PARAMS: dict[str, Any] = {
    "min_accuracy": 0.85, "roles": ["ml_engineer", "admin"], "floors": {"regression": {"r2": 0.4}}, "max_age": "2160h", "none": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("candidate.measured.accuracy >= params.min_accuracy", "measured accuracy of the candidate is at least 0.85 (min_accuracy)"),
        ("candidate.measured['f1'] < 0.5", "measured f1 of the candidate is below 0.5"),
        ("champion == null || candidate.task == champion.task", "the champion is not known, or task of the candidate is task of the champion"),
        ("candidate.task in params.floors", "task of the candidate is one of regression (floors)"),
        ("!('license' in candidate.card.unfinished)", "“license” is none of card unfinished of the candidate"),
        ("size(model.owners) > 0", "number of owners of the model is above 0"),
        ("has(candidate.measured.f1) && !has(candidate.params.depth)", "measured f1 of the candidate is there, and params depth of the candidate is not there"),
        ("change.is_rerun || (change.is_rollback && !change.is_rerun)", "rerun of the change is true, or (rollback of the change is true, and rerun of the change is false)"),
        (
            "change.approvals.exists(a, a.kind == 'person' && a.role in params.roles)",
            "for at least one of approvals of the change: kind of it is “person”, and role of it is one of ml_engineer, admin (roles)",
        ),
        ("!candidate.card.unfinished.exists(f, f in ['license', 'contact'])", "for none of card unfinished of the candidate: it is one of “license”, “contact”"),
        ("candidate.formats.all(f, f != 'pickle')", "for each of formats of the candidate: it is not “pickle”"),
        ("now - candidate.created <= duration(params.max_age)", "the present time - created of the candidate is at most 2160h (max_age)"),
        ("variables.drop <= -0.01", "drop is at most -0.01"),
        ("model.name.startsWith('eu-')", "name of the model starts with “eu-”"),
        ("candidate.measured.r2 >= params.floors.regression.r2", "measured r2 of the candidate is at least 0.4 (floors.regression.r2)"),
        ("champion == null ? true : candidate.metrics.f1 > champion.metrics.f1", "if the champion is not known: true; otherwise metrics f1 of the candidate is above metrics f1 of the champion"),
        ("!(candidate.release == '')", "release of the candidate is not empty"),
        ("!(candidate.measured.f1 > 0.5)", "it does not hold that measured f1 of the candidate is above 0.5"),
        ("(candidate.measured.f1 + 1.0) / 2.0 > 0.5", "(measured f1 of the candidate + 1.0) / 2.0 is above 0.5"),
    ],
)  # fmt: skip
def test_a_common_shape_is_told_in_words(expression: str, told: str) -> None:
    assert words_of(expression, PARAMS, words_in("en")) == told


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("candidate.measured.accuracy >= params.min_accuracy", "候補のmeasured accuracyが0.85（min_accuracy）以上である"),
        ("!change.is_rerun && size(model.owners) > 0", "変更のrerunが偽である、かつモデルのownersの数が0を超える"),
        ("change.approvals.exists(a, a.role in params.roles)", "変更のapprovalsの少なくとも一つについて：それのroleが次のいずれかである：ml_engineer, admin（roles）"),
    ],
)  # fmt: skip
def test_a_common_shape_is_told_in_japanese(expression: str, told: str) -> None:
    assert words_of(expression, PARAMS, words_in("ja")) == told


@pytest.mark.parametrize(
    "expression",
    [
        "candidate.formats.map(f, size(f)).exists(n, n > 3)", "a &&", "", "params.nobody > 1", "candidate.params[candidate.task] > 1",
        "'a\\'b' == candidate.task", "!!change.is_rerun", "model.name.matches('x')", "unknown.thing == 1", "{'a': 1} == 1",
        "model.owners.exists(a, model.owners.exists(a, a == ''))",
    ],
)  # fmt: skip
def test_another_shape_has_no_words(expression: str) -> None:
    assert words_of(expression, PARAMS, words_in("en")) == ""


@given(st.text(alphabet="ab.()[]{}!&|<>=+-?:'\" \\0123,params", max_size=40))
def test_no_text_is_too_strange_to_be_asked_about(text: str) -> None:
    assert isinstance(words_of(text, PARAMS, words_in("en")) + outline_of(text), str)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("'accuracy ' + string(candidate.measured.accuracy) + ' is below ' + string(params.min_accuracy)", "accuracy … is below …"),
        ("'no owner'", "no owner"), ("string(1)", ""), ("'a' ? 'b' : 'c'", ""), ("&&", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_message_that_is_put_together_is_outlined(expression: str, told: str) -> None:
    assert outline_of(expression) == told


def test_each_rule_that_comes_with_the_package_says_in_words_what_must_hold() -> None:
    for file in (resources.files("gitops_registry") / "templates" / "policies").iterdir():
        for rule in yaml.safe_load(file.read_text(encoding="utf-8"))["validations"]:
            assert rule["description"], rule["id"]
