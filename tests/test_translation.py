"""What another registry says becomes valid manifests of ours, whatever it says: names, numbers, stages, facts and words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_registry.foreign import (
    ForeignModel,
    ForeignRun,
    ForeignVersion,
    following,
    our_name,
    our_names,
    our_stages,
    stops,
    their_name,
)
from gitops_registry.manifest import Card, Constitution, Model, Version, dump, parse
from gitops_registry.manifest.facts import Artifact
from gitops_registry.manifest.kinds import DEFAULT_STAGES, Stage
from gitops_registry.paths import name_problem
from gitops_registry.translation import Described, our_aliases, our_model, our_version

LAW = Constitution(stages=DEFAULT_STAGES)
ARTIFACT = Artifact(
    name="model", file="model", format="mlflow", size=1, files=1, md5="0" * 32 + ".dir", sha256="0" * 64
)
WHEN = datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=UTC)

anything = st.text(max_size=40) | st.sampled_from(
    ["_", "_x", "_x_", "m_x_", "_x41_", "..", ".lock", "templates", "Templates"]
)
tricky = st.lists(
    st.sampled_from(["_", "x", "_x", "_x_", "x41_", "41", "m", "m_x_", ".", "-", "é", "A", " ", ".lock"]), max_size=8
).map("".join)


# ── names


@given(anything | tricky)
def test_every_name_gets_one_that_fits_and_can_be_read_back(name: str) -> None:
    ours = our_name(name)
    assert name_problem(ours) == ""
    assert their_name(ours) == name or len(ours) > 100
    assert name_problem(our_name(name, twin=True)) == ""


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("fraud", "fraud"),
        ("max_xgb", "max_xgb"),
        ("my model/v2", "my_x20_model_x2F_v2"),
        ("../../x", "m_x_._x2E__x2F_._x2E__x2F_x"),
        ("templates", "m_x_templates"),
        ("a_x41_b", "a_x5F_x41_b"),
        ("", "m_x_"),
    ],
)
def test_names_stay_as_they_are_or_become_readable(theirs: str, ours: str) -> None:
    assert our_name(theirs) == ours
    assert their_name(ours) == theirs


@given(st.lists(anything | tricky | st.text(alphabet="aA", max_size=3), unique=True, max_size=12))
def test_no_two_names_differ_only_in_case_and_the_oldest_keeps_the_plain_one(names: list[str]) -> None:
    models = [ForeignModel(name, created=datetime.fromtimestamp(n, UTC)) for n, name in enumerate(names)]
    found = our_names(models)
    assert len({name.lower() for name in found.values()}) == len(names)
    assert all(their_name(ours) == theirs for theirs, ours in found.items() if len(ours) <= 100)
    assert not names or found[names[0]] == our_name(names[0])
    assert our_names(models[:-1]) == {name: found[name] for name in names[:-1]}, "a younger model renames nobody"


def test_twins_of_a_reserved_name_get_names_of_their_own() -> None:
    found = our_names([ForeignModel("TEMPLATES"), ForeignModel("templates"), ForeignModel("Templates")])
    assert found == {
        "TEMPLATES": "m_x_TEMPLATES",
        "templates": "m_x__x_templates",
        "Templates": "m_x__x__x54_emplates",
    }


def test_names_too_long_are_cut_and_stay_different() -> None:
    one, other = our_name("信" * 200 + "1"), our_name("信" * 200 + "2")
    assert one != other
    assert name_problem(one) == name_problem(other) == ""


# ── numbers and stages


@given(
    st.dictionaries(st.integers(1, 30), st.sampled_from(["None", "Staging", "PRODUCTION", "Archived", "Lab", ""])),
    st.booleans(),
)
def test_every_version_gets_a_stage_of_ours_and_exclusive_ones_hold_the_newest(
    held: dict[int, str], is_odd: bool
) -> None:
    law = LAW
    if is_odd:  # the stage that the replaced go to is exclusive itself
        law = Constitution(
            stages=(
                Stage(name="first"),
                Stage(name="production", exclusive=True),
                Stage(name="archived", exclusive=True),
            )
        )
    stages, notes = our_stages(law, held)
    assert set(stages) == set(held)
    for stage in law.stages:
        holders = [number for number, name in stages.items() if name == stage.name]
        assert not stage.exclusive or len(holders) <= 1
    wanted = [number for number, name in held.items() if name == "PRODUCTION"]
    assert not wanted or stages[max(wanted)] == "production"
    assert all(number in notes for number in wanted if number != max(wanted))
    assert all(number in notes for number, name in held.items() if name == "Lab")


def test_a_version_that_is_to_serve_waits_where_it_can_serve_from() -> None:
    assert stops(LAW, "production") == ("staging", "development")
    assert stops(LAW, "archived") == ("archived", "development")
    assert stops(LAW, "development") == ("development",)


def test_numbers_that_are_gone_come_with_the_version_before_them() -> None:
    assert following(4, (1, 5, 6, 8)) == (5, 6)
    assert following(4, ()) == ()
    assert len(following(1, tuple(range(2, 200_000)))) == 10_000


@given(
    st.dictionaries(
        anything | st.sampled_from(["champion", "Champion", "latest", "v3", "7", "Staging", "a b"]), st.integers(1, 9)
    )
)
def test_aliases_that_fit_are_taken_and_the_others_named(aliases: dict[str, int]) -> None:
    model = ForeignModel("m", aliases=aliases)
    found, notes = our_aliases(LAW, model, {"champion": 1})
    assert len(found) + len(notes) + sum(a.lower() == "champion" and n == 1 for a, n in aliases.items()) >= len(aliases)
    assert not any(alias.lower() == "champion" for alias in found), "what is here stays"
    Model(name="m", aliases={**found, "champion": 1})
    assert all(LAW.stage(alias) is None for alias in found)


# ── facts and words

odd_text = st.text(max_size=60) | st.sampled_from(
    ["\x00\x1b[2J", "\u202eabc", "a" * 300_000, "line\r\nline", " ", "=1+1"]
)
texts = st.dictionaries(odd_text, odd_text, max_size=5)
plain_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
column = st.fixed_dictionaries(
    {"type": st.sampled_from(["double", "tensor", "object", 7])},
    optional={
        "name": plain_values,
        "required": plain_values,
        "tensor-spec": st.just({"dtype": "float64", "shape": [-1, 2]}) | plain_values,
    },
)
signature = st.fixed_dictionaries({"inputs": (st.lists(column, max_size=3).map(json.dumps)) | plain_values})
mlmodel = st.fixed_dictionaries(
    {}, optional={"flavors": st.dictionaries(st.sampled_from(["sklearn", "python_function", "x\x1b"]), plain_values) | plain_values, "signature": signature | plain_values}
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(texts, texts, st.dictionaries(odd_text, st.floats(), max_size=5), odd_text, odd_text, mlmodel)
def test_whatever_was_recorded_the_result_is_a_manifest_that_reads_back(
    tags: dict[str, str],
    params: dict[str, str],
    metrics: dict[str, float],
    words: str,
    user: str,
    said: Mapping[str, Any],
) -> None:
    run = ForeignRun(user, params, metrics, tags)
    theirs = ForeignVersion("m", 3, WHEN, user, words, tags, "None", words, "")
    found = our_version(theirs, run, Described(said), ("Alice", "alice@example.com"))
    version = Version(**found.facts, artifacts=(ARTIFACT,))
    path = "models/m/versions/3/version.yaml"
    assert parse(dump(version, path), path, Version).document == version
    card = "models/m/versions/3/card.yaml"
    assert parse(dump(found.card, card), card, Card).document == found.card
    assert set(version.claimed) == set(version.metrics), "nothing was measured here"
    lost = (
        (set(metrics) - set(version.metrics)) | (set(params) - set(version.params)) | (set(tags) - set(found.card.tags))
    )
    assert not lost or any("left out" in note for note in found.notes)
    assert all(math.isfinite(value) for value in version.metrics.values())
    fields, notes = our_model(ForeignModel("m\x1b", WHEN, words, tags), "m_x1B_")
    model = Model(name="m_x1B_", **fields)
    assert parse(dump(model, "models/m/model.yaml"), "models/m/model.yaml", Model).document == model
    assert notes


def test_parameters_become_numbers_only_where_they_read_back_the_same() -> None:
    told = {
        "a": "100",
        "b": "0.1",
        "c": "1e-05",
        "d": "007",
        "e": "1e5",
        "f": "True",
        "g": "None",
        "h": "nan",
        "i": "-0",
        "j": "[1]",
    }
    found = our_version(ForeignVersion("m", 1), ForeignRun(params=told), Described({}), ("Alice", ""))
    assert found.facts["params"] == {
        "a": 100, "b": 0.1, "c": 1e-05, "d": "007", "e": "1e5", "f": True, "g": None, "h": "nan", "i": "-0", "j": "[1]",
    }  # fmt: skip
    assert {type(value) for value in found.facts["params"].values()} == {int, float, str, bool, type(None)}


def test_a_pickle_is_named() -> None:
    said = {"flavors": {"python_function": {"model_path": "model.pkl"}, "sklearn": {"pickled_model": "model.pkl"}}}
    found = our_version(ForeignVersion("m", 1), ForeignRun(), Described(said), ("Alice", ""))
    assert found.notes == ("'model.pkl' is a pickle, which nothing here opens",)


def test_ten_thousand_params_are_kept_as_far_as_a_manifest_takes_them() -> None:
    run = ForeignRun(params={f"layer.{n}": "x" * 100 for n in range(10_000)})
    found = our_version(ForeignVersion("m", 1), run, Described({}), ("Alice", ""))
    assert 1_000 < len(found.facts["params"]) < 10_000
    assert "and" in found.notes[0]
    assert "more" in found.notes[0]


def test_a_signature_with_one_strange_type_is_left_out_and_said() -> None:
    good = {"type": "double", "name": "a"}
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}
    found = our_version(
        ForeignVersion("m", 1),
        ForeignRun(),
        Described({"signature": {"inputs": json.dumps([good]), "outputs": json.dumps([tensor])}}),
        ("A", ""),
    )
    columns = found.facts["signature"]
    assert [(c.name, c.type, c.shape) for c in (*columns.inputs, *columns.outputs)] == [
        ("a", "double", None),
        ("output", "float", (-1, 3)),
    ]
    strange = {"signature": {"inputs": json.dumps([good, {"type": "map", "name": "b"}])}}
    found = our_version(ForeignVersion("m", 1), ForeignRun(), Described(strange), ("A", ""))
    assert "signature" not in found.facts
    assert "the signature was left out" in found.notes[0]
