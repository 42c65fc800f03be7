"""Each rule about a change passes what is honest and refuses each attack; the base decides, never the change."""

from __future__ import annotations

import pytest
from builder import FINISHED_CARD, World, errors

from gitops_registry import edits
from gitops_registry.cel import CommonExpressions
from gitops_registry.errors import RegistryError
from gitops_registry.evidence import gatherer
from gitops_registry.manifest.writing import dump
from gitops_registry.policy.check import check
from gitops_registry.policy.report import ADVICE, DECISION, Facts, Report
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content

MODEL = "models/fraud/model.yaml"
FOLDER = "models/fraud/versions"
LAW = "registry.yaml"
RULES = "policies/floors.yaml"
ACCESS = "policies/access.yaml"
POLICY = b"""\
kind: Policy
schema_version: 1
name: x
match: {to: [archived]}
validations: [{id: titled, expression: "model.title != ''"}]
tests:
- {name: with a title, expect: {titled: pass}}
- {name: without one, set: {model.title: ""}, expect: {titled: fail}}
"""
ENGINE = CommonExpressions()


def finding(report: Report, rule: str) -> str:
    """Return the message of the only error of a rule."""
    found = [f.message for f in report.findings if f.rule == rule and f.result == "error"]
    assert len(found) == 1, report.findings
    return found[0]


def written(world: World, path: str, old: str, new: str, *, base: str = "main") -> dict[str, Content | None]:
    """Return an edit of a file, made by hand."""
    text = world.read(path, revision=base).decode()
    assert old in text
    return {path: text.replace(old, new).encode()}


def moved(world: World, number: int, stage: str, *, base: str = "main") -> dict[str, Content | None]:
    """Return the edit that promotes a version of fraud."""
    return dict(edits.promote(world.registry.place.snapshot(base), Reference("fraud", number), stage))


def copied(world: World, number: int, to: int) -> dict[str, Content | None]:
    """Return a version of fraud under another number, with its card rendered there."""
    names = world.git("ls-tree", "-r", "--name-only", "main", f"{FOLDER}/{number}/").split()
    files: dict[str, Content | None] = {
        name.replace(f"/{number}/", f"/{to}/"): world.read(name) for name in names if "/evaluations/" not in name
    }
    snapshot = world.registry.place.snapshot("main").with_edits(files)
    return {**files, f"cards/fraud/v{to}.md": world.registry.place.card(snapshot, Reference("fraud", to))}


def deleted(world: World, number: int, *, base: str = "main", said: str = "") -> dict[str, Content | None]:
    """Return the edit that deletes a version nothing names; `said` is what `deleted` says of it."""
    names = world.git("ls-tree", "-r", "--name-only", base, f"{FOLDER}/{number}/").split()
    gone: dict[str, Content | None] = dict.fromkeys([*names, f"cards/fraud/v{number}.md"])
    return gone | written(world, MODEL, "aliases:", f"deleted: [{said or number}]\naliases:", base=base)


# ── immutable


@pytest.mark.parametrize(
    ("old", "new"),
    [("accuracy: 0.97", "accuracy: 0.99"), ("kind: ModelVersion", "kind: ModelVersion # nothing but a comment")],
)
def test_an_edited_version_is_refused(court: World, old: str, new: str) -> None:
    report = court.judged(written(court, f"{FOLDER}/3/version.yaml", old, new))
    assert finding(report, "immutable") == "must never change once it is registered"


def test_an_edited_or_removed_measurement_is_refused(court: World) -> None:
    path = f"{FOLDER}/3/evaluations/live.yaml"
    text = b"kind: Evaluation\nschema_version: 1\ncreated: 2026-11-22T10:00:00Z\nauthor: {name: Bob}\ndataset: {}\nmetrics: {f1: 0.5}\n"
    base = court.branch({path: text})
    assert errors(court.registry.check(base="main", head=base)) == set()
    assert errors(court.judged({path: None}, base=base)) == {"immutable"}
    assert errors(court.judged({path: text.replace(b"0.5", b"0.9")}, base=base)) == {"immutable"}


# ── numbering and kept


def test_the_next_number_passes(court: World) -> None:
    assert errors(court.judged(copied(court, 3, 9))) == set()


@pytest.mark.parametrize("number", [10, 99])
def test_a_skipped_number_is_refused(court: World, number: int) -> None:
    message = finding(court.judged(copied(court, 3, number)), "numbering")
    assert message.startswith(f"version {number} should be 9")


@pytest.mark.parametrize(
    ("number", "spent", "problem"),
    [
        (11, "9, 10", None),
        (9, "10", None),
        (11, "9", "version 11 should be 10"),
        (11, "9, 10, 50", "version 50 should be 12"),
        (9, "9", "deleted lists 9"),
    ],
)
def test_numbers_that_are_skipped_are_deleted_with_the_version_after_them(
    court: World, number: int, spent: str, problem: str | None
) -> None:
    files = written(court, MODEL, "aliases:", f"deleted: [{spent}]\naliases:") | copied(court, 3, number)
    report = court.judged(files)
    if problem is None:
        assert errors(report) == set()
        assert any(str(change) == f"fraud: number {spent[-2:].strip()} never given again" for change in report.changes)
    else:
        assert finding(report, "numbering").startswith(problem)


def test_a_version_that_moves_to_another_number_is_refused(court: World) -> None:
    gone = {path: content for path, content in deleted(court, 4).items() if path != MODEL}
    report = court.judged({**gone, **copied(court, 4, 9)})
    assert finding(report, "numbering") == "deleted must list 4"


def test_an_honest_deletion_passes_and_its_number_is_never_used_again(court: World) -> None:
    base = court.branch(deleted(court, 8) | moved_out(court, 8))
    assert errors(court.registry.check(base="main", head=base)) == set()
    assert finding(court.judged(copied(court, 3, 8), base=base), "numbering").startswith("version 8 should be 9")
    assert errors(court.judged(copied(court, 3, 9), base=base)) == set()


def moved_out(world: World, number: int) -> dict[str, Content | None]:
    """Return model.yaml without a version in staging, which is deleted."""
    text = world.read(MODEL).decode().replace(", 8]", "]").replace("aliases:", f"deleted: [{number}]\naliases:")
    return {MODEL: text.encode()}


def test_a_deletion_that_is_not_recorded_is_refused(court: World) -> None:
    gone = {path: content for path, content in deleted(court, 4).items() if path != MODEL}
    assert finding(court.judged(gone), "numbering") == "deleted must list 4"


def test_a_recorded_deletion_cannot_be_forgotten(court: World) -> None:
    base = court.branch(deleted(court, 4))
    report = court.judged(written(court, MODEL, "deleted: [4]\n", "", base=base), base=base)
    assert finding(report, "numbering") == "deleted must list 4"


def test_a_deletion_that_did_not_happen_cannot_be_recorded(court: World) -> None:
    report = court.judged(written(court, MODEL, "aliases:", "deleted: [50]\naliases:"))
    assert finding(report, "numbering") == "deleted lists 50, which this change does not delete"


def test_a_version_that_serves_is_deleted_by_those_who_may_both_deploy_and_delete(court: World) -> None:
    """Also where the same change archives it first."""
    text = court.read(MODEL).decode().replace("  production: [2]\n", "").replace("  champion: 2\n", "")
    files = deleted(court, 2) | {MODEL: text.replace("aliases:", "deleted: [2]\naliases:").encode()}
    alone = court.judged(files)
    assert errors(alone) == set()
    assert ("kept", "version 2 serves and is deleted all the same") in {(f.rule, f.message) for f in alone.findings}
    members = b"[{name: ann, role: admin}, {name: bob, role: ml_engineer}]"
    base = court.branch({ACCESS: b"kind: Access\nschema_version: 1\nmembers: " + members + b"\n"})
    assert finding(court.judged(files, base=base), "kept") == "version 2 serves and cannot be deleted"
    before = court.registry.place.snapshot(base)
    after = before.with_edits(files)
    for actor, refused in (("ann", False), ("bob", True), (None, True)):
        report = check(before, after, after.changed_paths(), lambda _a, _c, who=actor: Facts(actor=who), ENGINE)  # type: ignore[misc]
        assert ("kept" in errors(report)) == refused


def test_a_model_cannot_go_without_a_trace(court: World) -> None:
    names = court.git("ls-tree", "-r", "--name-only", "main", "models/churn", "cards/churn").split()
    assert finding(court.judged(dict.fromkeys(names)), "kept") == "churn was removed without a trace"


# ── stage order


@pytest.mark.parametrize(("number", "stage"), [(3, "production"), (4, "staging"), (2, "archived"), (3, "development")])
def test_a_version_goes_where_the_constitution_lets_it(court: World, number: int, stage: str) -> None:
    assert "stage-order" not in errors(court.judged(moved(court, number, stage)))


def test_a_stage_cannot_be_skipped(court: World) -> None:
    message = finding(court.judged(moved(court, 4, "production")), "stage-order")
    assert message == "version 4 comes from development; production takes from staging, archived"


def test_a_version_cannot_be_registered_into_production(court: World) -> None:
    files = copied(court, 3, 9) | written(court, MODEL, "production: [2]", "production: [9]")
    assert "stage-order" in errors(court.judged(files))


def test_a_change_cannot_widen_the_stages_it_moves_through(court: World) -> None:
    law = written(court, LAW, "from: [staging, archived]", "from: [development, staging, archived]")
    assert "stage-order" in errors(court.judged({**law, **moved(court, 4, "production")}))


def test_reordering_the_stages_does_not_move_versions_that_no_stage_lists(court: World) -> None:
    law = court.read(LAW).decode()
    first = "  - name: development\n"
    assert first in law
    last = law.replace(first, "").replace("  - name: archived\n", f"  - name: archived\n{first}")
    report = court.judged({LAW: last.encode()})
    assert finding(report, "governance").startswith("with staging as the first stage")


# ── floors


def test_a_version_above_the_floor_passes(court: World) -> None:
    assert court.judged(moved(court, 3, "production")).refusals(DECISION) == ()


def test_a_version_below_the_floor_is_refused(court: World) -> None:
    message = finding(court.judged(moved(court, 5, "production")), "floors/metrics")
    assert message == "accuracy 0.5 is below 0.9"


def test_a_version_without_the_metric_is_refused(court: World) -> None:
    message = finding(court.judged(moved(court, 7, "production")), "floors/metrics")
    assert message == "cannot be worked out: candidate.measured has no 'accuracy'"


def test_a_task_that_nothing_speaks_for_is_refused_where_customers_see_it(court: World) -> None:
    message = finding(court.judged(moved(court, 6, "production")), "floors/known-task")
    assert message == "nothing says what a model for other must reach"
    assert errors(court.judged(moved(court, 6, "archived"))) == set()


def test_a_change_that_lowers_the_floor_and_promotes_at_once_is_judged_by_the_old_floor(court: World) -> None:
    law = written(court, RULES, "accuracy: 0.9}, multiclass", "accuracy: 0.4}, multiclass")
    law = {RULES: (law[RULES] or b"").replace(b"accuracy: 0.5}, expect", b"accuracy: 0.3}, expect")}
    report = court.judged({**law, **moved(court, 5, "production")})
    assert finding(report, "floors/metrics") == "accuracy 0.5 is below 0.9"
    assert [f.path for f in report.findings if f.rule == "governance"] == [RULES]
    lower = court.branch(law)
    assert errors(court.registry.check(base="main", head=lower)) == set()
    assert errors(court.judged(moved(court, 5, "production", base=lower), base=lower)) == set()


def test_a_stage_that_stops_serving_in_the_same_change_still_asks_for_everything(court: World) -> None:
    law = written(court, LAW, "    serving: true\n", "")
    report = court.judged({**law, **moved(court, 6, "production")})
    assert "floors/known-task" in errors(report)
    missing = court.judged({**law, **moved(court, 8, "production")})
    assert "cards" in errors(missing)


def test_a_rollback_to_a_version_that_served_is_exempt_from_the_floor(court: World) -> None:
    report = court.judged(moved(court, 1, "production"))
    assert report.refusals(DECISION) == ()


def test_a_version_that_only_a_branch_ever_served_is_not_exempt(court: World) -> None:
    branch = court.branch(
        written(court, MODEL, "production: [2]\n  staging: [3, 5,", "production: [5]\n  staging: [2, 3,")
    )
    court.commit(written(court, MODEL, "", "", base=branch), "back and forth", branch=branch)
    assert "floors/metrics" in errors(court.registry.check(base="main", head=branch))
    assert "floors/metrics" in errors(court.judged(moved(court, 5, "production")))


def test_a_rollback_is_exempt_from_nothing_but_the_floor(court: World) -> None:
    path = f"{FOLDER}/1/card.yaml"
    card: dict[str, Content | None] = {path: dump(FINISHED_CARD.model_copy(update={"limitations": ""}), path)}
    assert "cards" in errors(court.judged({**card, **moved(court, 1, "production")}))


# ── approvals


@pytest.fixture(scope="module")
def strict(court: World) -> str:
    """A base that asks for one approval."""
    return court.branch(written(court, LAW, "approvals: 0", "approvals: 1"))


def test_without_anybody_who_looked_an_approval_is_refused_at_a_decision_and_told_as_advice(
    court: World, strict: str
) -> None:
    place = court.registry.place
    before = place.snapshot(strict)
    after = before.with_edits(moved(court, 3, "production", base=strict))
    gather = gatherer(place, place.commit(strict))  # as of a change that is about to be proposed
    report = check(before, after, after.changed_paths(), gather, place.engine)
    assert report.refusals(ADVICE) == ()
    assert [(f.rule, f.result, f.fact) for f in report.refusals(DECISION)] == [
        ("approvals", "not-checked", "approvals")
    ]


def test_whoever_looks_at_a_proposal_is_told_that_nobody_approved_it(court: World, strict: str) -> None:
    report = court.judged(moved(court, 3, "production", base=strict), base=strict)
    assert [(f.rule, f.message) for f in report.refusals(ADVICE)] == [
        ("approvals", "production asks for 1 approval, and none holds")
    ]


def test_a_change_cannot_take_back_the_approvals_it_needs(court: World, strict: str) -> None:
    law = written(court, LAW, "approvals: 1", "approvals: 0", base=strict)
    report = court.judged({**law, **moved(court, 3, "production", base=strict)}, base=strict)
    assert [f.rule for f in report.refusals(DECISION)] == ["approvals"]


def test_a_move_that_customers_do_not_see_needs_no_approval(court: World, strict: str) -> None:
    assert court.judged(moved(court, 4, "staging", base=strict), base=strict).findings == ()


@pytest.mark.parametrize(("given", "refused"), [((), True), (("ann",), False), (("ann", "ann"), False)])
def test_approvals_are_counted_by_person(court: World, strict: str, given: tuple[str, ...], refused: bool) -> None:
    before = court.registry.place.snapshot(strict)
    after = before.with_edits(moved(court, 3, "production", base=strict))
    report = check(before, after, after.changed_paths(), lambda _after, _changes: Facts(approvals=given), ENGINE)
    assert ("approvals" in errors(report)) == refused
    two = before.with_edits(written(court, LAW, "approvals: 1", "approvals: 2", base=strict))
    after = two.with_edits(moved(court, 3, "production", base=strict))
    report = check(two, after, after.changed_paths(), lambda _after, _changes: Facts(approvals=given), ENGINE)
    assert "approvals" in errors(report)


# ── permissions

_MEMBERS = """\
kind: Access
schema_version: 1
members:
  - {name: ann, role: admin}
  - {name: dan, role: data_scientist}
  - {name: eve, role: ml_engineer, models: ["fraud*"]}
  - {name: vic, role: viewer}
"""


@pytest.fixture(scope="module")
def team(court: World) -> str:
    """A base with four members."""
    return court.branch({ACCESS: _MEMBERS.encode()})


def acting(world: World, base: str, actor: str | None, files: dict[str, Content | None]) -> list[str]:
    """Return what the permission rule says when `actor` decides."""
    before = world.registry.place.snapshot(base)
    after = before.with_edits(files)
    report = check(before, after, after.changed_paths(), lambda _after, _changes: Facts(actor=actor), ENGINE)
    return [f.message for f in report.findings if f.rule == "permissions"]


def test_who_decides_is_told_as_not_checked_where_nobody_verified_it(court: World, team: str) -> None:
    report = court.judged(moved(court, 3, "production", base=team), base=team)
    assert [(f.result, f.message) for f in report.findings if f.rule == "permissions"] == [
        ("not-checked", "this needs 'deploy' for fraud, and nobody verified who decides")
    ]


def test_a_registry_without_members_asks_nobody(court: World) -> None:
    assert acting(court, "main", None, moved(court, 3, "production")) == []


@pytest.mark.parametrize(
    ("actor", "problem"),
    [
        ("ann", []),
        ("eve", []),
        ("dan", ["dan may not deploy for fraud"]),
        ("vic", ["vic may not deploy for fraud"]),
        ("mallory", ["mallory may not deploy for fraud"]),
    ],
)
def test_moving_a_version_takes_whoever_may_deploy(court: World, team: str, actor: str, problem: list[str]) -> None:
    assert acting(court, team, actor, moved(court, 3, "production", base=team)) == problem


def test_a_member_limited_to_some_models_decides_about_no_other(court: World, team: str) -> None:
    churn = dict(edits.promote(court.registry.place.snapshot(team), Reference("churn", 1), "staging"))
    assert acting(court, team, "eve", churn) == ["eve may not deploy for churn"]
    assert acting(court, team, "eve", {"notes.txt": b"x"}) == ["eve may not administer for the registry itself"]


def test_a_change_cannot_give_its_author_the_role_it_needs(court: World, team: str) -> None:
    raised = _MEMBERS.replace("{name: dan, role: data_scientist}", "{name: dan, role: admin}").encode()
    problems = acting(court, team, "dan", {ACCESS: raised, **moved(court, 3, "production", base=team)})
    assert problems == ["dan may not administer for the registry itself", "dan may not deploy for fraud"]


def test_a_change_cannot_dissolve_the_members_it_is_judged_by(court: World, team: str) -> None:
    assert acting(court, team, "dan", {ACCESS: None}) == ["dan may not administer for the registry itself"]
    report = court.judged({ACCESS: None}, base=team)
    assert [f.result for f in report.findings if f.rule == "permissions"] == ["not-checked"]


# ── strangers and unmanaged files


@pytest.mark.parametrize(
    "path",
    [
        f"{FOLDER}/3/model.bin", "models/fraud/notes.txt", f"{FOLDER}/03/version.yaml", "models/README.md",
        "cards/fraud/extra.md", "cards/index.html",
        "Models/fraud/model.yaml", "Registry.yaml", "POLICIES/access.yaml", ".GitHub/workflows/x.yaml", ".DVC/config",
    ],
)  # fmt: skip
def test_a_file_that_is_no_registry_file_is_refused_where_only_those_may_be(court: World, path: str) -> None:
    assert finding(court.judged({path: b"bytes"}), "strangers") == "is no file of a registry"


def test_a_file_elsewhere_is_pointed_out_and_needs_an_administrator(court: World, team: str) -> None:
    report = court.judged({"src/train.py": b"print()\n"})
    assert [(f.rule, f.result) for f in report.findings] == [("strangers", "warning")]
    assert acting(court, team, "eve", {"src/train.py": b"x"}) == ["eve may not administer for the registry itself"]


def test_unmanaged_files_are_left_to_others(court: World) -> None:
    base = court.branch(written(court, LAW, "stages:", 'unmanaged: ["src/**", "*.md"]\nstages:'))
    report = court.judged({"src/deep/train.py": court.stored(b"x", "100755"), "README.md": b"# x\n"}, base=base)
    assert [(f.rule, f.result) for f in report.findings] == [("unmanaged", "warning")]
    assert report.changes == ()


@pytest.mark.parametrize(
    "glob", ["**", "*", "models/**", "policies/**", "cards/**", ".github/**", "registry.yaml", "[a-z]*"]
)
def test_unmanaged_globs_never_cover_what_is_ours(court: World, glob: str) -> None:
    base = court.branch(written(court, LAW, "stages:", f'unmanaged: ["{glob}"]\nstages:'))
    for path in (f"{FOLDER}/3/model.bin", "cards/fraud/extra.md", "Policies/x.yaml"):
        assert "strangers" in errors(court.judged({path: b"x"}, base=base))
    ours = {LAW: court.read(LAW), "policies/x.yaml": POLICY, ".github/workflows/x.yaml": b"x", MODEL: None}
    kinds = {change.kind for change in court.judged(ours, base=base).changes}
    assert {"registry_changed", "policy_changed", "model_deleted"} <= kinds


def test_a_change_cannot_unmanage_what_it_adds(court: World) -> None:
    law = written(court, LAW, "stages:", 'unmanaged: ["src/**"]\nstages:')
    report = court.judged({**law, "src/train.py": b"x"})
    assert "unknown_file_changed" in {change.kind for change in report.changes}
    assert [f.path for f in report.findings if f.rule == "strangers"] == ["src/train.py"]


# ── governance


def test_a_change_of_rules_alone_is_plain_and_beside_others_it_is_said(court: World) -> None:
    law = written(court, LAW, "approvals: 0", "approvals: 1")
    assert court.judged(law).findings == ()
    policy: dict[str, Content | None] = {"policies/x.yaml": POLICY}
    report = court.judged({**policy, **moved(court, 4, "staging")})
    assert [(f.rule, f.result, f.path) for f in report.findings] == [("governance", "warning", "policies/x.yaml")]


# ── the same verdict at the decision


def test_what_a_check_refuses_is_never_written(court: World) -> None:
    tip = court.git("rev-parse", "main")
    outcome = court.registry.promote("fraud", 5, to="production", direct=True)
    assert outcome.is_refused
    assert outcome.commit is None
    assert court.git("rev-parse", "main") == tip


def test_a_registry_that_takes_proposals_only_refuses_a_direct_change(court: World, tmp_path: object) -> None:
    folder = court.root.parent / "proposals-only"
    if not folder.exists():
        court.clone(folder)
    world = World.__new__(World)
    world.root = folder
    world.commit(written(court, LAW, "direct: true", "direct: false"))
    with pytest.raises(RegistryError, match="takes changes as proposals only"):
        world.registry.promote("fraud", 3, to="production", direct=True)
