"""Every fact of the table is there in what a real registry hands in, with the type that the table says, and no other is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from builder import CREATED, FINISHED_CARD, World
from rules import ENGINE, measured, pinned

from gitops_registry import edits, paths
from gitops_registry.difference import diff
from gitops_registry.evidence import gatherer
from gitops_registry.manifest.columns import Parameter
from gitops_registry.manifest.facts import (
    Artifact,
    Code,
    Column,
    Environment,
    EvaluationData,
    Framework,
    Lineage,
    Parity,
    Signature,
    Training,
)  # fmt: skip
from gitops_registry.manifest.figures import Classes, Group, Slice
from gitops_registry.manifest.kinds import Access, Member
from gitops_registry.manifest.writing import dump
from gitops_registry.policy.engine import Case, Step
from gitops_registry.policy.report import Facts, Judgement
from gitops_registry.policy.subjects import Subject, subjects
from gitops_registry.policy.vocabulary import CONDITION_ROOTS, FACTS, ROOTS, example, problem, shown_example
from gitops_registry.reference import Reference

KNOWN = {"params": ("floor", "floors"), "variables": ("drop",)}
WHOLE: dict[str, Any] = {
    "release": "1.2.0",
    "model_type": "RandomForestClassifier",
    "framework": Framework(name="scikit-learn", version="1.9.1"),
    "params": {"n_estimators": 100, "huge": 10**30, "words": ("a", "b")},
    "evaluation": EvaluationData(dataset="holdout", rows=200, target="label", sha256="a" * 64),
    "training": Training(
        dataset="applications",
        rows=800,
        features=20,
        data_sha256="b" * 64,
        code=Code(repository="https://example.com/x.git", commit="0" * 40, dirty=False),
    ),
    "signature": Signature(
        inputs=(Column(name="age", type="long", minimum=0, categories=(1, 2)),),
        outputs=(Column(name="p", type="double", shape=(-1, 2)),),
        parameters=(Parameter(name="threshold", type="double", default=0.5),),
    ),
    "classes": Classes(labels=("no", "yes"), scores="logits"),
    "slices": (Slice(column="age", groups=(Group(value=1, rows=2, metrics={"f1": 0.5}), Group(value=None, rows=1))),),
    "environment": Environment(python="3.11.7", platform="linux-x86_64", cpu="x", gpu="y", requirements=("a==1",)),
    "lineage": Lineage(parents=("fraud@1",), run="mlflow:0a"),
}
CONVERTED = Artifact(
    name="onnx", file="model.onnx", format="onnx", size=1, md5="b" * 32, sha256="d" * 64, derived_from="model",
    parity=Parity(rows=5, agreement=1.0, max_difference=0.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(template: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A model whose two versions say everything that a version can say, measured on pinned data; 1 serves."""
    world = World(tmp_path_factory.mktemp("whole") / "world", template=template)
    model = world.model(
        "fraud", title="Fraud", description="…", owners=("risk",), tags={"domain": "payments"}, aliases={"best": 1}
    )
    model.version(**WHOLE, card=FINISHED_CARD.model_copy(update={"tags": {"a": "b"}})).version(**WHOLE)
    model.in_stage("production", 1).in_stage("staging", 2).commit()
    world.commit(pinned(world.registry.snapshot))
    for number in (1, 2):
        path = paths.version_path("fraud", number)
        version = world.registry.snapshot.known_version(Reference("fraud", number))
        world.commit({path: dump(version.model_copy(update={"artifacts": (*version.artifacts, CONVERTED)}), path)})
        world.commit(measured(world.registry.snapshot, number, accuracy=0.9, f1=1.0))
    return world


def judgement(world: World, **found: Any) -> Judgement:
    """Return a promotion of version 2, with all facts that can be found out unless others are handed in."""
    place = world.registry.place
    before = place.snapshot("main")
    after = before.with_edits(edits.promote(before, Reference("fraud", 2), "production"))
    changed = after.changed_paths()
    changes = diff(before, after, changed)
    facts = replace(gatherer(place, place.commit("main"))(after, changes), actor="ann", approvals=("bob", "bot"))
    members = (Member(name="ann", role="ml_engineer"), Member(name="bob", role="admin"), Member(name="bot", role="ml_engineer", kind="service"))  # fmt: skip
    return Judgement(
        before, after, changes, changed, replace(facts, **found), before.constitution, Access(members=members), ("fraud",),
        (Reference("fraud", 2),),
    )  # fmt: skip


def subject(world: World, **found: Any) -> Subject:
    return next(one for one in subjects(judgement(world, **found)) if one.stage == "production")


def values(facts: Any, path: str) -> Iterator[Any]:
    """Yield what is at a path of the table; nothing below what is null or an empty list."""
    here = [facts]
    for step in path.split("."):
        if step == "[]":
            here = [item for one in here for item in one]
        else:
            here = [one[step] for one in here if one is not None]
    yield from here


def is_of(value: Any, kind: str) -> bool:
    """Whether a value has a type of the table."""
    kind, is_optional = kind.removesuffix(" | null"), kind.endswith(" | null")
    if value is None:
        return is_optional
    if match := re.fullmatch(r"list\((.*)\)", kind):
        return isinstance(value, list) and all(is_of(item, match[1]) for item in value)
    if match := re.fullmatch(r"map\(string, (.*)\)", kind):
        return isinstance(value, dict) and all(
            isinstance(key, str) and is_of(item, match[1]) for key, item in value.items()
        )
    if kind == "timestamp":
        return isinstance(value, datetime) and value.tzinfo is not None
    plain = {"string": str, "int": int, "double": float, "bool": bool, "record": dict, "dyn": object}[kind]
    return isinstance(value, plain) and (plain is not int or not isinstance(value, bool))


def test_every_fact_is_there_in_a_real_registry_and_of_its_type(whole: World) -> None:
    facts = subject(whole).facts
    found = {fact.path: list(values(facts, fact.path)) for fact in FACTS}
    assert [path for path, there in found.items() if not there] == []
    assert [fact.path for fact in FACTS for value in found[fact.path] if not is_of(value, fact.type)] == []


def test_facts_that_may_be_null_are_null_where_a_version_says_nothing(court: World) -> None:
    place = court.registry.place
    before = place.snapshot("main")
    after = before.with_edits(edits.promote(before, Reference("fraud", 3), "production"))
    changes = diff(before, after, after.changed_paths())
    plain = Judgement(before, after, changes, (), Facts(history={}), before.constitution, None, ("fraud",))
    facts = next(one for one in subjects(plain) if one.stage == "production").facts
    for fact in FACTS:
        if not fact.gathered and not fact.path.startswith("champion"):
            assert all(is_of(value, fact.type) for value in values(facts, fact.path)), fact.path
    assert facts["champion"] is None
    assert facts["candidate"]["environment"] is None


def test_nothing_else_is_handed_in_than_what_the_table_names_and_digests(whole: World) -> None:
    found = subject(whole).facts

    def walk(value: Any, path: str) -> Iterator[str]:
        kind = next((fact.type for fact in FACTS if fact.path == path), "record").removesuffix(" | null")
        if isinstance(value, Mapping) and kind == "record":
            for key, inner in value.items():
                yield from walk(inner, f"{path}.{key}".lstrip("."))
        elif isinstance(value, list) and kind == "list(record)":
            for item in value:
                yield from walk(item, f"{path}.[]")
        elif path not in {fact.path for fact in FACTS}:
            yield path

    assert {path.rpartition(".")[2] for path in walk(found, "")} <= {"md5", "size"}


def test_the_examples_have_their_types_and_are_what_tests_start_from() -> None:
    start = example()
    for fact in FACTS:
        if fact.example is not ...:
            assert is_of(fact.example, fact.type), fact.path
        for value in values(start, fact.path):
            assert is_of(value, fact.type), fact.path
        assert "\n" not in shown_example(fact)
        assert len(shown_example(fact)) <= 70
        assert fact.meaning
    assert set(start) == set(ROOTS) - {"params", "variables"}
    assert example() == start
    start["candidate"]["metrics"]["accuracy"] = 0.0
    assert example()["candidate"]["metrics"]["accuracy"] == 0.95


def test_the_engine_reads_every_fact_with_the_type_of_the_table(whole: World) -> None:
    wanted = [fact for fact in FACTS if "[]" not in fact.path]
    cases = [Case(side, {}, (Step(at),)) for side in (0, 1) for at in range(len(wanted))]
    run = ENGINE.run([fact.path for fact in wanted], [example(), subject(whole).facts], cases)
    assert run.troubles == {}
    for fact, (answer,) in zip([*wanted, *wanted], run.answers, strict=True):
        kind = fact.type.removesuffix(" | null")
        names = {"record": "map", "dyn": answer.type}.get(kind, re.sub(r"\(.*", "", kind))
        assert answer.type.partition("<")[0] in {names, "null" if fact.type.endswith("null") else names}, fact.path


# ── facts that somebody must find out


@pytest.mark.parametrize(
    ("found", "absent"),
    [
        ({"history": None}, {"champion", "change.is_rollback"}),
        ({"actor": None}, {"change.actor"}),
        ({"approvals": None}, {"change.approvals"}),
        ({"now": None}, {"now"}),
    ],
)
def test_what_nobody_found_out_is_absent_and_said_to_be(whole: World, found: dict[str, None], absent: set[str]) -> None:
    one = subject(whole, **found)
    (source,) = found
    assert one.missing == {source}
    for fact in FACTS:
        if fact.gathered == source:
            with pytest.raises(KeyError):
                list(values(one.facts, fact.path))
        else:
            assert list(values(one.facts, fact.path))
    assert absent <= {fact.path for fact in FACTS if fact.gathered == source}


def test_metrics_that_count_are_the_worst_that_was_recorded_on_the_pinned_data(whole: World) -> None:
    before = whole.registry.snapshot
    worse = before.with_edits(measured(before, 2, rows=300, accuracy=0.7, log_loss=0.9))
    whole_judgement = judgement(whole)
    said = [replace(whole_judgement, before=side) for side in (before, worse)]
    first, second = (next(one for one in subjects(j) if one.stage == "production").facts["candidate"] for j in said)
    assert (first["measured"], first["measured_on"], first["measured_rows"]) == (
        {"accuracy": 0.9, "f1": 1.0},
        "pinned",
        500,
    )
    assert (second["measured"], second["measured_rows"]) == ({"accuracy": 0.7, "f1": 1.0, "log_loss": 0.9}, 300)
    assert first["measured_at"] == CREATED.astimezone(UTC)


# ── names that are none


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("candidate.metrixs.f1", "candidate has no 'metrixs'; did you mean 'metrics'?"),
        ("candidate.card.licence", "candidate.card has no 'licence'; did you mean 'license'?"),
        ("champion.measurd", "champion has no 'measurd'; did you mean 'measured'?"),
        ("model.owner", "model has no 'owner'; did you mean 'owners'?"),
        ("change.approvals.role", "change.approvals is a list; its items are read with exists(), all() or [0]"),
        ("change.approvals.[].rolle", "change.approvals[] has no 'rolle'; did you mean 'role'?"),
        (
            "candidate.artifacts.[].parity.agrement",
            "candidate.artifacts[].parity has no 'agrement'; did you mean 'agreement'?",
        ),
        ("candidate.stage.name", "candidate.stage is of type string and has no 'name'"),
        ("candidate.formats.first", "candidate.formats is a list; its items are read with exists(), all() or [0]"),
        ("candidate.*", "candidate is read by a key that is only known later; name the field"),
        ("params.flor", "params has no 'flor'; did you mean 'floor'?"),
        ("variables.gap", "variables has no 'gap'; it has drop"),
        (
            "registry.zzz",
            "registry has no 'zzz'; it has name, approvals, direct, language, stages, trusted_types, trusted_formats",
        ),
    ],
)
def test_a_fact_that_is_none_is_said_with_the_nearest_that_is(path: str, message: str) -> None:
    assert problem(tuple(path.split(".")), KNOWN) == message


@pytest.mark.parametrize(
    "path",
    ["candidate.metrics.anything", "candidate.params.a.b", "model.tags.*", "params.floors.x", "params.*", "now", "candidate",
     "candidate.artifacts.[].parity.rows", "candidate.artifacts.*.name", "model.stages.production.[]", "change.actor.role"],
)  # fmt: skip
def test_a_fact_that_there_is_or_may_be_is_no_problem(path: str) -> None:
    assert problem(tuple(path.split(".")), KNOWN) == ""


def test_conditions_see_nothing_that_the_author_of_a_change_wrote(whole: World) -> None:
    assert {"candidate", "champion", "variables"}.isdisjoint(CONDITION_ROOTS)
    assert set(subject(whole).base) == set(CONDITION_ROOTS) - {"params"}
