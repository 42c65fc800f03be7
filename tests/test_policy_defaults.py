"""The policies that a registry starts with: each rule has its tests, refuses what it should, and how firmly who asks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builder import CREATED, World
from rules import Files, came, measured, pinned, said, weighed

from gitops_registry import edits, governing, paths
from gitops_registry.card.words import PROSE, unfinished
from gitops_registry.manifest.facts import Artifact, Environment, Parity, Training
from gitops_registry.manifest.kinds import Card
from gitops_registry.manifest.writing import dump
from gitops_registry.policy.report import DECISION, Report
from gitops_registry.policy.rulebook import rulebook
from gitops_registry.reference import Reference
from gitops_registry.shipped import new_policy, policies
from gitops_registry.snapshot import Content, Snapshot
from gitops_registry.starting import Start, init

HOLDOUT = b"score,label\n1,1\n"
NOW = CREATED + timedelta(days=2)
CANDIDATE = Reference("fraud", 2)
CARD = Card(
    description="Says whether a payment is fraud.",
    intended_use="Support for a person who decides.",
    out_of_scope="Payments of companies.",
    limitations="Few payments from abroad were in the data.",
    training_data="Payments of 2025, without refunds.",
    ethical_considerations="No personal data are inputs.",
    license="Apache-2.0",
    contact="risk-team@example.com",
)


def artifact(name: str, number: int) -> Artifact:
    """Return the artifact that the builder's bytes would be, had they been an estimator."""
    content = f"{name} {number}\n".encode() * 20
    md5, sha256 = hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()
    return Artifact(name="model", file="model.skops", format="skops", size=len(content), md5=md5, sha256=sha256)


def started(root: Path, *, team: bool) -> World:
    """A registry as `init` makes it: fraud 1 serves, 2 waits in staging, both with all their papers."""
    world = World.__new__(World)
    world.root = root
    init(root, Start(name="world", team=team))
    model = world.model("fraud", owners=("risk-team",), title="Fraud")
    for number in (1, 2):
        model.version(
            card=CARD, artifacts=(artifact("fraud", number),), training=Training(dataset="payments-2025", rows=800),
            environment=Environment(python="3.11.7", platform="linux-x86_64", requirements=("scikit-learn==1.9.1",)),
        )  # fmt: skip
    model.in_stage("production", 1).in_stage("staging", 2).commit()
    world.commit(pinned(world.registry.snapshot, content=HOLDOUT))
    for number, accuracy in ((1, 0.95), (2, 0.96)):
        world.commit(measured(world.registry.snapshot, number, accuracy=accuracy))
    return world


@pytest.fixture(scope="module")
def team(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return started(tmp_path_factory.mktemp("team") / "world", team=True)


@pytest.fixture(scope="module")
def alone(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return started(tmp_path_factory.mktemp("alone") / "world", team=False)


def judged(world: World, on: Files | None = None, **facts: Any) -> Report:
    """Return what is said of promoting the candidate, with the approval that a team asks for."""
    before = world.registry.place.snapshot("main").with_edits(on or {})
    files = edits.promote(before, CANDIDATE, "production")
    return weighed(world, files, on=on, **{"now": NOW, "approvals": ("alice",), **facts})


def refused(report: Report) -> set[str]:
    """Return the rules that refuse at a decision."""
    return {finding.rule for finding in report.refusals(DECISION)}


# ── what each rule refuses


@dataclass(frozen=True)
class Wrong:
    """Something that is not as it should be: how the base has it, or what is found out about the change."""

    message: str
    on: Callable[[World, Snapshot], Files] = lambda world, seen: {}
    facts: tuple[tuple[str, Any], ...] = ()
    is_paperwork: bool = False
    result: str = "fail"


def version(seen: Snapshot, number: int = 2, **changed: Any) -> dict[str, Content | None]:
    """Return other facts of a version, as they could have been registered."""
    path = paths.version_path("fraud", number)
    return {path: dump(seen.known_version(Reference("fraud", number)).model_copy(update=changed), path)}


def facts(**changed: Any) -> Callable[[World, Snapshot], Files]:
    return lambda world, seen: version(seen, **changed)


def words(**changed: str) -> Callable[[World, Snapshot], Files]:
    def edit(world: World, seen: Snapshot) -> Files:
        path = paths.card_path("fraud", 2)
        return {path: dump(CARD.model_copy(update=changed), path)}

    return edit


def remeasured(**said: Any) -> Callable[[World, Snapshot], Files]:
    return lambda world, seen: measured(seen, 2, **said)


def uncounted(world: World, seen: Snapshot) -> Files:
    there: dict[str, Content | None] = dict.fromkeys(seen.files("models/fraud/versions/2/evaluations"))
    return {**there, **measured(seen, 2, accuracy=0.96, rows=None)}


def unpinned(world: World, seen: Snapshot) -> Files:
    return edits.set_evaluation(seen, "fraud", None)


def trusting(world: World, seen: Snapshot) -> Files:
    law = seen.read("registry.yaml") or b""
    return {
        "registry.yaml": law.replace(b"trusted_types: []", b"trusted_types: [mine.Encoder]")
        if b"trusted_types" in law
        else law + b"trusted_types: [mine.Encoder]\n"
    }


def other_format(name: str) -> Callable[[World, Snapshot], Files]:
    return facts(artifacts=(artifact("fraud", 2).model_copy(update={"format": name}),))


CONVERTED = Artifact(
    name="onnx", file="model.onnx", format="onnx", size=1, md5="a" * 32, sha256="b" * 64, derived_from="model",
    parity=Parity(rows=100, agreement=0.9, max_difference=0.4),
)  # fmt: skip
SAME = hashlib.sha256(HOLDOUT).hexdigest()
WRONG: dict[str, list[Wrong]] = {
    "production-artifacts/safe-formats": [
        Wrong(f"{name} may run code when it is loaded", other_format(name)) for name in ("pickle", "joblib", "mlflow", "folder", "bytes")
    ],
    "production-artifacts/reviewed-types": [Wrong("registry.yaml trusts types that nobody reviewed: mine.Encoder", trusting)],
    "production-artifacts/faithful-conversion": [
        Wrong("a converted file predicts otherwise than the original", facts(artifacts=(artifact("fraud", 2), CONVERTED)))
    ],
    "production-artifacts/environment": [
        Wrong("nothing says in which environment it was made", facts(environment=None), is_paperwork=True),
        Wrong("nothing says in which environment it was made", facts(environment=Environment(python="3.11", platform="x")), is_paperwork=True),
    ],
    "production-documentation/owners": [
        Wrong("nobody is named who answers for the model", lambda world, seen: edits.describe_model(seen, "fraud", tags={}, owners=()),
              is_paperwork=True),
    ],
    "production-documentation/complete-card": [
        Wrong(f"its card says nothing yet under {field}", words(**{field: ""}), is_paperwork=True)
        for field in ("description", "intended_use", "out_of_scope", "limitations", "training_data", "ethical_considerations")
    ],
    "production-documentation/plain-words": [
        Wrong("the description, the intended use or the limitations are too short", words(description="Classifier"), is_paperwork=True)
    ],
    "production-documentation/licence": [
        Wrong("its card names no licence", words(license=text), is_paperwork=True) for text in ("", "TBD", "n/a")
    ],
    "production-documentation/training-data": [
        Wrong("nothing says what it was trained on", facts(training=None), is_paperwork=True),
        Wrong("nothing says what it was trained on", facts(training=Training(rows=800)), is_paperwork=True),
    ],
    "production-evidence/held-out": [
        Wrong("it was measured on rows that its author chose", unpinned, is_paperwork=True),
    ],
    "production-evidence/not-the-training-data": [
        Wrong("it was trained on the data that it is measured on", facts(training=Training(dataset="x", data_sha256=SAME)))
    ],
    "production-evidence/enough-rows": [
        Wrong("it was measured on 12 rows, and 100 are asked for", remeasured(accuracy=0.96, rows=12), is_paperwork=True),
        Wrong("it was measured on nobody knows how many rows", uncounted, is_paperwork=True),
    ],
    "production-evidence/recent": [
        Wrong("it was measured on 2026-11-22, more than 2160h ago", facts=(("now", NOW + timedelta(days=91)),), is_paperwork=True)
    ],
    "production-four-eyes/second-person": [
        Wrong("nobody approved it who is a person with the role ml_engineer or admin", facts=(("approvals", ("mallory",)),)),
        Wrong("nobody verified any approvals", facts=(("approvals", None),), result="not-checked"),
    ],
    "production-metrics/known-task": [Wrong("nothing says what a model for other must reach", facts(task="other"))],
    "production-metrics/metric-floors": [
        Wrong("accuracy 0.5000 is below 0.9000", remeasured(accuracy=0.5)),
        Wrong("cannot be worked out: candidate.measured has no 'r2'", facts(task="regression"), result="error"),
    ],
    "production-metrics/same-task": [
        Wrong("it is for regression, and the champion for binary-classification", facts(task="regression"))
    ],
    "production-metrics/no-regression": [
        Wrong("worse than champion 1: accuracy 0.9300 after 0.9500", remeasured(accuracy=0.93))
    ],
    "production-path/stages-in-order": [
        Wrong("it comes from development, and never was in production", lambda world, seen: edits.moved(seen, "fraud", {2: "development"})),
        Wrong("it comes from archived, and never was in production", lambda world, seen: edits.moved(seen, "fraud", {2: "archived"})),
    ],
}  # fmt: skip
CASES = [pytest.param(rule, case, id=f"{rule}-{at}") for rule, cases in WRONG.items() for at, case in enumerate(cases)]


def test_a_version_with_all_its_papers_passes_everything(team: World, alone: World) -> None:
    for world in (team, alone):
        report = judged(world)
        assert set(came(report).values()) == {"pass"}
        assert refused(report) == set()
        assert [f for f in report.findings if f.rule.startswith("production-")] == []


@pytest.mark.parametrize(("rule", "wrong"), CASES)
def test_each_rule_refuses_what_it_should_in_a_teams_registry(team: World, rule: str, wrong: Wrong) -> None:
    report = judged(team, wrong.on(team, team.registry.place.snapshot("main")), **dict(wrong.facts))
    assert came(report)[rule] == wrong.result
    assert rule in refused(report)
    assert wrong.message in said(report, rule).message
    assert said(report, rule).hint


@pytest.mark.parametrize(
    ("rule", "wrong"), [case for case in CASES if str(case.id).endswith("-0") and "four-eyes" not in str(case.id)]
)
def test_each_rule_warns_or_refuses_in_the_registry_of_one_person(alone: World, rule: str, wrong: Wrong) -> None:
    report = judged(
        alone, wrong.on(alone, alone.registry.place.snapshot("main")), **{"approvals": None, **dict(wrong.facts)}
    )
    assert came(report)[rule] == wrong.result
    assert (rule in refused(report)) != wrong.is_paperwork
    assert said(report, rule).result == ("warning" if wrong.is_paperwork else "error")
    assert wrong.message in said(report, rule).message


def test_every_default_rule_is_tried_here(team: World, alone: World) -> None:
    def rules(world: World) -> set[str]:
        return {
            f"{sheet.name}/{rule.id}"
            for sheet in rulebook(world.registry.snapshot).sheets
            for rule in sheet.policy.validations
        }

    assert rules(team) == set(WRONG)
    assert rules(team) - rules(alone) == {"production-four-eyes/second-person"}


@pytest.mark.parametrize(
    "text",
    ["TODO", "todo: write this", "TODO write this", "FIXME (alice)", "To do", "placeholder", "TBD.", "[More Information Needed]", "N/A", "lorem ipsum dolor", "xxx", "...", "—", "Coming soon", "to be written",
     "未定", "記入してください", "ここに説明を記入", "準備中", "待定", "待填写", "暂无", "미정", "작성 예정", "à compléter", "À définir", "por completar", "Pendiente",
     "zu ergänzen", "Keine Angabe", "da completare", "a preencher", "nog in te vullen", "не указано", "Заполнить"],
)  # fmt: skip
def test_a_placeholder_in_any_language_says_nothing(text: str) -> None:
    assert unfinished(CARD.model_copy(update={"limitations": text}), PROSE) == ["limitations"]


@pytest.mark.parametrize("text", ["TODO", "記入してください", "zu ergänzen", "—"])
def test_a_card_of_placeholders_is_refused(team: World, text: str) -> None:
    report = judged(team, words(limitations=text)(team, team.registry.place.snapshot("main")))
    assert came(report)["production-documentation/complete-card"] == "fail"
    assert (
        "its card says nothing yet under limitations" in said(report, "production-documentation/complete-card").message
    )


@pytest.mark.parametrize(
    "text",
    ["None of the payments came from abroad.", "To do justice to small shops, look at the slices.", "海外の決済は学習データに含まれていません。",
     "数据中没有来自国外的付款，结果仅供参考。", "Aucune donnée de l'étranger n'était disponible.", "해외 결제는 데이터에 거의 없었습니다."],
)  # fmt: skip
def test_words_in_any_language_are_words(team: World, text: str) -> None:
    assert unfinished(CARD.model_copy(update={"limitations": text}), PROSE) == []
    report = judged(team, words(limitations=text)(team, team.registry.place.snapshot("main")))
    documentation = {
        rule: result for rule, result in came(report).items() if rule.startswith("production-documentation/")
    }
    assert set(documentation.values()) == {"pass"}


# ── rollbacks


def test_a_rollback_is_exempt_from_what_is_about_numbers_and_from_nothing_else(team: World) -> None:
    branch = team.branch(dict(edits.promote(team.registry.place.snapshot("main"), CANDIDATE, "production")))
    before = team.registry.place.snapshot(branch)
    back = edits.promote(before, Reference("fraud", 1), "production")
    report = weighed(team, back, base=branch, now=NOW, approvals=("alice",))
    assert {rule for rule, result in came(report).items() if result == "skip"} == {
        "production-evidence/held-out", "production-evidence/enough-rows", "production-evidence/recent",
        "production-metrics/known-task", "production-metrics/metric-floors", "production-metrics/no-regression",
        "production-metrics/same-task",
    }  # fmt: skip
    assert refused(report) == set()
    unseen = weighed(team, back, base=branch, now=NOW, approvals=())
    assert refused(unseen) == {"approvals", "production-four-eyes/second-person"}


# ── their own tests, and the template


def test_a_registry_starts_with_policies_whose_tests_pass_and_cover_every_rule(team: World, alone: World) -> None:
    for world in (team, alone):
        found = governing.tested(world.registry.place, ())
        assert found.findings == ()
        assert all(one.is_met for one in found.tried)
        expected = {(one.policy, rule, result) for one in found.tried for rule, result, _, _ in one.outcomes}
        for sheet in rulebook(world.registry.snapshot).sheets:
            for rule in sheet.policy.validations:
                assert {(sheet.name, rule.id, "pass"), (sheet.name, rule.id, "fail")} <= expected
    assert world.registry.check().refusals(DECISION) == ()


def test_only_a_team_is_asked_for_a_second_pair_of_eyes(team: World, alone: World) -> None:
    assert set(policies(is_team=True)) - set(policies(is_team=False)) == {"policies/production-four-eyes.yaml"}
    assert team.registry.snapshot.constitution.approvals == 1
    assert alone.registry.snapshot.constitution.approvals == 0
    assert refused(judged(team, approvals=())) == {"approvals", "production-four-eyes/second-person"}
    assert refused(judged(alone, approvals=())) == set()


def test_no_default_policy_has_a_mark_left_in_it() -> None:
    for files in (policies(is_team=True), policies(is_team=False)):
        assert all(b"<" not in line.partition(b"#")[0].replace(b"<=", b"").replace(b" < ", b"") for text in files.values() for line in text.splitlines())  # fmt: skip


@pytest.mark.parametrize("stage", ["production", "staging", "archived"])
def test_a_new_policy_has_tests_that_pass(alone: World, stage: str) -> None:
    report = weighed(alone, {"policies/mine.yaml": new_policy("mine", stage)})
    assert report.findings == ()
    on = {"policies/mine.yaml": new_policy("mine", stage)}
    before = alone.registry.place.snapshot("main").with_edits(on)
    number = {"production": 2, "staging": 1, "archived": 1}[stage]
    assert (
        came(weighed(alone, edits.promote(before, Reference("fraud", number), stage), on=on, now=NOW))[
            "mine/accuracy-floor"
        ]
        == "pass"
    )
