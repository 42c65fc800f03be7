"""Each rule about any revision passes what is honest and refuses each attack, on real branches."""

from __future__ import annotations

import hashlib

import pytest
from builder import CREATED, FINISHED_CARD, World, errors

from gitops_registry import edits, paths
from gitops_registry.cel import CommonExpressions
from gitops_registry.errors import RegistryError
from gitops_registry.manifest.facts import Artifact, Evaluation, EvaluationData, Person, Version
from gitops_registry.manifest.writing import dump
from gitops_registry.pointer import pointer
from gitops_registry.policy.check import check
from gitops_registry.policy.report import ADVICE, DECISION, Facts, Report
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content, Snapshot, Stored

MODEL = "models/fraud/model.yaml"
FOLDER = "models/fraud/versions"
ENGINE = CommonExpressions()


def finding(report: Report, rule: str) -> str:
    """Return the message of the only error of a rule."""
    found = [f.message for f in report.findings if f.rule == rule and f.result == "error"]
    assert len(found) == 1, report.findings
    return found[0]


def state(world: World, old: str, new: str, *, base: str = "main") -> dict[str, Content | None]:
    """Return an edit of fraud's model.yaml, made by hand."""
    text = world.read(MODEL, revision=base).decode()
    assert old in text
    return {MODEL: text.replace(old, new).encode()}


def new_version(
    world: World, name: str, *, payload: bytes = b"bytes", card: bytes | None = None
) -> dict[str, Content | None]:
    """Return the edit that registers one more version, whole."""
    snapshot = world.registry.place.snapshot("main")
    md5, sha256 = hashlib.md5(payload).hexdigest(), hashlib.sha256(payload).hexdigest()
    artifact = Artifact(name="model", file="model.bin", format="bytes", size=len(payload), md5=md5, sha256=sha256)
    version = Version(created=CREATED, author=Person(name="Bob"), task="other", artifacts=(artifact,))
    written = dict(
        edits.register(snapshot, name, version, card=FINISHED_CARD, files={"model.bin.dvc": pointer(artifact)})
    )
    reference = Reference(name, edits.next_number(snapshot, name))
    written[paths.rendered_card_path(*reference)] = world.registry.place.card(snapshot.with_edits(written), reference)
    return {**written, paths.store_path(md5): payload}


def card_edit(world: World, number: int, **words: str) -> dict[str, Content | None]:
    """Return new words of a version with the card rendered from them."""
    reference = Reference("fraud", number)
    path = paths.card_path(*reference)
    written: dict[str, Content | None] = {path: dump(FINISHED_CARD.model_copy(update=words), path)}
    after = world.registry.place.snapshot("main").with_edits(written)
    return {**written, paths.rendered_card_path(*reference): world.registry.place.card(after, reference)}


# ── honest changes pass


def test_the_registry_itself_passes_the_whole_check(court: World) -> None:
    assert errors(court.registry.check(head="main")) == set()


def test_an_honest_registration_passes(court: World) -> None:
    report = court.judged(new_version(court, "fraud"))
    assert report.findings == ()
    assert [change.kind for change in report.changes] == ["version_registered"]


def test_an_honest_registration_of_a_new_model_passes(court: World) -> None:
    report = court.judged(new_version(court, "new-model"))
    assert report.findings == ()
    assert [change.kind for change in report.changes] == ["model_registered", "version_registered"]


def test_honest_words_with_their_rendered_card_pass(court: World) -> None:
    assert court.judged(card_edit(court, 2, limitations="一つの地域のみ。")).findings == ()


def test_an_honest_promotion_and_a_free_alias_pass(court: World) -> None:
    snapshot = court.registry.place.snapshot("main")
    assert court.judged(edits.promote(snapshot, Reference("fraud", 3), "production")).findings == ()
    assert court.judged(state(court, "best: 3", "best: 4\n  second-best: 3")).findings == ()


def test_an_honest_measurement_passes(court: World) -> None:
    path = f"{FOLDER}/3/evaluations/live.yaml"
    evaluation = Evaluation(
        created=CREATED, author=Person(name="Bob"), dataset=EvaluationData(dataset="live"), metrics={"accuracy": 0.9}
    )
    report = court.judged({path: dump(evaluation, path)})
    assert report.findings == ()
    assert [change.kind for change in report.changes] == ["evaluation_added"]


# ── schema


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"kind: Model\nschema_version: 2\nname: fraud\nstages: {production: [2\n", ":5:1"),
        (b"kind: Model\nschema_version: 2\nname: fraud\nowner: risk\n", ":4:1"),
        (b"kind: Model\nschema_version: 2\nname: fraud\nstages:\n  production: [2]\n  staging: [2]\n", ":"),
        (b"kind: Model\nschema_version: 2\nname: fraud\naliases: {latest: 2}\n", ":4:"),
        (b"kind: Model\nschema_version: 2\nname: fraud\naliases: {v3: 2}\n", ":4:"),
        (b"kind: Model\nschema_version: 2\nname: fraud\naliases: {'3': 2}\n", ":4:"),
        (b"kind: Model\nschema_version: 2\nname: fraud\naliases: {best: 2, Best: 3}\n", ":"),
        (b"\xff\xfe", ":1:1"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told_with_its_position_and_nothing_else(
    court: World, content: bytes, where: str
) -> None:
    report = court.judged({MODEL: content, f"{FOLDER}/3/model.bin": b"bytes", f"{FOLDER}/2/version.yaml": None})
    assert {(f.rule, f.result) for f in report.findings} == {("schema", "error")}
    assert len(report.findings) == 1
    assert report.findings[0].where.startswith(f"{MODEL}{where}")
    assert report.findings[0].line > 0
    assert report.findings[0].column > 0
    assert report.changes == ()


def test_a_registry_without_its_constitution_is_refused(court: World) -> None:
    report = court.judged({"registry.yaml": None})
    assert finding(report, "schema") == "the registry would have no registry.yaml"


def test_a_model_that_says_another_name_than_its_folder_is_refused(court: World) -> None:
    assert "is not its folder's" in finding(court.judged(state(court, "name: fraud", "name: churn")), "schema")


# ── modes


def test_a_symbolic_link_is_refused(court: World) -> None:
    report = court.judged({f"{FOLDER}/3/evaluations/x.yaml": court.stored(b"/etc/passwd", "120000")})
    assert report.refusals(ADVICE)
    report = court.judged({"policies/link.yaml": court.stored(b"/etc/passwd", "120000")})
    assert finding(report, "modes").startswith("is a symbolic link")


def test_an_executable_is_refused(court: World) -> None:
    report = court.judged({"policies/run.yaml": court.stored(b"#!/bin/sh\n", "100755")})
    assert finding(report, "modes").startswith("is executable")


@pytest.mark.parametrize("mode", ["100755", "120000"])
def test_a_change_of_nothing_but_the_mode_is_refused(court: World, mode: str) -> None:
    report = court.judged({MODEL: court.stored(court.read(MODEL), mode)})
    assert "modes" in errors(report)


def test_a_change_of_nothing_but_the_mode_is_refused_also_beside_an_honest_change(court: World) -> None:
    hidden: dict[str, Content | None] = {MODEL: court.stored(court.read(MODEL), "120000")}
    assert "modes" in errors(court.judged({**new_version(court, "churn"), **hidden}))


@pytest.mark.parametrize("path", ["models/sub", "models/fraud", "policies", "vendor", MODEL])
def test_a_submodule_is_refused(court: World, path: str) -> None:
    commit = court.git("rev-parse", "main").strip()
    below = {name: None for name in court.git("ls-files", path).split() if name != path}
    report = court.judged({**below, path: Stored(commit, "160000")})
    assert errors(report) & {"modes", "schema"}


# ── names


def test_models_that_differ_only_in_case_are_refused(court: World) -> None:
    files = {path.replace("fraud", "Fraud"): content for path, content in new_version(court, "fraud").items()}
    files["models/Fraud/model.yaml"] = court.read(MODEL).replace(b"name: fraud", b"name: Fraud")
    assert "names" in errors(court.judged(files))


def test_registering_a_model_that_differs_only_in_case_is_refused_before_anything_is_written(court: World) -> None:
    with pytest.raises(RegistryError, match="unique without regard to case"):
        new_version(court, "FRAUD")


@pytest.mark.parametrize("name", ["templates", "a..b", "b.lock", "-x", "x y", "信用"])
def test_a_name_outside_the_grammar_is_refused(court: World, name: str) -> None:
    report = court.judged({f"models/{name}/model.yaml": f"kind: Model\nschema_version: 2\nname: {name}\n".encode()})
    assert errors(report)


def test_a_model_without_its_manifest_is_refused(court: World) -> None:
    files = {
        path: content for path, content in new_version(court, "new-model").items() if not path.endswith("model.yaml")
    }
    assert finding(court.judged(files), "names") == "new-model has no model.yaml"


@pytest.mark.parametrize("file", ["card.yaml", "evaluations/live.yaml"])
def test_a_card_or_a_measurement_alone_does_not_take_a_number(court: World, file: str) -> None:
    if file == "card.yaml":
        content = dump(FINISHED_CARD, f"{FOLDER}/99/card.yaml")
    else:
        evaluation = Evaluation(created=CREATED, author=Person(name="Bob"), dataset=EvaluationData(), metrics={})
        content = dump(evaluation, f"{FOLDER}/99/{file}")
    assert "version 99 has no version.yaml" in finding(court.judged({f"{FOLDER}/99/{file}": content}), "names")


def test_a_deletion_that_leaves_part_of_the_version_is_refused(court: World) -> None:
    files = {f"{FOLDER}/4/version.yaml": None, f"{FOLDER}/4/model.bin.dvc": None}
    files |= state(court, "aliases:", "deleted: [4]\naliases:")
    report = court.judged(files)
    assert finding(report, "names") == "version 4 has no version.yaml"
    assert finding(report, "cards") == "is the card of fraud@4, which does not exist"


# ── stages


def test_two_versions_in_an_exclusive_stage_are_refused(court: World) -> None:
    report = court.judged(state(court, "production: [2]\n  staging: [3, 5", "production: [2, 3]\n  staging: [5"))
    assert finding(report, "stages") == "production holds 2 versions and takes one"
    assert report.findings[0].line > 1


def test_an_unknown_stage_is_refused(court: World) -> None:
    report = court.judged(state(court, "production: [2]", "production: [2]\n  canary: [4]"))
    assert finding(report, "stages") == "no stage 'canary' in this registry"


def test_a_stage_that_the_same_change_adds_cannot_be_used_yet(court: World) -> None:
    law = court.read("registry.yaml").decode()
    files = state(court, "production: [2]", "production: [2]\n  canary: [4]")
    files["registry.yaml"] = law.replace("- name: archived", "- name: canary\n  - name: archived").encode()
    assert "stages" in errors(court.judged(files))


def test_a_stage_that_names_a_version_that_does_not_exist_is_refused(court: World) -> None:
    report = court.judged(state(court, "archived: [1]", "archived: [1, 77]"))
    assert "names version 77, which does not exist" in finding(report, "stages")


@pytest.mark.parametrize("name", ["staging", "production"])
def test_a_stage_that_models_use_cannot_be_taken_away(court: World, name: str) -> None:
    law = court.read("registry.yaml").decode().replace(name, "elsewhere")
    assert "stages" in errors(court.judged({"registry.yaml": law.encode()}))


# ── aliases


def test_an_alias_named_like_a_stage_is_refused(court: World) -> None:
    assert "is the name of a stage" in finding(court.judged(state(court, "best: 3", "Production: 3")), "aliases")


def test_an_alias_of_a_version_that_does_not_exist_is_refused(court: World) -> None:
    assert "which does not exist" in finding(court.judged(state(court, "best: 3", "best: 77")), "aliases")


def test_a_new_stage_named_like_an_alias_is_refused(court: World) -> None:
    law = court.read("registry.yaml").decode().replace("- name: archived", "- name: best\n  - name: archived")
    assert "aliases" in errors(court.judged({"registry.yaml": law.encode()}))


# ── pointers


def test_a_swapped_pointer_is_refused(court: World) -> None:
    report = court.judged({f"{FOLDER}/3/model.bin.dvc": court.read(f"{FOLDER}/2/model.bin.dvc")})
    assert {"pointers", "immutable"} <= errors(report)


def test_a_pointer_that_says_the_same_in_other_bytes_is_refused(court: World) -> None:
    files = new_version(court, "fraud")
    path = next(path for path in files if path.endswith(".dvc"))
    content = files[path]
    assert isinstance(content, bytes)
    report = court.judged({**files, path: content + b"# harmless?\n"})
    assert finding(report, "pointers") == "does not agree with version.yaml"


def test_an_added_pointer_is_refused(court: World) -> None:
    report = court.judged({f"{FOLDER}/3/other.bin.dvc": court.read(f"{FOLDER}/2/model.bin.dvc")})
    assert "is a pointer that version.yaml does not name" in finding(report, "pointers")
    assert "immutable" in errors(report)


def test_a_removed_pointer_is_refused(court: World) -> None:
    assert {"pointers", "immutable"} <= errors(court.judged({f"{FOLDER}/3/model.bin.dvc": None}))


def test_a_registration_without_its_pointer_is_refused(court: World) -> None:
    files = {path: content for path, content in new_version(court, "fraud").items() if not path.endswith(".dvc")}
    assert "pointers" in errors(court.judged(files))


# ── store and presence


def _object(world: World, number: int) -> str:
    version = world.registry.place.snapshot("main").known_version(Reference("fraud", number))
    return paths.store_path(version.artifacts[0].md5)


def test_an_object_that_is_not_what_its_name_says_is_refused(court: World) -> None:
    files = new_version(court, "fraud", payload=b"honest")
    path = next(path for path in files if path.startswith(paths.EMBEDDED_STORE))
    report = court.judged({**files, path: b"other bytes"})
    assert finding(report, "store") == "the object is not what its name says"


def test_a_removed_or_replaced_object_is_refused(court: World) -> None:
    assert "store" in errors(court.judged({_object(court, 3): None}))
    assert "store" in errors(court.judged({_object(court, 3): b"replaced"}))


def test_an_object_that_no_version_names_is_refused(court: World) -> None:
    path = paths.store_path(hashlib.md5(b"stray").hexdigest())
    assert "strangers" in errors(court.judged({path: b"stray"}))


def test_a_registration_whose_bytes_are_nowhere_is_refused(court: World) -> None:
    files = {
        path: content
        for path, content in new_version(court, "fraud", payload=b"nowhere").items()
        if not path.startswith(paths.EMBEDDED_STORE)
    }
    report = court.judged(files)
    assert finding(report, "presence").startswith("model.bin is missing")


def _deletion(world: World, number: int) -> dict[str, Content | None]:
    names = world.git("ls-tree", "-r", "--name-only", "main", f"{FOLDER}/{number}/").split()
    gone: dict[str, Content | None] = dict.fromkeys([*names, f"cards/fraud/v{number}.md"])
    return gone | state(world, "aliases:", f"deleted: [{number}]\naliases:")


def test_a_deleted_version_may_take_its_object_along(court: World) -> None:
    report = court.judged({**_deletion(court, 4), _object(court, 4): None})
    assert errors(report) == set()


def test_an_object_stays_while_another_version_names_it(court: World) -> None:
    snapshot = court.registry.place.snapshot("main")
    payload = snapshot.read(_object(court, 4))
    assert payload is not None
    twin = court.branch(new_version(court, "churn", payload=payload))
    report = court.judged({**_deletion(court, 4), _object(court, 4): None}, base=twin)
    assert finding(report, "store") == "an object of the store was removed or replaced"


# ── cards


def test_a_stale_rendered_card_is_refused(court: World) -> None:
    files = card_edit(court, 3, limitations="New words.")
    report = court.judged({path: content for path, content in files.items() if path.endswith(".yaml")})
    assert finding(report, "cards") == "the rendered card is not up to date"


def test_a_rendered_card_edited_by_hand_is_refused(court: World) -> None:
    report = court.judged({"cards/fraud/v3.md": b"# the best model ever\n"})
    assert finding(report, "cards") == "the rendered card is not up to date"


def test_a_card_of_a_version_that_does_not_exist_is_refused(court: World) -> None:
    assert "which does not exist" in finding(court.judged({"cards/fraud/v99.md": b"# v99\n"}), "cards")
    assert "which does not exist" in finding(court.judged({"cards/ghost/v1.md": b"# v1\n"}), "cards")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "  \n",
        "TODO",
        "tbd.",
        "N/A",
        "[More information needed]",
        "XXX",
        "未記入",
        "（要記入）",
        "未定",
        "記入してください。",
    ],
)
def test_placeholder_words_are_refused_where_a_version_serves_and_pointed_out_elsewhere(
    court: World, words: str
) -> None:
    serving = court.judged(card_edit(court, 2, intended_use=words))
    assert finding(serving, "cards") == "the card lacks intended_use"
    waiting = court.judged(card_edit(court, 3, intended_use=words))
    assert errors(waiting) == set()
    assert [(f.rule, f.result) for f in waiting.findings] == [("cards", "warning")]


def test_words_that_only_begin_like_a_placeholder_are_words(court: World) -> None:
    assert (
        court.judged(card_edit(court, 2, intended_use="None of our customers is decided about alone.")).findings == ()
    )


def test_a_version_with_placeholders_cannot_be_promoted_to_a_serving_stage(court: World) -> None:
    snapshot = court.registry.place.snapshot("main")
    report = court.judged(edits.promote(snapshot, Reference("fraud", 8), "production"))
    assert finding(report, "cards") == "the card lacks limitations"


# ── facts that nobody gathered


def test_without_facts_every_rule_that_needs_one_says_not_checked(court: World) -> None:
    base = court.branch(
        {"policies/access.yaml": b"kind: Access\nschema_version: 1\nmembers: [{name: ann, role: admin}]\n"}
    )
    law = court.read("registry.yaml", revision=base).decode().replace("approvals: 0", "approvals: 1")
    base = court.branch({"registry.yaml": law.encode()}, base=base)
    place = court.registry.place
    before = place.snapshot(base)
    after = before.with_edits(edits.promote(before, Reference("fraud", 5), "production"))
    report = check(before, after, after.changed_paths(), lambda _after, _changes: Facts(), ENGINE)
    unchecked = {(f.rule, f.fact) for f in report.findings if f.result == "not-checked"}
    assert unchecked == {
        ("presence", "presence"), ("cards", "cards"), ("floors/metrics", "policies"), ("floors/known-task", "policies"), ("intact", "history"), ("approvals", "approvals"), ("permissions", "actor"),
    }  # fmt: skip
    refused = {f.fact for f in report.refusals(DECISION) if f.fact}
    assert refused == {"presence", "cards", "history", "approvals", "policies"}


def test_a_store_that_was_looked_at_for_other_versions_only_is_not_a_pass(court: World) -> None:
    before = court.registry.place.snapshot("main")
    after = before.with_edits(edits.promote(before, Reference("fraud", 3), "production"))

    def half(_after: Snapshot, _changes: object) -> Facts:
        return Facts(presence={}, cards={}, history={}, altered={}, approvals=())

    report = check(before, after, after.changed_paths(), half, ENGINE)
    assert {f.fact for f in report.refusals(DECISION)} == {"presence", "cards"}
